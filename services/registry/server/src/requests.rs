//! Requests and heartbeats, from bytes to what the core understands.

use registry_core::{Command, MembershipQuestion, Observation, Query, Question, Registry};
use runtime::{Caller, Request};
use schemas::{
    ErrorCode, Fault, PrincipalId, Timestamp,
    agent::Heartbeat,
    enrolment::{
        GetInvitesRequest, GetRosterRequest, GetTokensRequest, OrderRequest, RedeemRequest,
        RenewRequest, UnsealRequest,
    },
    registry::{AgentRequest, RegisterRequest, ReportDenialsRequest, UpdateStatusRequest, verb},
    strict, subject,
};

use crate::{Issuing, complete::issues_nothing, orders};

/// Reads a request.
pub(crate) fn read(
    issuing: Option<&Issuing>,
    verb: &str,
    body: &[u8],
    caller: &Caller,
) -> Result<Request<Registry>, Fault> {
    let ask = |question| Ok(query(caller, question));
    match verb {
        verb::REGISTER => register(body, caller),
        verb::HEARTBEAT => heartbeat(body, caller),
        verb::GET_AGENTS => ask(Question::GetAgents(strict::parse(body)?)),
        verb::GET_AGENT => ask(Question::GetAgent(named(body)?)),
        verb::WHO_CAN => ask(Question::WhoCan(strict::parse(body)?)),
        verb::GET_CAPABILITIES => ask(Question::GetCapabilities(named(body)?)),
        verb::CAN_TASK => ask(Question::CanTask(strict::parse(body)?)),
        verb::UPDATE_STATUS => update_status(body, caller),
        verb::RELATIONSHIPS => ask(Question::Relationships(named(body)?)),
        verb::DEREGISTER => deregister(body, caller),
        // An order is taken once and a redemption is one key set's, however often they come; their
        // answers are made anew, for they carry logins that run out.
        verb::ORDER => {
            strict::parse::<OrderRequest>(body)?;
            let issuing = issuing.ok_or_else(issues_nothing)?;
            orders::order(issuing, body, caller).map(Request::Unrepeatable)
        }
        verb::REDEEM => {
            strict::parse::<RedeemRequest>(body)?;
            let issuing = issuing.ok_or_else(issues_nothing)?;
            orders::redeem(issuing, body, caller).map(Request::Unrepeatable)
        }
        verb::RENEW => {
            strict::parse::<RenewRequest>(body)?;
            Ok(Request::Unrepeatable(Command::Renew { caller: caller.principal.clone() }))
        }
        verb::GET_ROSTER => {
            strict::parse::<GetRosterRequest>(body)?;
            ask(Question::Membership(MembershipQuestion::Roster))
        }
        verb::GET_PRINCIPALS => {
            ask(Question::Membership(MembershipQuestion::Principals(strict::parse(body)?)))
        }
        verb::GET_INVITES => {
            strict::parse::<GetInvitesRequest>(body)?;
            ask(Question::Membership(MembershipQuestion::Invites))
        }
        verb::GET_TOKENS => {
            let GetTokensRequest { after } = strict::parse(body)?;
            ask(Question::Membership(MembershipQuestion::Tokens(after)))
        }
        verb::REPORT_DENIALS => report_denials(body, caller),
        verb::UNSEAL => {
            let UnsealRequest { token } = strict::parse(body)?;
            ask(Question::Membership(MembershipQuestion::Unseal(token)))
        }
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
    let question = Question::Heartbeat(heartbeat.node.clone());
    let query = Query { asker: by.clone(), question };
    let observation = Observation::Heard { by, heartbeat: Box::new(heartbeat), at };
    Ok(Request::Observe(observation, query))
}

fn update_status(body: &[u8], caller: &Caller) -> Result<Request<Registry>, Fault> {
    let request: UpdateStatusRequest = strict::parse(body)?;
    Ok(Request::Command(Command::UpdateStatus { caller: caller.principal.clone(), request }))
}

fn report_denials(body: &[u8], caller: &Caller) -> Result<Request<Registry>, Fault> {
    let request: ReportDenialsRequest = strict::parse(body)?;
    Ok(Request::Command(Command::ReportDenials { caller: caller.principal.clone(), request }))
}

fn deregister(body: &[u8], caller: &Caller) -> Result<Request<Registry>, Fault> {
    let AgentRequest { id: agent } = strict::parse(body)?;
    Ok(Request::Command(Command::Deregister { caller: caller.principal.clone(), agent }))
}

fn named(body: &[u8]) -> Result<PrincipalId, Fault> {
    strict::parse::<AgentRequest>(body).map(|request| request.id)
}

fn query(caller: &Caller, question: Question) -> Request<Registry> {
    Request::Query(Query { asker: caller.principal.clone(), question })
}
