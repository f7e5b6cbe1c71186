//! Requests and heartbeats, from bytes to what the core understands.
//!
//! **Invariant:** a submission reaches the core only when its signature was verified.
//! **Invariant:** what a node says is said in the name that the broker let through, never in one
//! that the message names.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use runtime::{Caller, Request};
use scheduler_core::{
    CancelTarget, Command, Observation, PageKey, Query, Run, Scheduler, Submission, limits,
};
use schemas::{
    ErrorCode, Fault, Timestamp,
    agent::Heartbeat,
    protocol::OUTPUT_WAIT_MAX,
    scheduler::{
        CancelRequest, GetTasksRequest, OutputRequest, RefuseRequest, ReportRequest, StartRequest,
        SubmitRequest, TaskRequest, verb,
    },
    strict, subject,
};
use trust::{ENVELOPE_BYTES_MAX, Recipient, Trust, TrustAnchors, Unverified};

/// The only partition of the scheduler's log.
const PARTITION: u32 = 0;

/// Reads a request.
pub(crate) fn read(
    anchors: &TrustAnchors,
    verb: &str,
    body: &[u8],
    caller: &Caller,
) -> Result<Request<Scheduler>, Fault> {
    match verb {
        verb::SUBMIT => submit(anchors, body, caller),
        verb::START => start(body, caller),
        verb::REPORT => report(body, caller),
        verb::REFUSE => refuse(body, caller),
        verb::CANCEL => cancel(body, caller),
        verb::FORCE_LOST => force_lost(body, caller),
        verb::GET_TASK => about(body, Query::GetTask),
        verb::GET_TASKS => get_tasks(body),
        verb::OUTPUT => output(body),
        verb::WHY => about(body, Query::Why),
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

fn submit(
    anchors: &TrustAnchors,
    body: &[u8],
    caller: &Caller,
) -> Result<Request<Scheduler>, Fault> {
    let request: SubmitRequest = strict::parse(body)?;
    let Some(envelope) = request.envelope else {
        return Err(Fault::new(ErrorCode::Unsigned, "the request has no envelope"));
    };
    let submission = verify(anchors, envelope, Timestamp(caller.now_ms))?;
    Ok(Request::Unrepeatable(Command::Submit(Box::new(submission))))
}

/// The task that a signed request asks for.
fn verify(anchors: &TrustAnchors, envelope: String, now: Timestamp) -> Result<Submission, Fault> {
    let bytes = decode(&envelope)?;
    let recipient = Recipient::Scheduler { partition: PARTITION };
    let verified = Unverified::new(&bytes)
        .verify::<trust::Request>(Trust { anchors, now }, &recipient)
        .map_err(|error| error.to_fault())?;
    let claims = verified.claims();
    Ok(Submission {
        task: verified.task().clone(),
        envelope_hash: verified.envelope_hash(),
        spec: verified.spec().clone(),
        issuer: claims.issuer.clone(),
        subject: claims.subject.clone(),
        audience: claims.audience.clone(),
        certificates: Vec::new(),
        grants: claims.grants.clone(),
        parent: claims.parent.clone(),
        expires_at: Timestamp::from_seconds(claims.expires_at_s),
        envelope,
    })
}

fn decode(envelope: &str) -> Result<Vec<u8>, Fault> {
    let bytes = envelope.len() / 4 * 3;
    if ENVELOPE_BYTES_MAX + 2 < bytes {
        let message = format!("about {bytes} bytes signed, the limit is {ENVELOPE_BYTES_MAX}");
        return Err(Fault::new(ErrorCode::EnvelopeTooLarge, message));
    }
    STANDARD.decode(envelope).map_err(|error| {
        let message = format!("the envelope is not base64: {error}");
        Fault::new(ErrorCode::EnvelopeMalformed, message)
    })
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

fn get_tasks(body: &[u8]) -> Result<Request<Scheduler>, Fault> {
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
    Ok(Request::Query(Query::GetTasks { select, after, limit }))
}

fn output(body: &[u8]) -> Result<Request<Scheduler>, Fault> {
    let request: OutputRequest = strict::parse(body)?;
    let limit_ms = OUTPUT_WAIT_MAX.as_millis();
    if request.wait_ms.is_some_and(|wait_ms| limit_ms < u128::from(wait_ms)) {
        let message = format!("wait_ms: must be {limit_ms} at most");
        return Err(Fault::new(ErrorCode::InvalidValue, message));
    }
    Ok(Request::Query(Query::Output(request)))
}

fn about(body: &[u8], query: fn(schemas::TaskId) -> Query) -> Result<Request<Scheduler>, Fault> {
    strict::parse::<TaskRequest>(body).map(|request| Request::Query(query(request.id)))
}
