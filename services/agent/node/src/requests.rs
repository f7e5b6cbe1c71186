//! What the node asks of the scheduler, each request in a task of its own.

use std::time::Duration;

use agent_core::{Input, RunKey};
use client::Client;
use schemas::{
    Fault,
    protocol::GO_TTL,
    scheduler::{RefuseRequest, ReportAnswer, ReportRequest, StartAnswer, StartRequest, verb},
    subject::ServiceName,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc::UnboundedSender;

/// How long a request may take with the client's own retries; well within the life of a go.
const DEADLINE: Duration = GO_TTL.checked_div(2).expect("two is not zero");
/// The same for a node that stops.
const DEADLINE_STOPPING: Duration = Duration::from_secs(1);

/// The way to the scheduler.
pub(crate) struct Requests {
    client: Client,
    inputs: UnboundedSender<Input>,
    deadline: Duration,
}

impl Requests {
    pub(crate) fn new(client: Client, inputs: UnboundedSender<Input>) -> Self {
        Self { client, inputs, deadline: DEADLINE }
    }

    /// From now on nothing is waited for long.
    pub(crate) fn hurry(&mut self) {
        self.deadline = DEADLINE_STOPPING;
    }

    pub(crate) fn ask_start(&self, request: StartRequest) {
        let key = RunKey { task: request.task.clone(), epoch: request.epoch };
        let ask = request.ask;
        self.send(verb::START, request, move |answer: Result<StartAnswer, Fault>| match answer {
            Ok(answer) => Input::StartAnswered(answer),
            Err(fault) => Input::StartFailed(key, ask, fault),
        });
    }

    pub(crate) fn report(&self, report: ReportRequest) {
        let key = RunKey { task: report.task.clone(), epoch: report.epoch };
        self.send(verb::REPORT, report, move |answer: Result<ReportAnswer, Fault>| match answer {
            Ok(_) => Input::ReportAnswered(key),
            Err(fault) => Input::ReportFailed(key, fault),
        });
    }

    pub(crate) fn refuse(&self, refusal: RefuseRequest) {
        let key = RunKey { task: refusal.task.clone(), epoch: refusal.epoch };
        tracing::info!(task = %refusal.task, epoch = refusal.epoch, fault = %refusal.fault, "refused");
        self.send(verb::REFUSE, refusal, move |answer: Result<ReportAnswer, Fault>| match answer {
            Ok(_) => Input::RefusalAnswered(key),
            Err(fault) => Input::RefusalFailed(key, fault),
        });
    }

    fn send<Req, Ans>(
        &self,
        verb: &'static str,
        request: Req,
        input: impl FnOnce(Result<Ans, Fault>) -> Input + Send + 'static,
    ) where
        Req: Serialize + Send + Sync + 'static,
        Ans: DeserializeOwned + Send + 'static,
    {
        let (client, inputs, deadline) = (self.client.clone(), self.inputs.clone(), self.deadline);
        tokio::spawn(async move {
            let call = client.call(ServiceName::Scheduler, verb).deadline(deadline);
            let answer = call.send(&request).await;
            if let Err(fault) = &answer {
                tracing::debug!(verb, %fault, "the scheduler did not take a request");
            }
            // The loop is gone only when the process ends; the next one asks again.
            drop(inputs.send(input(answer)));
        });
    }
}
