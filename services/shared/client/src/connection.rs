//! The connection of one principal to the broker, kept alive and shared by clones.

use std::{sync::Arc, time::Duration};

use async_nats::connection::State;
use schemas::{Fault, PrincipalId, subject::ServiceName};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{
    Call, ConnectError, ConnectOptions, Credentials, EventStream, LinkState, StartAt, backoff,
    inbox::{Inbox, Slot},
    link::Link,
    login::Login,
};

/// How often a silent connection is probed; two probes without an answer are a lost connection.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long one attempt to connect may take.
const CONNECT_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Events of the connection can be lost in a storm of them, so waiting looks for itself this often.
const LINK_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long closing may take before what is still unsent is given up.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// A principal's way to the services.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    nats: async_nats::Client,
    principal: PrincipalId,
    url: String,
    link: Arc<Link>,
    inbox: Inbox,
}

impl Client {
    /// Connects, and from then on reconnects by itself.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] when an option makes no sense, or there is no connection in time.
    pub async fn connect(options: ConnectOptions) -> Result<Self, ConnectError> {
        let until = options.connect_within.map(|within| Instant::now() + within);
        let mut attempt = 1;
        loop {
            let error = match Self::try_connect(&options).await {
                Ok(client) => return Ok(client),
                Err(error) => error,
            };
            attempt += 1;
            let delay = backoff::reconnect_delay(attempt, rand::random());
            let late = until.is_some_and(|until| until <= Instant::now() + delay);
            let hopeless = match error {
                ConnectError::Url { .. } | ConnectError::Login { .. } => true,
                // Whoever waits for ever also waits for the broker to be told about them.
                ConnectError::Refused { .. } => until.is_some(),
                ConnectError::Unreachable { .. } | ConnectError::Inbox { .. } => false,
            };
            if late || hopeless {
                return Err(error);
            }
            tracing::debug!(%error, attempt, "not connected yet");
            sleep(delay).await;
        }
    }

    async fn try_connect(options: &ConnectOptions) -> Result<Self, ConnectError> {
        let link = Arc::new(Link::new(&options.inbox_prefix));
        let addresses = parse_addresses(options)?;
        let login = login(&options.credentials);
        let nats = nats_options(options, &link, login.as_ref());
        let connected = nats.connect(addresses).await;
        let nats = connected.map_err(|error| connect_error(options, login.as_ref(), error))?;
        let inbox = Inbox::open(&nats, &options.inbox_prefix)
            .await
            .map_err(|(subject, source)| ConnectError::Inbox { subject, source })?;
        let principal = options.principal.clone();
        let inner = Inner { nats, principal, url: options.url.clone(), link, inbox };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Asks `service` to do `verb`, as [`Client::call`] does with nothing else said.
    ///
    /// # Errors
    ///
    /// What the service answers, or why it does not.
    pub async fn request<Req: Serialize, Ans: DeserializeOwned>(
        &self,
        service: ServiceName,
        verb: &str,
        request: &Req,
    ) -> Result<Ans, Fault> {
        self.call(service, verb).send(request).await
    }

    /// Prepares a request whose deadline, command id or trace differ from the usual.
    #[must_use]
    pub fn call<'a>(&'a self, service: ServiceName, verb: &'a str) -> Call<'a> {
        Call::new(self, service, verb)
    }

    /// Follows the events of a service: none lost, none repeated, in the order of the log.
    #[must_use]
    pub fn events(&self, service: ServiceName, start: StartAt) -> EventStream {
        EventStream::open(self.clone(), service, start)
    }

    /// As whom requests are made.
    #[must_use]
    pub fn principal(&self) -> &PrincipalId {
        &self.inner.principal
    }

    /// The address that was connected to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// The connection itself, for what is not a request: streams, buckets, core subjects.
    #[must_use]
    pub fn nats(&self) -> &async_nats::Client {
        &self.inner.nats
    }

    /// Whether the broker answers now, as far as is known.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.inner.nats.connection_state() == State::Connected
    }

    /// Tells of the connection's coming and going.
    #[must_use]
    pub fn on_change(&self) -> watch::Receiver<LinkState> {
        self.inner.link.watch()
    }

    /// How often the connection was lost.
    #[must_use]
    pub fn disconnects(&self) -> u64 {
        use std::sync::atomic::Ordering::Relaxed;
        let connects = self.inner.nats.statistics().connects.load(Relaxed);
        connects.saturating_sub(u64::from(self.connected()))
    }

    /// Sends what is still unsent and closes the connection, for all clones.
    pub async fn close(&self) {
        let mut changes = self.on_change();
        if self.inner.nats.drain().await.is_err() {
            return;
        }
        let closed = changes.wait_for(|state| *state == LinkState::Closed);
        if timeout(CLOSE_DEADLINE, closed).await.is_err() {
            tracing::warn!("the connection did not close in time; the rest is given up");
        }
    }

    pub(crate) fn link(&self) -> &Link {
        &self.inner.link
    }

    pub(crate) fn slot(&self) -> Slot {
        self.inner.inbox.slot()
    }

    /// Waits for the connection; false when it was closed for good.
    pub(crate) async fn wait_connected(&self) -> bool {
        let mut changes = self.on_change();
        loop {
            if self.connected() {
                return true;
            }
            if *changes.borrow_and_update() == LinkState::Closed {
                return false;
            }
            // Whichever it was, the next turn looks.
            drop(timeout(LINK_LOOK_INTERVAL, changes.changed()).await);
        }
    }
}

fn parse_addresses(options: &ConnectOptions) -> Result<Vec<async_nats::ServerAddr>, ConnectError> {
    let invalid = |source| ConnectError::Url { url: options.url.clone(), source };
    let addresses = options.addresses();
    if addresses.is_empty() {
        return Err(invalid(std::io::Error::other("there is no address in it")));
    }
    addresses.into_iter().map(|address| address.parse().map_err(invalid)).collect()
}

/// What there is to log in with.
fn login(credentials: &Credentials) -> Option<Login> {
    match credentials {
        Credentials::CredsFile(path) => Some(Login::from_file(path.clone())),
        Credentials::Creds(creds) => Some(Login::given(creds.clone())),
        Credentials::None => None,
    }
}

fn nats_options(
    options: &ConnectOptions,
    link: &Arc<Link>,
    login: Option<&Login>,
) -> async_nats::ConnectOptions {
    let (events, link) = (Arc::clone(link), Arc::clone(link));
    let nats = login.map_or_else(async_nats::ConnectOptions::new, Login::options);
    let nats = nats
        .name(&options.name)
        .custom_inbox_prefix(&options.inbox_prefix)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_ATTEMPT_TIMEOUT)
        .max_reconnects(options.max_reconnects)
        .reconnect_delay_callback(move |attempt| link.reconnect_delay(attempt))
        .event_callback(move |event| {
            let link = Arc::clone(&events);
            async move { link.hear(event) }
        });
    match &options.ca {
        Some(path) => nats.add_root_certificates(path.clone()),
        None => nats,
    }
}

fn connect_error(
    options: &ConnectOptions,
    login: Option<&Login>,
    source: async_nats::ConnectError,
) -> ConnectError {
    use async_nats::ConnectErrorKind as Kind;
    if let Some(source) = login.and_then(Login::take_error) {
        return ConnectError::Login { principal: options.principal.clone(), source };
    }
    let url = options.url.clone();
    match source.kind() {
        Kind::Authentication | Kind::AuthorizationViolation => {
            ConnectError::Refused { url, principal: options.principal.clone(), source }
        }
        Kind::ServerParse
        | Kind::Dns
        | Kind::TimedOut
        | Kind::Tls
        | Kind::Io
        | Kind::MaxReconnects => ConnectError::Unreachable { url, source },
    }
}
