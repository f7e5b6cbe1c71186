//! Refusals: said until the scheduler has heard them, within bounds.

use schemas::{Fault, scheduler::RefuseRequest};

use crate::{
    Action, Facts, Node, RunKey,
    backoff::{Attempts, REFUSAL_PACE},
    node::Refusal,
    start::is_final,
};

/// Most refusals that wait for an answer; beyond, the assignments run out by themselves.
const PENDING_MAX: usize = 1024;
/// Tries after which the assignment has run out by itself.
const FAILURES_MAX: u32 = 40;

impl Node {
    pub(crate) fn refuse(&mut self, key: RunKey, fault: Fault, facts: &Facts) -> Action {
        self.tasks_refused += 1;
        let action = Action::Refuse(self.refusal(&key, &fault));
        if self.refusals.len() < PENDING_MAX {
            self.refusals.insert(key, Refusal { fault, attempts: Attempts::sent(facts.uptime) });
        }
        action
    }

    fn refusal(&self, key: &RunKey, fault: &Fault) -> RefuseRequest {
        let RunKey { task, epoch } = key.clone();
        RefuseRequest { task, epoch, instance: self.profile.instance.clone(), fault: fault.clone() }
    }

    pub(crate) fn on_refusal_answered(&mut self, key: &RunKey) -> Vec<Action> {
        self.refusals.remove(key);
        Vec::new()
    }

    pub(crate) fn on_refusal_failed(
        &mut self,
        key: &RunKey,
        fault: &Fault,
        facts: &Facts,
    ) -> Vec<Action> {
        let Some(refusal) = self.refusals.get_mut(key) else { return Vec::new() };
        refusal.attempts.fail(REFUSAL_PACE, facts);
        if is_final(fault.code) || FAILURES_MAX <= refusal.attempts.failures {
            self.refusals.remove(key);
        }
        Vec::new()
    }

    pub(crate) fn resend_refusals(&mut self, facts: &Facts) -> Vec<Action> {
        let due = |refusal: &Refusal| refusal.attempts.is_due(facts.uptime);
        let keys: Vec<RunKey> = self
            .refusals
            .iter()
            .filter(|(_, refusal)| due(refusal))
            .map(|(key, _)| key.clone())
            .collect();
        keys.iter().filter_map(|key| self.resend_refusal(key, facts)).collect()
    }

    fn resend_refusal(&mut self, key: &RunKey, facts: &Facts) -> Option<Action> {
        let refusal = self.refusals.get_mut(key)?;
        refusal.attempts.send(facts.uptime);
        let fault = refusal.fault.clone();
        Some(Action::Refuse(self.refusal(key, &fault)))
    }
}
