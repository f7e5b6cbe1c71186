//! What each query is answered with.

use schemas::{
    Capability, Cursor, ErrorCode, Fault, PrincipalId, Timestamp,
    permission::{Asker, Denial, denials},
    registry::{
        AbleAgent, AgentView, CanTaskAnswer, CanTaskRequest, CapabilitiesAnswer, GetAgentsAnswer,
        GetAgentsRequest, HeartbeatAnswer, RelationshipsAnswer, WhoCanAnswer, WhoCanRequest,
    },
};

use crate::{
    Agent, Answer, Facts, Listing, PAGE_DEFAULT, PAGE_MAX, Query, Question, RELATIONS_MAX,
    Rejection, State,
    decide::{not_allowed, not_found, registered},
    index::Marks,
    principals::{self, Sight},
};

/// Answers a query with what the asker may see.
pub(crate) fn answer(state: &State, query: &Query, facts: &Facts) -> Result<Answer, Rejection> {
    let Query { asker, question } = query;
    principals::check_standing(state.principals(), asker)?;
    let view_of = Looker { state, sight: Sight::of(state, asker), asker };
    match question {
        Question::Heartbeat(agent) => heartbeat(&view_of, facts, agent),
        Question::GetAgents(request) => get_agents(&view_of, facts, request).map(Answer::Agents),
        Question::GetAgent(id) => {
            let agent = view_of.agent(id)?;
            Ok(Answer::Agent(Box::new(view(agent, facts))))
        }
        Question::WhoCan(request) => who_can(&view_of, request).map(Answer::WhoCan),
        Question::GetCapabilities(id) => {
            let capabilities = view_of.agent(id)?.manifest.capabilities.all().cloned().collect();
            Ok(Answer::Capabilities(CapabilitiesAnswer { id: id.clone(), capabilities }))
        }
        Question::CanTask(request) => can_task(&view_of, request).map(Answer::CanTask),
        Question::Relationships(id) => {
            let agent = view_of.registered(id)?;
            Ok(Answer::Relationships(relationships(&view_of, agent)))
        }
        Question::Membership(question) => principals::answer(state, asker, question, facts),
    }
}

/// Whoever looks at the fleet, and what they may see of it.
struct Looker<'a> {
    state: &'a State,
    sight: Sight<'a>,
    asker: &'a PrincipalId,
}

impl<'a> Looker<'a> {
    /// An agent that was ever announced.
    fn agent(&self, id: &PrincipalId) -> Result<&'a Agent, Rejection> {
        let agent = self.state.agent(id).filter(|agent| self.sight.agent(agent));
        agent.ok_or_else(|| not_found(id))
    }

    /// An agent that was not deregistered since.
    fn registered(&self, id: &PrincipalId) -> Result<&'a Agent, Rejection> {
        registered(self.state, id).and_then(|agent| self.agent(agent.id()))
    }

    /// Refuses to tell whom an agent may task that the asker may not know of.
    fn check_from(&self, from: &PrincipalId) -> Result<(), Rejection> {
        let hidden = self.state.agent(from).is_some() && self.agent(from).is_err();
        if hidden { Err(not_found(from)) } else { Ok(()) }
    }

    /// Everybody whom `from` may task, as far as the asker may know.
    fn taskable_by(&self, from: &PrincipalId) -> Marks {
        let (state, index) = (self.state, self.state.index());
        let known = self.sight.is_everything() || from == self.asker || state.agent(from).is_some();
        let asker = if known { state.asker(from) } else { Asker::named(from) };
        let mute = asker.manifest.is_none() && state.principals().agent(from).is_some();
        if mute { index.own(from) } else { index.taskable_by(&asker) }
    }

    /// What stands against it, as far as the asker may know: whether somebody else may act
    /// everywhere is not for everybody.
    fn denials(&self, from: &PrincipalId, to: &Agent) -> Vec<Denial> {
        if self.sight.is_everything() || from == self.asker || self.state.agent(from).is_some() {
            return self.state.denials(from, to);
        }
        denials(Asker::named(from), to.as_target())
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

fn heartbeat(looker: &Looker<'_>, facts: &Facts, id: &PrincipalId) -> Result<Answer, Rejection> {
    let caller = looker.asker;
    let agent = looker.registered(id)?;
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
    looker: &Looker<'_>,
    facts: &Facts,
    request: &GetAgentsRequest,
) -> Result<GetAgentsAnswer, Rejection> {
    let limit = page(request.limit)?;
    let Looker { state, sight, .. } = looker;
    let matches = filter(state, request)?;
    // What is asked for first: whether the asker may see it costs more.
    let wanted = state.agents_after(request.after.as_ref()).filter(|agent| matches(agent));
    let mut rest = wanted.filter(|agent| sight.agent(agent));
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

pub(crate) fn page(limit: Option<u32>) -> Result<usize, Fault> {
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        let message = format!("limit is {limit}; it must be 1 to {PAGE_MAX}");
        return Err(Fault::new(ErrorCode::InvalidValue, message));
    }
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}

fn who_can(looker: &Looker<'_>, request: &WhoCanRequest) -> Result<WhoCanAnswer, Rejection> {
    let limit = page(request.limit)?;
    let (state, index) = (looker.state, looker.state.index());
    let mut able = index.able(&request.capability);
    if !looker.sight.is_everything() {
        able.keep(&index.visible_to(&state.asker(looker.asker)));
    }
    if let Some(from) = &request.from {
        looker.check_from(from)?;
        able.keep(&looker.taskable_by(from));
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

fn can_task(looker: &Looker<'_>, request: &CanTaskRequest) -> Result<CanTaskAnswer, Rejection> {
    let CanTaskRequest { from, to } = request;
    let target = looker.registered(to)?;
    looker.check_from(from)?;
    // Who deregistered itself does not thereby become a person, whom no manifest binds.
    let denials = looker.denials(from, target);
    let reasons = denials.iter().map(|denial| denial.explain(from, to)).collect();
    Ok(CanTaskAnswer { allowed: denials.is_empty(), denials, reasons })
}

fn relationships(looker: &Looker<'_>, agent: &Agent) -> RelationshipsAnswer {
    let Looker { state, sight, .. } = looker;
    let (id, manifest) = (agent.id(), &agent.manifest);
    let listed = || state.agents().filter(|other| other.is_listed() && other.id() != id);
    let others = || listed().filter(|other| sight.agent(other));
    let may_task = |from: &Agent, to: &Agent| state.denials(from.id(), to).is_empty();
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
