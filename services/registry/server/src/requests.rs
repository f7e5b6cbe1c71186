//! Requests and heartbeats, from bytes to what the core understands.

use registry_core::{Command, Observation, Query, Registry};
use runtime::{Caller, Request};
use schemas::{
    ErrorCode, Fault, Timestamp,
    agent::Heartbeat,
    registry::{
        AgentRequest, CanTaskRequest, GetAgentsRequest, RegisterRequest, UpdateStatusRequest,
        WhoCanRequest, verb,
    },
    strict, subject,
};

/// Reads a request.
pub(crate) fn read(verb: &str, body: &[u8], caller: &Caller) -> Result<Request<Registry>, Fault> {
    match verb {
        verb::REGISTER => register(body, caller),
        verb::HEARTBEAT => heartbeat(body, caller),
        verb::GET_AGENTS => {
            strict::parse::<GetAgentsRequest>(body).map(|it| Request::Query(Query::GetAgents(it)))
        }
        verb::GET_AGENT => about(body, Query::GetAgent),
        verb::WHO_CAN => {
            strict::parse::<WhoCanRequest>(body).map(|it| Request::Query(Query::WhoCan(it)))
        }
        verb::GET_CAPABILITIES => about(body, Query::GetCapabilities),
        verb::CAN_TASK => {
            strict::parse::<CanTaskRequest>(body).map(|it| Request::Query(Query::CanTask(it)))
        }
        verb::UPDATE_STATUS => update_status(body, caller),
        verb::RELATIONSHIPS => about(body, Query::Relationships),
        verb::DEREGISTER => deregister(body, caller),
        unknown => {
            let message = format!("the registry does not know {unknown:?}");
            Err(Fault::new(ErrorCode::UnknownVerb, message))
        }
    }
}

/// Reads a heartbeat that came over its own subject.
pub(crate) fn hear(subject: &str, body: &[u8], now_ms: u64) -> Result<Observation, Fault> {
    let heartbeat: Heartbeat = strict::parse(body)?;
    // The broker proves who may use the subject; what the body says of it proves nothing.
    if subject != subject::heartbeat(&heartbeat.node) {
        let message = format!("a heartbeat of {} came over {subject}", heartbeat.node);
        return Err(Fault::new(ErrorCode::NotAllowed, message));
    }
    let (by, at) = (heartbeat.node.clone(), Timestamp(now_ms));
    Ok(Observation::Heard { by, heartbeat: Box::new(heartbeat), at })
}

fn register(body: &[u8], caller: &Caller) -> Result<Request<Registry>, Fault> {
    let request: RegisterRequest = strict::parse(body)?;
    let caller = caller.principal.clone();
    Ok(Request::Command(Command::Register { caller, request: Box::new(request) }))
}

fn heartbeat(body: &[u8], caller: &Caller) -> Result<Request<Registry>, Fault> {
    let heartbeat: Heartbeat = strict::parse(body)?;
    let (by, at) = (caller.principal.clone(), Timestamp(caller.now_ms));
    let query = Query::Heartbeat { caller: by.clone(), agent: heartbeat.node.clone() };
    let observation = Observation::Heard { by, heartbeat: Box::new(heartbeat), at };
    Ok(Request::Observe(observation, query))
}

fn update_status(body: &[u8], caller: &Caller) -> Result<Request<Registry>, Fault> {
    let request: UpdateStatusRequest = strict::parse(body)?;
    Ok(Request::Command(Command::UpdateStatus { caller: caller.principal.clone(), request }))
}

fn deregister(body: &[u8], caller: &Caller) -> Result<Request<Registry>, Fault> {
    let AgentRequest { id: agent } = strict::parse(body)?;
    Ok(Request::Command(Command::Deregister { caller: caller.principal.clone(), agent }))
}

fn about(
    body: &[u8],
    query: fn(schemas::PrincipalId) -> Query,
) -> Result<Request<Registry>, Fault> {
    strict::parse::<AgentRequest>(body).map(|request| Request::Query(query(request.id)))
}
