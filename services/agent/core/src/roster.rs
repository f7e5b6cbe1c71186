//! The roster: who is out and who may act everywhere, as the registry signs it.
//!
//! **Invariant:** a roster of a lower version than one that was believed is never believed, also
//! not by a later process start.
//! **Invariant:** a node whose trust rests on a root takes no task on without a roster of the last
//! [`ROSTER_AGE_S_MAX`] seconds.

use schemas::{
    ErrorCode, Fault, Timestamp,
    enrolment::{AgentAccess, ROSTER_AGE_S_MAX},
};
use trust::{Roster, Trust, Unverified};

use crate::{Action, Facts, Node, ReceivedRoster};

/// One that says nothing new is kept on disk again after so long, in seconds, for its age counts.
const KEPT_AGAIN_AFTER_S: u64 = 600;

/// What the node remembers of the newest roster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    version: u64,
    /// When the newest of that version was signed, in seconds since the Unix epoch; 0 before any.
    issued_at_s: u64,
    /// Who may task the node, as the newest says.
    access: Option<AgentAccess>,
    /// What is on disk.
    kept: Option<Kept>,
    /// Why the last one that came was not believed.
    complaint: Option<String>,
}

/// What is on disk: a later process start believes none older.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    version: u64,
    issued_at_s: u64,
    access: Option<AgentAccess>,
}

impl Node {
    /// Believes the roster that an earlier process start kept; none older counts from here on.
    ///
    /// # Errors
    ///
    /// Why it cannot be believed any more.
    pub fn resume_roster(&mut self, kept: &ReceivedRoster, now: Timestamp) -> Result<(), Fault> {
        self.believe(kept, now)?;
        self.roster.kept = Some(self.roster.to_keep());
        Ok(())
    }

    /// Why the node takes no tasks on, or does not believe the registry, as far as rosters go.
    #[must_use]
    pub fn roster_complaint(&self, now: Timestamp) -> Option<String> {
        let stale = self.stale_roster(now).map(|fault| fault.message);
        [stale, self.roster.complaint.clone()]
            .into_iter()
            .flatten()
            .reduce(|stale, complaint| format!("{stale}; {complaint}"))
    }

    /// Whether the newest roster is young enough for tasks to be taken on.
    #[must_use]
    pub fn knows_who_is_out(&self, now: Timestamp) -> bool {
        self.stale_roster(now).is_none()
    }

    pub(crate) fn on_roster(
        &mut self,
        received: Box<ReceivedRoster>,
        facts: &Facts,
    ) -> Vec<Action> {
        match self.believe(&received, facts.wall) {
            Ok(()) => {
                self.roster.complaint = None;
                let kept = self.keep(received);
                kept.into_iter().chain(self.settle_doubts(facts)).collect()
            }
            Err(fault) => {
                self.roster.complaint = Some(format!("the registry's roster is refused: {fault}"));
                Vec::new()
            }
        }
    }

    /// Why nothing is taken on for want of a young roster.
    pub(crate) fn stale_roster(&self, now: Timestamp) -> Option<Fault> {
        let age_s = now.seconds().saturating_sub(self.roster.issued_at_s);
        if !self.profile.rests_on_root() || age_s <= ROSTER_AGE_S_MAX {
            return None;
        }
        let message = if self.roster.issued_at_s == 0 {
            "no roster came from the registry yet, so nobody knows which keys are out".to_owned()
        } else {
            format!("the newest roster is {age_s} s old, {ROSTER_AGE_S_MAX} s are allowed")
        };
        Some(Fault::new(ErrorCode::RosterStale, message))
    }

    fn believe(&mut self, received: &ReceivedRoster, now: Timestamp) -> Result<(), Fault> {
        let anchors = &mut self.profile.anchors;
        anchors.admit(&received.certificates, now).map_err(|error| error.to_fault())?;
        let roster = Unverified::new(&received.envelope)
            .verify::<Roster>(Trust { anchors, now }, &())
            .map_err(|error| error.to_fault())?;
        let claims = roster.claims();
        roster
            .check_version(self.roster.version)
            .map_err(|error| Fault::new(error.code(), error.to_string()))?;
        self.roster.version = claims.version;
        self.roster.issued_at_s = self.roster.issued_at_s.max(claims.issued_at_s);
        let profile = &mut self.profile;
        profile.anchors.set_revoked(claims.revoked.iter().copied().collect());
        profile.overseers = claims.overseers.iter().cloned().collect();
        // Shares make no new version, so an older roster of the same one must not bring them back.
        let is_newest = self.roster.issued_at_s <= claims.issued_at_s;
        let own = claims.access.as_ref().filter(|it| is_newest && it.agent == *profile.id());
        if let Some(access) = own {
            profile.owner = Some(access.owner.clone());
            profile.shared_with.clone_from(&access.shared_with);
            self.roster.access = Some(access.clone());
        }
        Ok(())
    }

    /// The disk gets what a later process start must not go back behind.
    fn keep(&mut self, received: Box<ReceivedRoster>) -> Option<Action> {
        let new = self.roster.to_keep();
        let says_the_same = |old: &Kept| {
            let young = new.issued_at_s < old.issued_at_s + KEPT_AGAIN_AFTER_S;
            old.version == new.version && old.access == new.access && young
        };
        if self.roster.kept.as_ref().is_some_and(says_the_same) {
            return None;
        }
        self.roster.kept = Some(new);
        Some(Action::KeepRoster(received))
    }
}

impl Known {
    fn to_keep(&self) -> Kept {
        let Self { version, issued_at_s, .. } = *self;
        Kept { version, issued_at_s, access: self.access.clone() }
    }
}
