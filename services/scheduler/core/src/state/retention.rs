//! What leaves the state, and when: by the time of events, never by a clock.
//!
//! **Invariant:** one event moves a bounded number of tasks, yet more than one event can add.

use schemas::{TaskId, Timestamp};

use super::{Spent, State};
use crate::limits::{
    FINISHED_KEPT_MAX, FINISHED_KEPT_MS, HISTORY_KEPT_MAX, HISTORY_KEPT_MS, LONG_LIFE_MS,
    RETIRED_PER_EVENT_MAX, WAKES_KEPT_MS,
};

impl State {
    /// Remembers a task that was submitted now.
    pub(crate) fn remember(&mut self, task: super::Task) {
        let view = &task.view;
        let (id, expiry_ms) = (view.id.clone(), view.expires_at.0);
        if LONG_LIFE_MS < view.expires_at.since_ms(view.submitted_at) {
            let at_ms = self.at_ms;
            let lives = self.long_lives.entry(view.issuer.clone()).or_default();
            lives.retain(|(expiry_ms, _)| at_ms < *expiry_ms);
            lives.insert((expiry_ms, id.clone()));
        }
        self.index.insert(&task);
        self.index.enlist(task.page_key(), task.parties(), task.view.parent.as_ref());
        self.tasks.insert(id, task);
    }

    /// Moves on what has become too old with the newest event.
    pub(crate) fn retire(&mut self) {
        self.evicted.clear();
        for _ in 0..RETIRED_PER_EVENT_MAX {
            self.retire_finished();
            self.retire_history();
            self.retire_spent();
            self.retire_wakes();
        }
    }

    fn retire_wakes(&mut self) {
        let is_old = |until_ms: u64| until_ms.saturating_add(WAKES_KEPT_MS) <= self.at_ms;
        if self.wakes.first().is_some_and(|(until_ms, _)| is_old(*until_ms)) {
            self.wakes.pop_first();
        }
    }

    fn retire_finished(&mut self) {
        let Some((finished_ms, id)) = self.index.finished.first().cloned() else { return };
        let is_old = finished_ms.saturating_add(FINISHED_KEPT_MS) <= self.at_ms;
        if !is_old && self.index.finished.len() <= FINISHED_KEPT_MAX {
            return;
        }
        self.index.finished.pop_first();
        if let Some(task) = self.tasks.remove(&id) {
            self.history.insert(id.clone(), task.kept(Timestamp(finished_ms)));
            self.index.history.insert((finished_ms, id));
        }
    }

    fn retire_history(&mut self) {
        let Some((finished_ms, id)) = self.index.history.first().cloned() else { return };
        let is_old = finished_ms.saturating_add(HISTORY_KEPT_MS) <= self.at_ms;
        if is_old || HISTORY_KEPT_MAX < self.index.history.len() {
            self.index.history.pop_first();
            self.evict(id);
        }
    }

    fn evict(&mut self, id: TaskId) {
        let Some(kept) = self.history.remove(&id) else { return };
        self.index.delist(&kept);
        if self.at_ms < kept.expires_at.0 {
            let (state, expires_at) = (kept.state, kept.expires_at);
            let spent = Spent { state, expires_at, envelope_hash: kept.envelope_hash };
            self.index.spent.insert((expires_at.0, id.clone()));
            self.spent.insert(id.clone(), spent);
        }
        self.evicted.push(id);
    }

    fn retire_spent(&mut self) {
        let Some((expiry_ms, _)) = self.index.spent.first() else { return };
        if *expiry_ms <= self.at_ms
            && let Some((_, id)) = self.index.spent.pop_first()
        {
            self.spent.remove(&id);
        }
    }
}
