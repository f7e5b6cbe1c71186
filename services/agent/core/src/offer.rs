//! An offer: taken on, ignored as a repeat, or refused.
//!
//! **Invariant:** a forged offer changes nothing about what the node holds; the worst that it
//! brings about is a refusal of something that the node does not hold.

use schemas::{ErrorCode, Fault};

use crate::{
    Action, Admission, Facts, Node, ReceivedOffer, Record, RunKey, admit,
    node::{EndReason, Run, Stage},
};

impl Node {
    pub(crate) fn on_offer(&mut self, offer: &ReceivedOffer, facts: &Facts) -> Vec<Action> {
        match self.admit_with_certificates(offer, facts) {
            Err(fault) if self.is_doubtful(&fault) && !self.knows(&offer.named()) => {
                self.defer(offer, fault, facts)
            }
            judged => self.judge(offer, judged, facts),
        }
    }

    /// Takes an offer on as it was judged, or refuses it.
    pub(crate) fn judge(
        &mut self,
        offer: &ReceivedOffer,
        judged: Result<Admission, Fault>,
        facts: &Facts,
    ) -> Vec<Action> {
        match judged {
            Ok(admission) => self.consider(admission, facts),
            Err(_) if self.knows(&offer.named()) => Vec::new(),
            Err(fault) => vec![self.refuse(offer.named(), fault, facts)],
        }
    }

    /// Certificates come with what they vouch for; what was believed once is known the next time.
    pub(crate) fn admit_with_certificates(
        &mut self,
        offer: &ReceivedOffer,
        facts: &Facts,
    ) -> Result<Admission, Fault> {
        let anchors = &mut self.profile.anchors;
        anchors.admit(&offer.certificates, facts.wall).map_err(|error| error.to_fault())?;
        admit(offer, &self.profile, facts.wall)
    }

    fn consider(&mut self, admission: Admission, facts: &Facts) -> Vec<Action> {
        let key = admission.key.clone();
        if self.runs.contains_key(&key) {
            return self.nudge(&key, facts);
        }
        if self.is_behind(&key) {
            return Vec::new();
        }
        let mut actions = self.supersede(&key);
        let obstacle = self.obstacle(&key, facts);
        if let Some(fault) = obstacle {
            actions.push(self.refuse(key, fault, facts));
            return actions;
        }
        actions.push(self.take_on(admission, facts));
        actions
    }

    fn take_on(&mut self, admission: Admission, facts: &Facts) -> Action {
        let key = admission.key.clone();
        let accepted = admission.into_accepted(self.profile.instance.clone(), facts.wall);
        let record = Record::Accepted(Box::new(accepted.clone()));
        let run =
            Run { accepted, started: None, recovered: false, asks: 0, stage: Stage::Recording };
        self.refusals.remove(&key);
        self.runs.insert(key, run);
        Action::Write(record)
    }

    /// The scheduler offers again what is here: whatever waits for its next try is tried now.
    fn nudge(&mut self, key: &RunKey, facts: &Facts) -> Vec<Action> {
        if let Some(attempts) = self.runs.get_mut(key).and_then(Run::attempts) {
            attempts.hurry(facts.uptime);
        }
        self.send_if_due(key, facts).into_iter().collect()
    }

    /// Whether the node holds it or has used it up.
    fn knows(&self, key: &RunKey) -> bool {
        self.runs.contains_key(key) || self.used.contains_key(key)
    }

    /// Whether this assignment is used up, cancelled, or older than one that the node knows.
    fn is_behind(&self, key: &RunKey) -> bool {
        let known = |other: &RunKey| other.task == key.task && key.epoch <= other.epoch;
        let from = RunKey { task: key.task.clone(), epoch: key.epoch };
        let newer_run = self.runs.range(from.clone()..).next().is_some_and(|(held, _)| known(held));
        let newer_used = self.used.range(from..).next().is_some_and(|(held, _)| known(held));
        let cancelled = self.cancelled.get(&key.task);
        newer_run || newer_used || cancelled.is_some_and(|cancelled| key.epoch <= cancelled.epoch)
    }

    /// Ends what an older assignment of the same task has here, for it cannot count any more.
    fn supersede(&mut self, key: &RunKey) -> Vec<Action> {
        let older: Vec<RunKey> = self.older(key).map(Run::key).collect();
        let supersede = |old: RunKey| self.supersede_one(&old);
        older.into_iter().filter_map(supersede).collect()
    }

    fn supersede_one(&mut self, key: &RunKey) -> Option<Action> {
        let run = self.runs.get_mut(key)?;
        match &mut run.stage {
            Stage::Recording | Stage::Asking(_) => self.drop_run(key, ErrorCode::StaleEpoch),
            Stage::Running(reason @ None) => {
                *reason = Some(EndReason::Superseded);
                Some(Action::Kill(key.clone()))
            }
            Stage::Running(Some(_))
            | Stage::Committing
            | Stage::Concluding(_)
            | Stage::Reporting(..) => None,
        }
    }

    fn older(&self, key: &RunKey) -> impl Iterator<Item = &Run> {
        let first = RunKey { task: key.task.clone(), epoch: 0 };
        self.runs.range(first..key.clone()).map(|(_, run)| run)
    }

    /// Why the node takes nothing on at the moment.
    fn obstacle(&self, key: &RunKey, facts: &Facts) -> Option<Fault> {
        let fault = |code, message: String| Some(Fault::new(code, message));
        if let Some(complaint) = &self.complaint {
            return fault(ErrorCode::JournalFailed, complaint.clone());
        }
        if self.drain.is_some() {
            return fault(ErrorCode::NodeDraining, "the node is about to stop".to_owned());
        }
        if let Some(stale) = self.stale_roster(facts.wall) {
            return Some(stale);
        }
        if let Some(run) = self.older(key).find(|run| run.holds_slot()) {
            let epoch = run.accepted.epoch;
            return fault(
                ErrorCode::NodeBusy,
                format!("epoch {epoch} of this task still runs here"),
            );
        }
        if self.slots_free() == 0 {
            let slots = self.profile.slots;
            return fault(ErrorCode::NodeBusy, format!("all {slots} slots are taken"));
        }
        None
    }

    pub(crate) fn slots_free(&self) -> u32 {
        let taken = self.runs.values().filter(|run| run.holds_slot()).count();
        self.profile.slots.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
    }
}
