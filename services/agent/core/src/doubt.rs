//! Offers of somebody whom this node does not know to be allowed: before it says no it asks for a
//! fresher roster, for a share or a role may be younger than the one that it has.
//!
//! **Invariant:** nothing is taken on in doubt; an offer that still may not be when the roster has
//! come, or when none comes in time, is refused for the reason that it was doubted for.

use std::time::Duration;

use schemas::{ErrorCode, Fault};

use crate::{Action, Facts, Node, ReceivedOffer, RunKey};

/// Offers that may wait at the same time; more are refused at once.
const DOUBTS_MAX: usize = 64;
/// How long an offer waits for a roster.
const PATIENCE: Duration = Duration::from_secs(2);

/// An offer that waits for a roster.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    offer: ReceivedOffer,
    fault: Fault,
    until: Duration,
}

impl Doubt {
    pub(crate) fn wake_at(&self) -> Duration {
        self.until
    }
}

impl Node {
    /// Whether what stands against an offer may be over with the next roster.
    pub(crate) fn is_doubtful(&self, fault: &Fault) -> bool {
        fault.code == ErrorCode::TaskNotPermitted
            && self.profile.rests_on_root()
            && self.doubts.len() < DOUBTS_MAX
    }

    /// Lets an offer wait; asks for a roster unless that was done for another one.
    pub(crate) fn defer(
        &mut self,
        offer: &ReceivedOffer,
        fault: Fault,
        facts: &Facts,
    ) -> Vec<Action> {
        let is_first = self.doubts.is_empty();
        let until = facts.uptime + PATIENCE;
        let doubt = || Doubt { offer: offer.clone(), fault, until };
        self.doubts.entry(offer.named()).or_insert_with(doubt);
        if is_first { vec![Action::AskRoster] } else { Vec::new() }
    }

    /// Judges again what waited for the roster that has come.
    pub(crate) fn settle_doubts(&mut self, facts: &Facts) -> Vec<Action> {
        let doubts = std::mem::take(&mut self.doubts);
        let mut actions = Vec::new();
        for Doubt { offer, .. } in doubts.into_values() {
            let judged = self.admit_with_certificates(&offer, facts);
            actions.extend(self.judge(&offer, judged, facts));
        }
        actions
    }

    /// Refuses what has waited long enough.
    pub(crate) fn give_up_doubts(&mut self, facts: &Facts) -> Vec<Action> {
        let due = |doubt: &Doubt| doubt.until <= facts.uptime;
        let over: Vec<(RunKey, Doubt)> =
            self.doubts.extract_if(.., |_, doubt| due(doubt)).collect();
        let refuse = |(key, doubt): (RunKey, Doubt)| self.refuse(key, doubt.fault, facts);
        over.into_iter().map(refuse).collect()
    }
}
