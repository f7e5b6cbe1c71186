//! Who may let whom in.

use schemas::{
    ErrorCode, Fault, Manifest, PrincipalId,
    enrolment::{INVITE_LIFETIME_S_MAX, Invite},
    manifest::{CAPABILITIES_MAX, PrincipalPattern},
    principal::{PrincipalKind, UserRole},
    registry::RegistryEvent,
};

use super::{Bench, Verdict, check_hex_id, people::check_not_banned};
use crate::{
    Answer, Rejection,
    principals::{
        AGENTS_OF_USER_MAX, INVITES_OPEN_MAX, InviteGrant, OVERSEERS_MAX, Refusal,
        admission::{active, is_reserved},
    },
};

impl Bench<'_> {
    pub(super) fn invite(&self, invite: &Invite) -> Result<Verdict, Rejection> {
        check(invite)?;
        self.check_right(invite)?;
        let owner = self.owner_of(invite)?;
        self.check_name(invite, &owner)?;
        self.check_promises(invite, &owner)?;
        self.check_room(invite)?;
        let expires_at = self.now.plus_ms(invite.lifetime_s.saturating_mul(1000));
        let event = RegistryEvent::InviteMade {
            invite: Box::new(invite.clone()),
            owner,
            by: self.signer.id.clone(),
            expires_at,
        };
        let grant = InviteGrant {
            invite: invite.invite.clone(),
            redeemer: invite.redeemer.clone(),
            expires_at,
            at: self.now,
        };
        Ok(Verdict { events: vec![event], answer: Answer::Invited(Box::new(grant)) })
    }

    /// The answer to an invite that was made; one that is void by now invites nobody.
    pub(super) fn invited(&self, invite: &str) -> Result<Answer, Refusal> {
        let known = self.state.principals().invite(invite);
        let known = known.ok_or_else(|| Refusal::InviteUnknown { invite: invite.to_owned() })?;
        if !known.is_open(self.now) {
            let (invite, ended_at) = (invite.to_owned(), known.expires_at);
            return Err(Refusal::InviteExpired { invite, ended_at });
        }
        Ok(Answer::Invited(Box::new(InviteGrant {
            invite: invite.to_owned(),
            redeemer: known.invite.redeemer.clone(),
            expires_at: known.expires_at,
            at: self.now,
        })))
    }

    fn check_right(&self, invite: &Invite) -> Result<(), Refusal> {
        let refused = || {
            let what = match (invite.kind, invite.role) {
                (PrincipalKind::Person, Some(role)) => format!("invite a person as {role}"),
                (PrincipalKind::Person, None) => "invite people".to_owned(),
                (PrincipalKind::Agent | PrincipalKind::Service, _) => {
                    format!("invite {} for somebody else", invite.principal)
                }
            };
            Err(self.forbidden(what))
        };
        let as_user = invite.role.is_none_or(|role| role == UserRole::User);
        let for_self = invite.owner.as_ref().is_none_or(|owner| *owner == self.signer.id);
        let agent = invite.kind == PrincipalKind::Agent;
        let allowed = match self.role() {
            Some(UserRole::Admin) => true,
            Some(UserRole::Operator) => as_user,
            Some(UserRole::User) => agent && for_self,
            Some(UserRole::Auditor) | None => false,
        };
        if allowed { Ok(()) } else { refused() }
    }

    fn owner_of(&self, invite: &Invite) -> Result<PrincipalId, Rejection> {
        if invite.kind != PrincipalKind::Agent {
            return Ok(invite.principal.clone());
        }
        let owner = invite.owner.as_ref().unwrap_or(&self.signer.id);
        let owner = active(self.state.principals(), owner)?;
        if owner.kind != PrincipalKind::Person {
            let message = format!("{} is no person and can own no agent", owner.id);
            return Err(Fault::new(ErrorCode::InvalidValue, message).into());
        }
        Ok(owner.id.clone())
    }

    /// The name must be nobody's: neither a principal's, nor an agent's that others announced, nor
    /// promised to somebody else.
    fn check_name(&self, invite: &Invite, owner: &PrincipalId) -> Result<(), Refusal> {
        let (id, principals) = (&invite.principal, self.state.principals());
        let taken = Err(Refusal::PrincipalTaken { principal: id.clone() });
        let me = &self.signer.id;
        let oversees = self.role().is_some_and(UserRole::tasks_everything);
        if is_reserved(id) || principals.invite(&invite.invite).is_some() {
            return taken;
        }
        if let Some(present) = principals.get(id) {
            check_not_banned(present)?;
            let returns = present.kind == invite.kind && (oversees || present.owner == *owner);
            if !present.is_out() || !returns {
                return taken;
            }
        }
        let announced = self.state.agent(id);
        if announced.is_some_and(|it| !(oversees || it.is_held_by(me) || it.registrant == *id)) {
            return taken;
        }
        match principals.open_invite(id, self.now) {
            Some(open) if open.by != *me && !self.is_admin() => taken,
            Some(_) | None => Ok(()),
        }
    }

    /// Whom agents of others accept or task by a name or the beginning of one, only somebody who
    /// oversees may bring in: a user could take a name for the trust that goes with it.
    fn check_promises(&self, invite: &Invite, owner: &PrincipalId) -> Result<(), Refusal> {
        if self.role().is_some_and(UserRole::tasks_everything) {
            return Ok(());
        }
        let id = &invite.principal;
        let names = |pattern: &&PrincipalPattern| pattern.as_str() != "*" && pattern.covers(id);
        let of_others = self.state.agents().filter(|it| it.is_listed() && it.owner != *owner);
        for agent in of_others {
            let Manifest { accepts_tasks_from, can_task, .. } = &agent.manifest;
            let promises = accepts_tasks_from.iter().chain(can_task).chain(&agent.shared_with);
            if let Some(pattern) = promises.into_iter().find(names) {
                let (other, pattern) = (agent.id(), pattern.as_str());
                return Err(self.forbidden(format!("invite {id}, for {other} names {pattern}")));
            }
        }
        Ok(())
    }

    fn check_room(&self, invite: &Invite) -> Result<(), Refusal> {
        let principals = self.state.principals();
        let mine = principals.invites().filter(|it| it.by == self.signer.id);
        if INVITES_OPEN_MAX <= mine.filter(|it| it.is_unused(self.now)).count() {
            let what = "open invites of one principal";
            return Err(Refusal::TooMany { what, limit: INVITES_OPEN_MAX });
        }
        let agents = principals.iter().filter(|it| it.kind == PrincipalKind::Agent);
        let owned = agents.filter(|it| it.owner == self.signer.id).count();
        let returns = principals.get(&invite.principal).is_some();
        if self.role() == Some(UserRole::User) && AGENTS_OF_USER_MAX <= owned && !returns {
            let what = "agents that a user lets in; operators may let in more for them";
            return Err(Refusal::TooMany { what, limit: AGENTS_OF_USER_MAX });
        }
        let oversees = |role: Option<UserRole>| role.is_some_and(UserRole::tasks_everything);
        let invited = principals.invites().filter(|it| it.is_unused(self.now));
        let invited = invited.filter(|it| oversees(it.invite.role)).count();
        if oversees(invite.role) && OVERSEERS_MAX <= principals.overseers().len() + invited {
            let what = "admins and operators";
            return Err(Refusal::TooMany { what, limit: OVERSEERS_MAX });
        }
        Ok(())
    }
}

/// Checks what makes no sense whoever says it.
fn check(invite: &Invite) -> Result<(), Fault> {
    let invalid = |message: &str| Err(Fault::new(ErrorCode::InvalidValue, message));
    check_hex_id("invite", &invite.invite)?;
    if !(1..=INVITE_LIFETIME_S_MAX).contains(&invite.lifetime_s) {
        return invalid("lifetime_s must be 1 to 86400");
    }
    match invite.kind {
        PrincipalKind::Service => invalid("services are not invited"),
        PrincipalKind::Agent if invite.role.is_some() => {
            invalid("an agent has no role of a person")
        }
        PrincipalKind::Person if invite.capabilities.is_some() => {
            invalid("a person advertises no capabilities")
        }
        PrincipalKind::Person
            if invite.owner.as_ref().is_some_and(|it| *it != invite.principal) =>
        {
            invalid("a person is nobody's")
        }
        PrincipalKind::Agent | PrincipalKind::Person => {
            let entries = invite.capabilities.as_ref().map_or(0, Vec::len);
            if CAPABILITIES_MAX < entries { invalid("too many capabilities") } else { Ok(()) }
        }
    }
}
