//! One request: sent, and sent again under the same id, until it is answered or too late.

use std::{
    ops::ControlFlow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_nats::{HeaderMap, Message, StatusCode};
use bytes::Bytes;
use schemas::{
    CommandId, ErrorCode, Fault, Timestamp,
    protocol::{COMMAND_BYTES_MAX, NOT_AFTER_AHEAD_MAX},
    subject::{self, ServiceName},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::broadcast,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    Client, backoff,
    inbox::Slot,
    link::{Denial, denied},
    wire::{self, RequestHeaders},
};

/// How long a request may take with all its retries when nothing else is said.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// How long one attempt waits before the request is sent again.
const TRY_TIMEOUT: Duration = Duration::from_secs(2);

/// A command id that nobody has used.
#[must_use]
pub fn new_command_id() -> CommandId {
    CommandId::parse(&format!("{:032x}", rand::random::<u128>())).expect("hex digits are an id")
}

/// A request in the making.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    client: &'a Client,
    service: ServiceName,
    verb: &'a str,
    deadline: Duration,
    command_id: Option<CommandId>,
    trace: Option<String>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(client: &'a Client, service: ServiceName, verb: &'a str) -> Self {
        let deadline = REQUEST_DEADLINE;
        Self { client, service, verb, deadline, command_id: None, trace: None }
    }

    /// How long it may take with all its retries; also the command's not-after.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Names the command, so that it can be repeated after this process is gone.
    #[must_use]
    pub fn command_id(mut self, id: CommandId) -> Self {
        self.command_id = Some(id);
        self
    }

    /// W3C `traceparent` of what the request belongs to.
    #[must_use]
    pub fn trace(mut self, trace: Option<String>) -> Self {
        self.trace = trace;
        self
    }

    /// Sends it and reads the answer.
    ///
    /// # Errors
    ///
    /// What the service answers; `UNREACHABLE`, `TIMED_OUT` or `PERMISSION_DENIED` when it does
    /// not; `PROTOCOL_MISMATCH` when the answer is not understood.
    pub async fn send<Req: Serialize, Ans: DeserializeOwned>(
        self,
        request: &Req,
    ) -> Result<Ans, Fault> {
        let body = serde_json::to_vec(request).map_err(|error| {
            Fault::new(ErrorCode::InvalidValue, format!("the request is no JSON: {error}"))
        })?;
        wire::read_body(&self.send_raw(body.into()).await?)
    }

    /// Sends a body as it is and hands the answer's body out as it is.
    ///
    /// # Errors
    ///
    /// As [`Call::send`].
    pub async fn send_raw(self, body: Bytes) -> Result<Bytes, Fault> {
        if COMMAND_BYTES_MAX < body.len() {
            let message = format!("{} bytes, the limit is {COMMAND_BYTES_MAX}", body.len());
            return Err(Fault::new(ErrorCode::TooLarge, message));
        }
        let headers = RequestHeaders {
            command_id: Some(self.command_id.unwrap_or_else(new_command_id)),
            not_after: Some(not_after(self.deadline)),
            trace: self.trace,
        };
        let exchange = Exchange {
            client: self.client,
            subject: subject::command(self.client.principal(), self.service, self.verb),
            headers: headers.write()?,
            body,
            slot: self.client.slot(),
            denials: self.client.link().denials(),
            deadline: self.deadline,
            until: Instant::now() + self.deadline,
            last: None,
        };
        exchange.run().await
    }
}

fn not_after(deadline: Duration) -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = now + deadline.min(NOT_AFTER_AHEAD_MAX);
    Timestamp(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
}

/// A request under way. The headers are made once, so every attempt is the same command.
struct Exchange<'a> {
    client: &'a Client,
    subject: String,
    headers: HeaderMap,
    body: Bytes,
    slot: Slot,
    denials: broadcast::Receiver<Denial>,
    deadline: Duration,
    until: Instant,
    /// Why the last attempt came to nothing.
    last: Option<Fault>,
}

impl Exchange<'_> {
    async fn run(mut self) -> Result<Bytes, Fault> {
        loop {
            self.wait_for_link().await?;
            self.publish().await?;
            self.last = Some(no_answer(&self.subject));
            match self.hear(Instant::now() + TRY_TIMEOUT).await {
                ControlFlow::Break(outcome) => return outcome,
                ControlFlow::Continue(()) => (),
            }
            let pause = backoff::retry_delay(rand::random());
            match self.hear(Instant::now() + pause).await {
                ControlFlow::Break(outcome) => return outcome,
                ControlFlow::Continue(()) => (),
            }
            if self.until <= Instant::now() {
                return Err(self.too_late());
            }
        }
    }

    async fn wait_for_link(&mut self) -> Result<(), Fault> {
        match timeout_at(self.until, self.client.wait_connected()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.unreachable("the connection was closed")),
            Err(_) => Err(self.unreachable("there is no connection")),
        }
    }

    fn unreachable(&self, why: &str) -> Fault {
        let message = format!("{why} to the broker at {}", self.client.url());
        Fault::new(ErrorCode::Unreachable, message)
    }

    async fn publish(&mut self) -> Result<(), Fault> {
        if let Some(inbox) = self.client.link().inbox_denied() {
            return Err(denied(self.client.principal(), &inbox));
        }
        let sending = self.client.nats().publish_with_reply_and_headers(
            self.subject.clone(),
            self.slot.reply().to_owned(),
            self.headers.clone(),
            self.body.clone(),
        );
        match timeout_at(self.until, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(publish_fault(&self.subject, &error)),
            Err(_) => Err(self.unreachable("nothing can be sent")),
        }
    }

    /// Hears answers and refusals until `time`, until the connection is lost, or until an answer
    /// says to try again.
    async fn hear(&mut self, time: Instant) -> ControlFlow<Result<Bytes, Fault>> {
        let time = time.min(self.until);
        let mut changes = self.client.on_change();
        loop {
            tokio::select! {
                biased;
                message = self.slot.next() => return self.take(message),
                denial = self.denials.recv() => {
                    if let Some(subject) = self.concerns(denial) {
                        let fault = denied(self.client.principal(), &subject);
                        return ControlFlow::Break(Err(fault));
                    }
                }
                () = sleep_until(time) => return ControlFlow::Continue(()),
                _ = changes.changed() => if !self.client.connected() {
                    return ControlFlow::Continue(());
                }
            }
        }
    }

    fn take(&mut self, message: Message) -> ControlFlow<Result<Bytes, Fault>> {
        let fault = if message.status == Some(StatusCode::NO_RESPONDERS) {
            let text = format!("nobody answers on {}", self.subject);
            Fault::new(ErrorCode::Unreachable, text)
        } else {
            match wire::read_answer(message.headers.as_ref(), message.payload) {
                Ok(body) => return ControlFlow::Break(Ok(body)),
                Err(fault) => fault,
            }
        };
        if !worth_repeating(fault.code) {
            return ControlFlow::Break(Err(fault));
        }
        self.last = Some(fault);
        ControlFlow::Continue(())
    }

    /// The subject that a refusal is about, if it is one of ours.
    fn concerns(&self, denial: Result<Denial, broadcast::error::RecvError>) -> Option<String> {
        match denial {
            Ok(Denial::Publish(subject)) if subject == self.subject => Some(subject),
            Ok(Denial::Publish(_) | Denial::Subscribe(_)) | Err(_) => {
                self.client.link().inbox_denied()
            }
        }
    }

    fn too_late(self) -> Fault {
        let mut fault = self.last.unwrap_or_else(|| no_answer(&self.subject));
        fault.message = format!("{} (tried for {:?})", fault.message, self.deadline);
        fault
    }
}

fn no_answer(subject: &str) -> Fault {
    Fault::new(ErrorCode::TimedOut, format!("no answer came on {subject}"))
}

fn publish_fault(subject: &str, error: &async_nats::PublishError) -> Fault {
    use async_nats::client::PublishErrorKind as Kind;
    let code = match error.kind() {
        Kind::MaxPayloadExceeded => ErrorCode::TooLarge,
        Kind::InvalidSubject => ErrorCode::UnknownVerb,
        Kind::Send => ErrorCode::Unreachable,
    };
    Fault::new(code, format!("sending to {subject}: {error}"))
}

/// Whether the same command may be answered otherwise in a moment.
fn worth_repeating(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NotTheWriter | ErrorCode::StorageUnconfirmed | ErrorCode::Unreachable)
}
