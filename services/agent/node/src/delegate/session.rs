//! What one run asks for, line by line.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent_core::{Budget, Spent, Wanted};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use schemas::{
    ErrorCode, Fault, FaultClass, TaskId,
    claims::RequestClaims,
    scheduler::{OutputAnswer, OutputRequest, SubmitAnswer, SubmitRequest, TaskRequest, verb},
    strict,
    subject::ServiceName,
    task::{Outcome, TaskView},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
        BufReader,
    },
    time::sleep,
};
use trust::{Request, sign};

use super::{Ask, Desk, LINE_BYTES_MAX, Reply, Submit};
use crate::{clock, membership};

/// How long a submission may take with the client's own retries.
const SUBMIT_WITHIN: Duration = Duration::from_secs(30);
/// How long one look at a task may take.
const LOOK_WITHIN: Duration = Duration::from_secs(10);
/// How long the scheduler is asked to wait for a turn in a task's life, in milliseconds.
const TURN_WAIT_MS: u32 = 1_500;
/// Pause after a look that nobody answered.
const PAUSE_UNANSWERED: Duration = Duration::from_secs(1);

/// One run's requests.
pub(super) struct Session {
    desk: Arc<Desk>,
    budget: Mutex<Budget>,
    children: Mutex<BTreeSet<TaskId>>,
}

impl Session {
    pub(super) fn new(desk: Arc<Desk>, budget: Budget) -> Self {
        Self { desk, budget: Mutex::new(budget), children: Mutex::default() }
    }

    /// Answers one connection until it ends.
    pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) {
        let mut stream = BufReader::new(stream);
        while let Ok(Some(line)) = read_line(&mut stream).await {
            let reply = self.answer(&line).await.unwrap_or_else(Reply::Fault);
            if stream.write_all(&super::line(&reply)).await.is_err() || LINE_BYTES_MAX < line.len()
            {
                return;
            }
        }
    }

    async fn answer(&self, line: &[u8]) -> Result<Reply, Fault> {
        if LINE_BYTES_MAX < line.len() {
            let message = format!("a line has at most {LINE_BYTES_MAX} bytes");
            return Err(Fault::new(ErrorCode::TooLarge, message));
        }
        match strict::parse_within(line, LINE_BYTES_MAX)? {
            Ask::Submit(wanted) => self.submit(*wanted).await.map(Reply::Task),
            Ask::Wait(task) => {
                self.wait(task).await.map(|outcome| Reply::Outcome(Box::new(outcome)))
            }
        }
    }

    async fn submit(&self, wanted: Submit) -> Result<TaskId, Fault> {
        let (claims, spent) = self.claims(wanted)?;
        let submitted = self.hand_in(&claims).await;
        match &submitted {
            Ok(task) => {
                let parent = claims.parent.as_ref().map(tracing::field::display);
                tracing::info!(%task, parent, "a run asked for a task");
                locked(&self.children).insert(task.clone());
            }
            // Nobody will carry out what the scheduler has refused.
            Err(fault) if is_certain(fault) => locked(&self.budget).give_back(spent),
            Err(_) => (),
        }
        submitted
    }

    fn claims(&self, wanted: Submit) -> Result<(RequestClaims, Spent), Fault> {
        let Submit { audience, spec, grants, lives_s } = wanted;
        let spec_json = serde_json::to_string(&spec)
            .map_err(|error| Fault::new(ErrorCode::SpecInvalid, error.to_string()))?;
        let wanted = Wanted { audience, spec, spec_json, grants, lives_s };
        locked(&self.budget).ask(&wanted, clock::wall().seconds(), rand::random())
    }

    async fn hand_in(&self, claims: &RequestClaims) -> Result<TaskId, Fault> {
        let desk = &self.desk;
        let envelope = sign::<Request>(claims, &desk.cluster, &desk.key)
            .map_err(|error| Fault::new(ErrorCode::ClaimsInvalid, error.to_string()))?;
        let request = SubmitRequest {
            envelope: Some(STANDARD.encode(envelope)),
            certificates: self.certificates()?,
            rendering: None,
        };
        let call = desk.client.call(ServiceName::Scheduler, verb::SUBMIT);
        let call = call.deadline(SUBMIT_WITHIN).trace(claims.trace.clone());
        let answer: SubmitAnswer = call.send(&request).await?;
        Ok(answer.task)
    }

    fn certificates(&self) -> Result<Vec<String>, Fault> {
        let Some(path) = &self.desk.certificates else { return Ok(Vec::new()) };
        membership::read_lines(path).map_err(|error| {
            let message = format!("the node's certificates cannot be read: {error}");
            Fault::new(ErrorCode::CertificateInvalid, message)
        })
    }

    async fn wait(&self, task: TaskId) -> Result<Outcome, Fault> {
        if !locked(&self.children).contains(&task) {
            let message = format!("this run has not asked for task {task}");
            return Err(Fault::new(ErrorCode::TaskNotFound, message));
        }
        loop {
            match self.look(&task).await {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => (),
                Err(fault) if is_certain(&fault) => return Err(fault),
                Err(fault) => {
                    tracing::debug!(%fault, %task, "nobody tells how a run's task is");
                    sleep(PAUSE_UNANSWERED).await;
                }
            }
        }
    }

    /// How the task ended, after waiting a while for its end.
    async fn look(&self, task: &TaskId) -> Result<Option<Outcome>, Fault> {
        let view: TaskView = self.ask(verb::GET_TASK, &TaskRequest { id: task.clone() }).await?;
        if view.state.is_final() {
            let unsaid = || {
                let last = view.refusals.last().map(|refusal| refusal.fault.clone());
                let message = format!("task {task} has ended as {}", view.state.as_str());
                last.unwrap_or_else(|| Fault::new(ErrorCode::TaskFinished, message))
            };
            return view.outcome.clone().map(Some).ok_or_else(unsaid);
        }
        let turn = OutputRequest {
            id: task.clone(),
            after: None,
            known: Some(view.state),
            wait_ms: Some(TURN_WAIT_MS),
        };
        self.ask::<_, OutputAnswer>(verb::OUTPUT, &turn).await?;
        Ok(None)
    }

    async fn ask<Req: Serialize, Ans: DeserializeOwned>(
        &self,
        verb: &str,
        request: &Req,
    ) -> Result<Ans, Fault> {
        let call = self.desk.client.call(ServiceName::Scheduler, verb);
        call.deadline(LOOK_WITHIN).send(request).await
    }
}

/// A line without its end; longer than any may be if it is too long; nothing at the end.
async fn read_line<S: AsyncRead + Unpin>(
    stream: &mut BufReader<S>,
) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = u64::try_from(LINE_BYTES_MAX + 1).expect("a usize fits 64 bits");
    if stream.take(most).read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}

/// Whether somebody said no, and not merely nothing.
fn is_certain(fault: &Fault) -> bool {
    ![FaultClass::Unavailable, FaultClass::TimedOut].contains(&fault.code.class())
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
