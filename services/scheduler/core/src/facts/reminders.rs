//! Offers and cancels that are said again until something shows that they were heard.
//!
//! **Invariant:** repeating is paced: first after a second, then ever more rarely.

use std::collections::BTreeSet;

use schemas::{TaskId, task::TaskState};

use crate::{
    command::Effect,
    limits::{REMIND_MAX_MS, REMIND_MS, REMINDED_PER_TICK_MAX, doubled},
    react,
    state::{State, Task},
};

/// When what is to be said again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reminders {
    planned: BTreeSet<Reminder>,
    /// Assignments and cancels up to this step are planned.
    adopted_step: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reminder {
    at_lease_ms: u64,
    task: TaskId,
    /// The step that it belongs to; the reminder is moot when the task has gone further.
    step: u64,
    times: u32,
}

impl Reminders {
    /// What is to be said again now.
    pub(crate) fn due(&mut self, state: &State, lease_ms: u64) -> Vec<Effect> {
        self.adopt(state, lease_ms);
        let mut effects = Vec::new();
        while effects.len() < REMINDED_PER_TICK_MAX
            && self.planned.first().is_some_and(|next| next.at_lease_ms <= lease_ms)
        {
            let Some(reminder) = self.planned.pop_first() else { break };
            let task = state.tasks.get(&reminder.task).filter(|task| task.step == reminder.step);
            if let Some(effect) = task.and_then(|task| react::pending(state, task)) {
                effects.push(effect);
                let times = reminder.times + 1;
                let at_lease_ms = lease_ms + doubled(REMIND_MS, times, REMIND_MAX_MS);
                self.planned.insert(Reminder { at_lease_ms, times, ..reminder });
            }
        }
        effects
    }

    fn adopt(&mut self, state: &State, lease_ms: u64) {
        for (step, id) in state.index.steps.range(self.adopted_step + 1..) {
            if state.tasks.get(id).is_some_and(needs_reminding) {
                let at_lease_ms = lease_ms + REMIND_MS;
                let (task, step) = (id.clone(), *step);
                self.planned.insert(Reminder { at_lease_ms, task, step, times: 0 });
            }
            self.adopted_step = *step;
        }
    }
}

fn needs_reminding(task: &Task) -> bool {
    task.view.state == TaskState::Assigned || task.is_cancel_requested()
}
