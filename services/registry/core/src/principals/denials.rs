//! What the broker forbade, as whoever reads its log tells it.
//!
//! **Invariant:** only who proved a key is named: what a failed login claims is nobody's deed.
//! **Invariant:** a report leaves a bounded number of events, and nothing in the state.

use std::collections::BTreeMap;

use decider::Decided;
use schemas::{
    ErrorCode, Fault, PrincipalId,
    principal::{PrincipalKind, UserRole},
    registry::{
        DENIALS_REPORTED_MAX, DeniedAccess, DeniedAction, RegistryEvent, ReportDenialsAnswer,
        ReportDenialsRequest,
    },
};

use super::{Principals, Refusal, admission::check_standing};
use crate::{Answer, Registry, Rejection, State};

/// Who looks after the broker; of all people only this one speaks for it.
pub const BROKER_ADMIN: &str = "admin";

/// Decides on a report: equal entries become one event.
pub(crate) fn report_denials(
    state: &State,
    caller: &PrincipalId,
    request: &ReportDenialsRequest,
) -> Result<Decided<Registry>, Rejection> {
    let principals = state.principals();
    check_standing(principals, caller)?;
    if !speaks_for_the_broker(principals, caller) {
        let what = "tell what the broker forbade".to_owned();
        return Err(Refusal::Forbidden { who: caller.clone(), what }.into());
    }
    check_request(request)?;
    let folded = fold(principals, &request.denials).into_iter();
    let mut events: Vec<_> = folded.map(|(deed, times)| deed.event(times, caller)).collect();
    if 0 < request.suppressed {
        let (count, by) = (request.suppressed, caller.clone());
        events.push(RegistryEvent::DenialsSuppressed { count, by });
    }
    let recorded = u32::try_from(events.len()).unwrap_or(u32::MAX);
    let answer = Answer::DenialsReported(ReportDenialsAnswer { recorded });
    Ok(Decided { events, answer })
}

fn speaks_for_the_broker(principals: &Principals, who: &PrincipalId) -> bool {
    principals.active(who).filter(|it| it.seated).is_some_and(|it| match it.kind {
        PrincipalKind::Service => true,
        PrincipalKind::Person => it.id.as_str() == BROKER_ADMIN && it.role == Some(UserRole::Admin),
        PrincipalKind::Agent => false,
    })
}

fn check_request(request: &ReportDenialsRequest) -> Result<(), Fault> {
    let entries = request.denials.len();
    if DENIALS_REPORTED_MAX < entries {
        let message = format!("denials: {entries} entries, the limit is {DENIALS_REPORTED_MAX}");
        return Err(Fault::new(ErrorCode::InvalidValue, message));
    }
    request.denials.iter().try_for_each(DeniedAccess::validate)
}

/// What was tried, and by whom.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Deed<'a> {
    principal: Option<&'a PrincipalId>,
    /// What tells them apart who are nobody known.
    stranger: &'a str,
    action: DeniedAction,
    subject: &'a str,
}

fn fold<'a>(
    principals: &'a Principals,
    entries: &'a [DeniedAccess],
) -> BTreeMap<Deed<'a>, DeniedAccess> {
    let mut folded: BTreeMap<Deed<'a>, DeniedAccess> = BTreeMap::new();
    for entry in entries {
        let DeniedAccess { login, action, subject, .. } = entry;
        let principal = match action {
            DeniedAction::Publish | DeniedAction::Subscribe => principals.logins.get(login),
            DeniedAction::Login => None,
        };
        let stranger = if principal.is_some() { "" } else { login };
        let deed = Deed { principal, stranger, action: *action, subject };
        let known =
            folded.entry(deed).or_insert_with(|| DeniedAccess { count: 0, ..entry.clone() });
        known.count = known.count.saturating_add(entry.count);
        known.since = known.since.min(entry.since);
    }
    folded
}

impl Deed<'_> {
    fn event(self, times: DeniedAccess, by: &PrincipalId) -> RegistryEvent {
        let DeniedAccess { login, action, subject, count, since } = times;
        let (principal, by) = (self.principal.cloned(), by.clone());
        RegistryEvent::AccessDenied { principal, login, action, subject, count, since, by }
    }
}
