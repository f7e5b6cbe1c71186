//! Who may announce which agent, and who may ask for anything at all.

use schemas::{
    Capability, Manifest, PrincipalId, Timestamp,
    principal::{PrincipalKind, Standing, UserRole},
    registry::{RegisterRequest, RegistryEvent},
    subject::ServiceName,
};

use super::{GATEWAY, Principal, Principals, Refusal};
use crate::{Rejection, State};

/// What the names begin with under which invited ones log in to redeem.
pub(super) const ENROLLER_PREFIX: &str = "invite-";

/// Refuses whoever was put out.
pub(crate) fn check_standing(principals: &Principals, who: &PrincipalId) -> Result<(), Refusal> {
    match principals.get(who) {
        Some(principal) if principal.is_out() => {
            let (principal, standing) = (who.clone(), principal.standing);
            Err(Refusal::PrincipalOut { principal, standing })
        }
        Some(_) | None => Ok(()),
    }
}

/// A principal that may take part.
pub(super) fn active<'a>(
    principals: &'a Principals,
    who: &PrincipalId,
) -> Result<&'a Principal, Refusal> {
    check_standing(principals, who)?;
    let principal = principals.get(who);
    let principal =
        principal.ok_or_else(|| Refusal::PrincipalNotFound { principal: who.clone() })?;
    match principal.standing {
        Standing::Active => Ok(principal),
        Standing::Pending | Standing::Evicted | Standing::Banned => {
            Err(Refusal::NotConfirmed { principal: who.clone() })
        }
    }
}

/// What the first word of a principal under its own name shows: it kept what it was given.
pub(crate) fn heard(principals: &Principals, who: &PrincipalId) -> Option<RegistryEvent> {
    let pending = principals.get(who).filter(|it| it.standing == Standing::Pending);
    pending.map(|it| RegistryEvent::EnrolmentConfirmed { principal: it.id.clone() })
}

/// Whether nobody can be invited under the name: it is a service's, or looks like an invite's.
pub(super) fn is_reserved(name: &PrincipalId) -> bool {
    let name = name.as_str();
    ServiceName::parse(name).is_some() || name == GATEWAY || name.starts_with(ENROLLER_PREFIX)
}

/// Whether `caller` may announce the agent, and whose it then is.
pub(crate) fn admit_agent(
    state: &State,
    caller: &PrincipalId,
    request: &RegisterRequest,
    now: Timestamp,
) -> Result<PrincipalId, Rejection> {
    let manifest = &request.manifest;
    if *caller == manifest.id {
        let principal = itself(state.principals(), caller)?;
        check_capabilities(principal, manifest)?;
        return Ok(principal.owner.clone());
    }
    let taken = || Rejection::AgentIdTaken { agent: manifest.id.clone() };
    let registrant = state.agent(&manifest.id).map(|agent| &agent.registrant);
    if registrant.is_some_and(|registrant| registrant != caller) {
        return Err(taken());
    }
    let owner = owner_named_by(state, caller, request.owner.as_ref())?;
    let principals = state.principals();
    let promised = principals.open_invite(&manifest.id, now).is_some();
    if promised || principals.get(&manifest.id).is_some() || is_reserved(&manifest.id) {
        return Err(taken());
    }
    Ok(owner)
}

/// The enrolled agent that announces itself.
fn itself<'a>(principals: &'a Principals, caller: &PrincipalId) -> Result<&'a Principal, Refusal> {
    check_standing(principals, caller)?;
    match principals.get(caller) {
        Some(principal) if principal.kind == PrincipalKind::Agent => Ok(principal),
        Some(_) => Err(Refusal::Forbidden {
            who: caller.clone(),
            what: "register itself: it is no agent".to_owned(),
        }),
        None => Err(Refusal::PrincipalNotFound { principal: caller.clone() }),
    }
}

/// Whose an agent without keys is, that `caller` announces.
fn owner_named_by(
    state: &State,
    caller: &PrincipalId,
    wanted: Option<&PrincipalId>,
) -> Result<PrincipalId, Refusal> {
    let registrant = active(state.principals(), caller)?;
    let any_owner = match (registrant.kind, registrant.role) {
        (PrincipalKind::Service, _) => true,
        (PrincipalKind::Agent, _) => false,
        (PrincipalKind::Person, role) => {
            if role == Some(UserRole::Auditor) {
                let what = "register agents: an auditor changes nothing".to_owned();
                return Err(Refusal::Forbidden { who: caller.clone(), what });
            }
            role.is_some_and(UserRole::tasks_everything)
        }
    };
    match wanted {
        None => Ok(registrant.owner.clone()),
        Some(owner) if *owner == registrant.owner => Ok(owner.clone()),
        Some(owner) if any_owner => active(state.principals(), owner).map(|it| it.id.clone()),
        Some(owner) => {
            let what = format!("register agents for {owner}");
            Err(Refusal::Forbidden { who: caller.clone(), what })
        }
    }
}

/// An MCP server stands for all of its tools, so all of them must be allowed.
fn check_capabilities(principal: &Principal, manifest: &Manifest) -> Result<(), Refusal> {
    let Some(allowed) = &principal.capabilities else { return Ok(()) };
    let is_allowed = |wanted: &Capability| allowed.iter().any(|it| within(it, wanted));
    let held = &manifest.capabilities;
    let tools = held
        .mcp_servers
        .iter()
        .filter_map(|server| Capability::parse(&format!("{}.*", server.name())).ok());
    let tools: Vec<Capability> = tools.collect();
    let plain = held.system.iter().chain(&held.tools);
    match tools.iter().chain(plain).find(|wanted| !is_allowed(wanted)) {
        None => Ok(()),
        Some(capability) => Err(Refusal::ManifestExceedsInvite {
            principal: principal.id.clone(),
            capability: capability.clone(),
        }),
    }
}

/// Whether everything that `wanted` stands for is allowed. Without a version it stands for all of
/// them, so a version that is allowed alone does not cover it.
fn within(allowed: &Capability, wanted: &Capability) -> bool {
    let versions = match (allowed.version(), wanted.version()) {
        (None, _) => true,
        (Some(ours), Some(theirs)) => ours == theirs,
        (Some(_), None) => false,
    };
    versions && allowed.covers(wanted)
}
