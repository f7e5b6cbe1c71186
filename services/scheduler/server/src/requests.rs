//! Requests and heartbeats, from bytes to what the core understands.
//!
//! **Invariant:** a submission reaches the core only when its signature was verified, and that of
//! every task that led to it.
//! **Invariant:** what a node says is said in the name that the broker let through, never in one
//! that the message names.

use runtime::{Caller, Request};
use scheduler_core::{
    CancelTarget, Command, Observation, PageKey, Query, Question, Run, Scheduler, limits,
};
use schemas::{
    ErrorCode, Fault, Timestamp,
    agent::Heartbeat,
    protocol::OUTPUT_WAIT_MAX,
    scheduler::{
        CancelRequest, GetTasksRequest, OutputRequest, RefuseRequest, ReportRequest, StartRequest,
        SubmitRequest, TaskRequest, verb,
    },
    strict,
    subject::{self, ServiceName},
};

use crate::verifier::{Judged, Verifier};

/// Reads a request.
pub(crate) fn read(
    verifier: &Verifier,
    verb: &str,
    body: &[u8],
    caller: &Caller,
) -> Result<Request<Scheduler>, Fault> {
    match verb {
        verb::SUBMIT => submit(verifier, body, caller),
        verb::START => start(body, caller),
        verb::REPORT => report(body, caller),
        verb::REFUSE => refuse(body, caller),
        verb::CANCEL => cancel(body, caller),
        verb::FORCE_LOST => force_lost(body, caller),
        verb::GET_TASK => about(body, caller, Question::GetTask),
        verb::GET_TASKS => get_tasks(body, caller),
        verb::OUTPUT => output(body, caller),
        verb::CHAIN => about(body, caller, Question::Chain),
        verb::WHY => about(body, caller, Question::Why),
        unknown => {
            let message = format!("the scheduler does not know {unknown:?}");
            Err(Fault::new(ErrorCode::UnknownVerb, message))
        }
    }
}

/// Reads a heartbeat.
pub(crate) fn hear(subject: &str, body: &[u8]) -> Result<Observation, Fault> {
    let heartbeat: Heartbeat = strict::parse(body)?;
    // The broker proves who may use the subject; what the body says of it proves nothing.
    if subject != subject::heartbeat(&heartbeat.node) {
        let message = format!("a heartbeat of {} came over {subject}", heartbeat.node);
        return Err(Fault::new(ErrorCode::NotAllowed, message));
    }
    Ok(Observation::Heartbeat(Box::new(heartbeat)))
}

fn submit(verifier: &Verifier, body: &[u8], caller: &Caller) -> Result<Request<Scheduler>, Fault> {
    let request: SubmitRequest = strict::parse(body)?;
    let Some(envelope) = request.envelope else {
        return Err(Fault::new(ErrorCode::Unsigned, "the request has no envelope"));
    };
    if caller.principal.as_str() == ServiceName::Scheduler.as_str() {
        return proved(verifier, &envelope);
    }
    match verifier.judge(envelope, request.certificates, Timestamp(caller.now_ms))? {
        Judged::Believed(submission) => Ok(Request::Unrepeatable(Command::Submit(submission))),
        Judged::OfTask(handed) => Ok(query(caller, Question::Lineage(handed))),
    }
}

/// What this very process verified with its chain and hands in again.
fn proved(verifier: &Verifier, envelope: &str) -> Result<Request<Scheduler>, Fault> {
    let submission = verifier.recall(envelope).ok_or_else(|| {
        let message = "the request was verified by an instance that writes no more";
        Fault::new(ErrorCode::NotTheWriter, message).with_hint("hand the same request in again")
    })?;
    Ok(Request::Unrepeatable(Command::Submit(Box::new(submission))))
}

fn query(caller: &Caller, question: Question) -> Request<Scheduler> {
    Request::Query(Query { by: caller.principal.clone(), question })
}

fn start(body: &[u8], caller: &Caller) -> Result<Request<Scheduler>, Fault> {
    let StartRequest { task, epoch, instance, ask } = strict::parse(body)?;
    let run = Run { node: caller.principal.clone(), instance, task, epoch };
    Ok(Request::Unrepeatable(Command::Start { run, ask }))
}

fn report(body: &[u8], caller: &Caller) -> Result<Request<Scheduler>, Fault> {
    let ReportRequest { task, epoch, instance, outcome } = strict::parse(body)?;
    let run = Run { node: caller.principal.clone(), instance, task, epoch };
    Ok(Request::Unrepeatable(Command::Report { run, outcome: Box::new(outcome) }))
}

fn refuse(body: &[u8], caller: &Caller) -> Result<Request<Scheduler>, Fault> {
    let RefuseRequest { task, epoch, instance, fault } = strict::parse(body)?;
    let run = Run { node: caller.principal.clone(), instance, task, epoch };
    Ok(Request::Unrepeatable(Command::Refuse { run, fault }))
}

fn cancel(body: &[u8], caller: &Caller) -> Result<Request<Scheduler>, Fault> {
    let target = match strict::parse(body)? {
        CancelRequest { id: Some(id), select: None } => CancelTarget::One(id),
        CancelRequest { id: None, select: Some(selection) } => CancelTarget::Select(selection),
        CancelRequest { id: Some(_), select: Some(_) }
        | CancelRequest { id: None, select: None } => {
            let message = "name either id or select";
            return Err(Fault::new(ErrorCode::InvalidValue, message));
        }
    };
    Ok(Request::Command(Command::Cancel { by: caller.principal.clone(), target }))
}

fn force_lost(body: &[u8], caller: &Caller) -> Result<Request<Scheduler>, Fault> {
    let TaskRequest { id: task } = strict::parse(body)?;
    Ok(Request::Command(Command::ForceLost { by: caller.principal.clone(), task }))
}

fn get_tasks(body: &[u8], caller: &Caller) -> Result<Request<Scheduler>, Fault> {
    let GetTasksRequest { select, after, limit } = strict::parse(body)?;
    let limit = limit.map_or(Ok(limits::PAGE_DEFAULT), |limit| {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if (1..=limits::PAGE_MAX).contains(&limit) {
            return Ok(limit);
        }
        let message = format!("limit: must be 1 to {}", limits::PAGE_MAX);
        Err(Fault::new(ErrorCode::InvalidValue, message))
    })?;
    let after = after.as_deref().map(PageKey::parse).transpose()?;
    Ok(query(caller, Question::GetTasks { select, after, limit }))
}

fn output(body: &[u8], caller: &Caller) -> Result<Request<Scheduler>, Fault> {
    let request: OutputRequest = strict::parse(body)?;
    let limit_ms = OUTPUT_WAIT_MAX.as_millis();
    if request.wait_ms.is_some_and(|wait_ms| limit_ms < u128::from(wait_ms)) {
        let message = format!("wait_ms: must be {limit_ms} at most");
        return Err(Fault::new(ErrorCode::InvalidValue, message));
    }
    Ok(query(caller, Question::Output(request)))
}

fn about(
    body: &[u8],
    caller: &Caller,
    question: fn(schemas::TaskId) -> Question,
) -> Result<Request<Scheduler>, Fault> {
    strict::parse::<TaskRequest>(body).map(|request| query(caller, question(request.id)))
}
