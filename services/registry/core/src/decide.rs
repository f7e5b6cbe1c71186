//! Which events follow from a command, or why none may.

use decider::Decided;
use schemas::{
    ErrorCode, Fault, PrincipalId, Timestamp,
    manifest::{MANIFEST_ENTRIES_MAX, TEXT_BYTES_MAX},
    principal::UserRole,
    protocol::{PROTOCOL_VERSION, check_version},
    registry::{
        AgentStatus, AgentView, DeregisterAnswer, RegisterAnswer, RegisterRequest, RegistryEvent,
        StatusSet, UpdateStatusRequest,
    },
};

use crate::{
    Agent, Answer, Command, Facts, Listing, Registry, State, due, evolve, presence,
    principals::{self, Refusal, Sight},
};

/// Why a command or a query is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// What was sent makes no sense by itself; the fault says what.
    #[error(transparent)]
    Invalid(#[from] Fault),
    /// A rule about who may take part says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The id belongs to whoever announced it first or has keys of that name, for ever.
    #[error("{agent} is somebody else's; nobody but them may register it")]
    AgentIdTaken {
        /// The id.
        agent: PrincipalId,
    },
    /// A node speaks for itself alone.
    #[error("{caller} sent a node's report for {agent}; only {agent} may send its own")]
    NodeReportOfAnother {
        /// Who sent it.
        caller: PrincipalId,
        /// Whose it would be.
        agent: PrincipalId,
    },
    /// Nobody of that name is registered.
    #[error("{agent} is not registered")]
    AgentNotFound {
        /// The name.
        agent: PrincipalId,
    },
    /// Only the owner, the registrant and (where it says so) the agent itself may do that.
    #[error("{caller} may not {what} {agent}; {owner} owns it and {registrant} registered it")]
    NotAllowed {
        /// Who asks.
        caller: PrincipalId,
        /// What for, for example `deregister`.
        what: &'static str,
        /// Which agent it is about.
        agent: PrincipalId,
        /// Who owns that agent.
        owner: PrincipalId,
        /// Who registered it.
        registrant: PrincipalId,
    },
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        let message = rejection.to_string();
        match rejection {
            Rejection::Invalid(fault) => fault,
            Rejection::Refused(refusal) => refusal.into(),
            Rejection::AgentIdTaken { .. } => Self::new(ErrorCode::AgentIdTaken, message),
            Rejection::NodeReportOfAnother { .. } => Self::new(ErrorCode::NotAllowed, message)
                .with_hint("leave `node` out to register an agent without a node of its own"),
            Rejection::AgentNotFound { .. } => Self::new(ErrorCode::AgentNotFound, message),
            Rejection::NotAllowed { .. } => Self::new(ErrorCode::NotAllowed, message),
        }
    }
}

type Outcome = Result<Decided<Registry>, Rejection>;

/// Decides on a command.
pub(crate) fn decide(state: &State, command: &Command, facts: &Facts) -> Outcome {
    match command {
        Command::Register { caller, request } => register(state, facts, caller, request),
        Command::UpdateStatus { caller, request } => update_status(state, facts, caller, request),
        Command::Deregister { caller, agent } => deregister(state, caller, agent),
        Command::Order(order) => principals::order(state, order, facts),
        Command::Redeem(redemption) => principals::redeem(state, redemption, facts),
        Command::Renew { caller } => principals::renew(state, caller, facts),
        Command::Seat(seat) => principals::seat(state, seat),
        Command::ReportDenials { caller, request } => {
            principals::report_denials(state, caller, request)
        }
        Command::Review { agent } => Ok(review(state, facts, agent)),
        Command::Archive { agent } => Ok(archive(state, facts, agent)),
    }
}

fn register(
    state: &State,
    facts: &Facts,
    caller: &PrincipalId,
    request: &RegisterRequest,
) -> Outcome {
    let agent = &request.manifest.id;
    request.manifest.validate()?;
    if let Some(node) = &request.node {
        check_version(node.protocol)?;
        if caller != agent {
            let (caller, agent) = (caller.clone(), agent.clone());
            return Err(Rejection::NodeReportOfAnother { caller, agent });
        }
    }
    let owner = principals::admit_agent(state, caller, request, Timestamp(facts.now_ms))?;
    let before = state.agent(agent);
    let confirmed = principals::heard(state.principals(), caller).filter(|_| caller == agent);
    let mut events: Vec<_> = confirmed.into_iter().collect();
    if !before.is_some_and(|before| says_the_same(before, (caller, &owner), request)) {
        events.push(RegistryEvent::AgentRegistered {
            manifest: Box::new(request.manifest.clone()),
            node: request.node.clone().map(Box::new),
            registrant: caller.clone(),
            owner,
        });
        events.extend(before.and_then(|before| came_back(before, caller)));
    }
    let after = after(before, &events, facts);
    let agent = after.as_ref().or(before).expect("a registration leaves an agent");
    let answer = RegisterAnswer { agent: recorded_view(agent), protocol: PROTOCOL_VERSION };
    Ok(Decided { events, answer: Answer::Registered(Box::new(answer)) })
}

fn says_the_same(
    before: &Agent,
    (registrant, owner): (&PrincipalId, &PrincipalId),
    request: &RegisterRequest,
) -> bool {
    before.is_listed()
        && before.registrant == *registrant
        && before.manifest == request.manifest
        && before.node == request.node
        && before.owner == *owner
}

/// Who announces itself is there: waiting for its heartbeat would show it offline until then.
fn came_back(before: &Agent, caller: &PrincipalId) -> Option<RegistryEvent> {
    let by_itself = caller == before.id() && before.present == AgentStatus::Offline;
    by_itself.then(|| RegistryEvent::AgentStatusChanged {
        agent: before.id().clone(),
        from: before.present,
        to: AgentStatus::Online,
        reason: "it registered".to_owned(),
    })
}

fn update_status(
    state: &State,
    facts: &Facts,
    caller: &PrincipalId,
    request: &UpdateStatusRequest,
) -> Outcome {
    principals::check_standing(state.principals(), caller)?;
    let before = seen(state, caller, registered(state, &request.id)?)?;
    if !(before.is_managed_by(caller) || is_admin(state, caller)) {
        return Err(not_allowed(before, caller, "set the status of"));
    }
    check_details(request)?;
    let events = match request.status {
        AgentStatus::Online => released(before, facts, caller),
        AgentStatus::Degraded | AgentStatus::Offline | AgentStatus::Maintenance => {
            set_by_hand(before, caller, request)
        }
    };
    let after = after(Some(before), &events, facts);
    let answer = recorded_view(after.as_ref().unwrap_or(before));
    Ok(Decided { events, answer: Answer::Agent(Box::new(answer)) })
}

fn set_by_hand(
    before: &Agent,
    caller: &PrincipalId,
    request: &UpdateStatusRequest,
) -> Vec<RegistryEvent> {
    let (status, details) = (request.status, request.details.clone());
    let set = StatusSet { by: caller.clone(), status, details };
    if before.set.as_ref() == Some(&set) {
        return Vec::new();
    }
    vec![RegistryEvent::AgentStatusSet { agent: before.id().clone(), set }]
}

fn released(before: &Agent, facts: &Facts, caller: &PrincipalId) -> Vec<RegistryEvent> {
    if before.set.is_none() {
        return Vec::new();
    }
    let (agent, by) = (before.id().clone(), caller.clone());
    let release = RegistryEvent::AgentStatusReleased { agent, by };
    // Presence went on while it was not shown.
    std::iter::once(release).chain(reviewed(before, facts)).collect()
}

fn check_details(request: &UpdateStatusRequest) -> Result<(), Fault> {
    let long = |text: &String| TEXT_BYTES_MAX < text.len();
    let details = &request.details;
    if MANIFEST_ENTRIES_MAX < details.len() {
        let message = format!("details has more than {MANIFEST_ENTRIES_MAX} entries");
        return Err(Fault::new(ErrorCode::InvalidValue, message));
    }
    if details.iter().any(|(key, value)| long(key) || long(value)) {
        let message = format!("an entry of details is longer than {TEXT_BYTES_MAX} bytes");
        return Err(Fault::new(ErrorCode::InvalidValue, message));
    }
    Ok(())
}

fn deregister(state: &State, caller: &PrincipalId, agent: &PrincipalId) -> Outcome {
    principals::check_standing(state.principals(), caller)?;
    let before = state.agent(agent).ok_or_else(|| not_found(agent))?;
    let before = seen(state, caller, before)?;
    if !(before.is_held_by(caller) || is_admin(state, caller)) {
        return Err(not_allowed(before, caller, "deregister"));
    }
    let mut events = Vec::new();
    if before.listing != Listing::Deregistered {
        let (agent, by) = (agent.clone(), caller.clone());
        events.push(RegistryEvent::AgentDeregistered { agent, by });
    }
    let answer = Answer::Deregistered(DeregisterAnswer { id: agent.clone() });
    Ok(Decided { events, answer })
}

fn review(state: &State, facts: &Facts, agent: &PrincipalId) -> Decided<Registry> {
    let shown = registered(state, agent).ok().filter(|agent| agent.set.is_none());
    let events = shown.and_then(|agent| reviewed(agent, facts)).into_iter().collect();
    Decided { events, answer: Answer::Nothing }
}

fn reviewed(agent: &Agent, facts: &Facts) -> Option<RegistryEvent> {
    let verdict = presence::change(agent, facts.beats.get(agent.id()), facts)?;
    Some(RegistryEvent::AgentStatusChanged {
        agent: agent.id().clone(),
        from: agent.present,
        to: verdict.status,
        reason: verdict.reason,
    })
}

fn archive(state: &State, facts: &Facts, agent: &PrincipalId) -> Decided<Registry> {
    let forgotten = state.agent(agent).filter(|agent| due::is_forgotten(agent, facts));
    let event = forgotten.map(|agent| RegistryEvent::AgentArchived { agent: agent.id().clone() });
    Decided { events: event.into_iter().collect(), answer: Answer::Nothing }
}

/// An agent in the answer to a command. Such answers are recorded, and heartbeats never are.
fn recorded_view(agent: &Agent) -> AgentView {
    agent.view(None)
}

/// The agent as the events leave it; nothing when there are none.
fn after(before: Option<&Agent>, events: &[RegistryEvent], facts: &Facts) -> Option<Agent> {
    let at = Timestamp(facts.now_ms);
    events.iter().fold(None, |agent, event| evolve::applied(agent.as_ref().or(before), event, at))
}

/// An agent that was announced and not deregistered since.
pub(crate) fn registered<'a>(state: &'a State, id: &PrincipalId) -> Result<&'a Agent, Rejection> {
    let agent = state.agent(id).filter(|agent| agent.listing != Listing::Deregistered);
    agent.ok_or_else(|| not_found(id))
}

/// The agent, for whoever may know of it.
fn seen<'a>(state: &State, viewer: &PrincipalId, agent: &'a Agent) -> Result<&'a Agent, Rejection> {
    let may_know = agent.is_managed_by(viewer) || Sight::of(state, viewer).agent(agent);
    if may_know { Ok(agent) } else { Err(not_found(agent.id())) }
}

fn is_admin(state: &State, who: &PrincipalId) -> bool {
    state.principals().role(who) == Some(UserRole::Admin)
}

pub(crate) fn not_found(id: &PrincipalId) -> Rejection {
    Rejection::AgentNotFound { agent: id.clone() }
}

pub(crate) fn not_allowed(agent: &Agent, caller: &PrincipalId, what: &'static str) -> Rejection {
    Rejection::NotAllowed {
        caller: caller.clone(),
        what,
        agent: agent.id().clone(),
        owner: agent.owner.clone(),
        registrant: agent.registrant.clone(),
    }
}
