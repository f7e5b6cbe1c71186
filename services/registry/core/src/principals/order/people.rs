//! Who may put whom out, and who says what people may do.

use schemas::{
    ErrorCode, Fault, PrincipalId,
    principal::{PrincipalKind, Standing, UserRole},
    registry::RegistryEvent,
};

use super::{Bench, PutOut, Verdict, check_text};
use crate::{
    Listing, Rejection,
    principals::{Invitation, OVERSEERS_MAX, Principal, Refusal},
};

/// Whoever was put out for good stays out.
pub(super) fn check_not_banned(principal: &Principal) -> Result<(), Refusal> {
    match principal.standing {
        Standing::Banned => {
            let (principal, standing) = (principal.id.clone(), principal.standing);
            Err(Refusal::PrincipalOut { principal, standing })
        }
        Standing::Pending | Standing::Active | Standing::Evicted => Ok(()),
    }
}

impl Bench<'_> {
    pub(super) fn put_out(
        &self,
        id: &PrincipalId,
        reason: &str,
        how: PutOut,
    ) -> Result<Verdict, Rejection> {
        check_text("reason", reason)?;
        let verb = match how {
            PutOut::Evict => "evict",
            PutOut::Ban => "ban",
        };
        let Some(target) = self.state.principals().get(id) else {
            return self.withdraw(id, reason, verb);
        };
        if !self.may_put_out(target) {
            return Err(self.forbidden(format!("{verb} {id}")).into());
        }
        self.check_admin_remains(target)?;
        let done = match how {
            PutOut::Evict => target.is_out(),
            PutOut::Ban => target.standing == Standing::Banned,
        };
        let mut events = Vec::new();
        if !done {
            let (principal, by, reason) = (id.clone(), self.signer.id.clone(), reason.to_owned());
            events.push(match how {
                PutOut::Evict => RegistryEvent::PrincipalEvicted { principal, by, reason },
                PutOut::Ban => RegistryEvent::PrincipalBanned { principal, by, reason },
            });
            events.extend(self.taken_off(id));
        }
        Ok(Verdict::done(events))
    }

    /// Nobody came in yet: whoever may end the invite ends it.
    fn withdraw(&self, id: &PrincipalId, reason: &str, verb: &str) -> Result<Verdict, Rejection> {
        let open = self.state.principals().open_invite(id, self.now);
        let open = open.ok_or_else(|| Refusal::PrincipalNotFound { principal: id.clone() })?;
        let Invitation { owner, by, .. } = open;
        let oversees = self.role().is_some_and(UserRole::tasks_everything);
        if !(oversees || [owner, by].contains(&&self.signer.id)) {
            return Err(self.forbidden(format!("{verb} {id}")).into());
        }
        let (principal, by, reason) = (id.clone(), self.signer.id.clone(), reason.to_owned());
        Ok(Verdict::done(vec![RegistryEvent::PrincipalEvicted { principal, by, reason }]))
    }

    fn may_put_out(&self, target: &Principal) -> bool {
        if target.kind == PrincipalKind::Service {
            return false;
        }
        let owns = target.kind == PrincipalKind::Agent && target.owner == self.signer.id;
        match self.role() {
            Some(UserRole::Admin) => true,
            Some(UserRole::Operator) => target.role != Some(UserRole::Admin),
            Some(UserRole::Auditor | UserRole::User) | None => owns,
        }
    }

    /// An agent that is out is on no list.
    fn taken_off(&self, id: &PrincipalId) -> Option<RegistryEvent> {
        let listed = self.state.agent(id).filter(|it| it.listing != Listing::Deregistered)?;
        let (agent, by) = (listed.id().clone(), self.signer.id.clone());
        Some(RegistryEvent::AgentDeregistered { agent, by })
    }

    /// Refuses to take the last admin away who may sign.
    pub(super) fn check_admin_remains(&self, target: &Principal) -> Result<(), Refusal> {
        let is_admin = target.is_active() && target.role == Some(UserRole::Admin);
        if is_admin && !self.state.principals().has_admin_besides(&target.id) {
            return Err(Refusal::LastAdmin { person: target.id.clone() });
        }
        Ok(())
    }

    pub(super) fn set_role(
        &self,
        person: &PrincipalId,
        role: UserRole,
    ) -> Result<Verdict, Rejection> {
        if !self.is_admin() {
            return Err(self.forbidden(format!("set the role of {person}")).into());
        }
        let target = self.principal(person)?;
        if target.kind != PrincipalKind::Person {
            let message = format!("{person} is no person and has no role");
            return Err(Fault::new(ErrorCode::InvalidValue, message).into());
        }
        if target.is_out() {
            let (principal, standing) = (person.clone(), target.standing);
            return Err(Refusal::PrincipalOut { principal, standing }.into());
        }
        if target.role == Some(role) {
            return Ok(Verdict::done(Vec::new()));
        }
        if role != UserRole::Admin {
            self.check_admin_remains(target)?;
        }
        let overseers = self.state.principals().overseers();
        if role.tasks_everything()
            && !overseers.contains(person)
            && OVERSEERS_MAX <= overseers.len()
        {
            let what = "admins and operators";
            return Err(Refusal::TooMany { what, limit: OVERSEERS_MAX }.into());
        }
        let (person, by) = (person.clone(), self.signer.id.clone());
        Ok(Verdict::done(vec![RegistryEvent::RoleSet { person, role, by }]))
    }
}
