//! What each query is answered with.

use schemas::{
    Capability, Cursor, ErrorCode, Fault, PrincipalId, Timestamp,
    permission::denials,
    registry::{
        AbleAgent, AgentView, CanTaskAnswer, CanTaskRequest, CapabilitiesAnswer, GetAgentsAnswer,
        GetAgentsRequest, HeartbeatAnswer, RelationshipsAnswer, WhoCanAnswer, WhoCanRequest,
    },
};

use crate::{
    Agent, Answer, Facts, Listing, PAGE_DEFAULT, PAGE_MAX, Query, RELATIONS_MAX, Rejection, State,
    decide::{not_allowed, not_found, registered},
};

/// Answers a query.
pub(crate) fn answer(state: &State, query: &Query, facts: &Facts) -> Result<Answer, Rejection> {
    match query {
        Query::Heartbeat { caller, agent } => heartbeat(state, facts, caller, agent),
        Query::GetAgents(request) => get_agents(state, facts, request).map(Answer::Agents),
        Query::GetAgent(id) => {
            let agent = state.agent(id).ok_or_else(|| not_found(id))?;
            Ok(Answer::Agent(Box::new(view(agent, facts))))
        }
        Query::WhoCan(request) => who_can(state, request).map(Answer::WhoCan),
        Query::GetCapabilities(id) => {
            let agent = state.agent(id).ok_or_else(|| not_found(id))?;
            let capabilities = agent.manifest.capabilities.all().cloned().collect();
            Ok(Answer::Capabilities(CapabilitiesAnswer { id: id.clone(), capabilities }))
        }
        Query::CanTask(request) => can_task(state, request).map(Answer::CanTask),
        Query::Relationships(id) => {
            registered(state, id).map(|agent| Answer::Relationships(relationships(state, agent)))
        }
    }
}

/// An agent as others see it.
fn view(agent: &Agent, facts: &Facts) -> AgentView {
    let presence = match agent.listing {
        Listing::Listed | Listing::Archived => facts.presence(agent.id()),
        Listing::Deregistered => None,
    };
    agent.view(presence)
}

fn heartbeat(
    state: &State,
    facts: &Facts,
    caller: &PrincipalId,
    id: &PrincipalId,
) -> Result<Answer, Rejection> {
    let agent = registered(state, id)?;
    if caller != id && *caller != agent.registrant {
        return Err(not_allowed(agent, caller, "send heartbeats of"));
    }
    let heard = facts.beats.get(id).map(|beat| beat.presence.heard_at);
    Ok(Answer::Heartbeat(HeartbeatAnswer {
        agent: id.clone(),
        at: heard.unwrap_or(Timestamp(facts.now_ms)),
        next_within: agent.interval_s(),
    }))
}

fn get_agents(
    state: &State,
    facts: &Facts,
    request: &GetAgentsRequest,
) -> Result<GetAgentsAnswer, Rejection> {
    let limit = page(request.limit)?;
    let matches = filter(state, request)?;
    let mut rest = state.agents_after(request.after.as_ref()).filter(|agent| matches(agent));
    let agents: Vec<AgentView> =
        rest.by_ref().take(limit).map(|agent| view(agent, facts)).collect();
    let more = rest.next().is_some();
    let next = agents.last().filter(|_| more).map(|last| last.manifest.id.clone());
    Ok(GetAgentsAnswer { agents, next, cursor: Cursor::default() })
}

/// What a request selects.
fn filter<'a>(
    state: &'a State,
    request: &'a GetAgentsRequest,
) -> Result<impl Fn(&Agent) -> bool + 'a, Rejection> {
    let label = request.label.as_deref().map(parse_label).transpose()?;
    let able = request.capability.as_ref().map(|wanted| state.index().able(wanted));
    Ok(move |agent: &Agent| {
        let able = match (&able, &request.capability) {
            (Some(able), _) if agent.is_listed() => state.index().contains(agent.id(), able),
            (_, Some(wanted)) => agent.manifest.grants(wanted).is_some(),
            (_, None) => true,
        };
        able && (request.archived || agent.is_listed())
            && request.role.as_ref().is_none_or(|role| *role == agent.manifest.role)
            && request.status.is_none_or(|status| status == agent.status())
            && label.is_none_or(|(key, value)| {
                let found = agent.manifest.labels.get(key);
                found.is_some_and(|found| value.is_none_or(|value| value == found))
            })
    })
}

fn parse_label(label: &str) -> Result<(&str, Option<&str>), Fault> {
    let (key, value) = label.split_once('=').map_or((label, None), |(k, v)| (k, Some(v)));
    if key.is_empty() {
        let message = format!("{label:?} names no label: write key=value or key");
        return Err(Fault::new(ErrorCode::InvalidValue, message));
    }
    Ok((key, value))
}

fn page(limit: Option<u32>) -> Result<usize, Fault> {
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        let message = format!("limit is {limit}; it must be 1 to {PAGE_MAX}");
        return Err(Fault::new(ErrorCode::InvalidValue, message));
    }
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}

fn who_can(state: &State, request: &WhoCanRequest) -> Result<WhoCanAnswer, Rejection> {
    let limit = page(request.limit)?;
    let index = state.index();
    let mut able = index.able(&request.capability);
    if let Some(from) = &request.from {
        able.keep(&index.taskable_by(from, state.agent(from).map(|agent| &agent.manifest)));
    }
    let found = index.in_order(&able).filter_map(|(id, position)| {
        let agent = state.agent(id)?;
        let granted_by: &Capability = Agent::grants(&agent.manifest).nth(position)?;
        let (id, granted_by) = (id.clone(), granted_by.clone());
        Some(AbleAgent { id, status: agent.status(), granted_by })
    });
    let agents = found.take(limit).collect();
    Ok(WhoCanAnswer { capability: request.capability.clone(), agents })
}

fn can_task(state: &State, request: &CanTaskRequest) -> Result<CanTaskAnswer, Rejection> {
    let CanTaskRequest { from, to } = request;
    let target = registered(state, to)?;
    // Who deregistered itself does not thereby become a person, whom no manifest binds.
    let denials = denials(state.asker(from), target.as_target());
    let reasons = denials.iter().map(|denial| denial.explain(from, to)).collect();
    Ok(CanTaskAnswer { allowed: denials.is_empty(), denials, reasons })
}

fn relationships(state: &State, agent: &Agent) -> RelationshipsAnswer {
    let (id, manifest) = (agent.id(), &agent.manifest);
    let others = || state.agents().filter(|other| other.is_listed() && other.id() != id);
    let may_task =
        |from: &Agent, to: &Agent| denials(state.asker(from.id()), to.as_target()).is_empty();
    let (tasks, more_tasks) = first(others().filter(|other| may_task(agent, other)));
    let (tasked_by, more_tasked_by) = first(others().filter(|other| may_task(other, agent)));
    let (reports, more_reports) =
        first(others().filter(|other| other.manifest.reports_to.contains(id)));
    RelationshipsAnswer {
        id: id.clone(),
        can_task: manifest.can_task.clone(),
        accepts_tasks_from: manifest.accepts_tasks_from.clone(),
        reports_to: manifest.reports_to.clone(),
        tasks,
        tasked_by,
        reports,
        more: more_tasks || more_tasked_by || more_reports,
    }
}

/// The ids of the first of them, and whether there are more.
fn first<'a>(mut agents: impl Iterator<Item = &'a Agent>) -> (Vec<PrincipalId>, bool) {
    let ids = agents.by_ref().take(RELATIONS_MAX).map(|agent| agent.id().clone()).collect();
    (ids, agents.next().is_some())
}
