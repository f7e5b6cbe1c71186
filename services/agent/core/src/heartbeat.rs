//! What a heartbeat says of the node's tasks.

use crate::{Node, RunKey};

/// What a node says about its tasks when it beats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// What it runs, has asked to run, or has not been able to report; these leases are renewed.
    pub running: Vec<RunKey>,
    /// Runs that it could start now.
    pub slots_free: u32,
    /// Whether it takes no more tasks because it is about to stop.
    pub draining: bool,
    /// Why it takes no more tasks although it does not stop.
    pub complaint: Option<String>,
    /// Runs that failed or timed out.
    pub tasks_failed: u64,
    /// Tasks that it refused.
    pub tasks_refused: u64,
}

impl Node {
    /// What to say now.
    #[must_use]
    pub fn presence(&self) -> Presence {
        let open = self.drain.is_none() && self.complaint.is_none();
        Presence {
            running: self.runs.keys().cloned().collect(),
            slots_free: if open { self.slots_free() } else { 0 },
            draining: self.drain.is_some(),
            complaint: self.complaint.clone(),
            tasks_failed: self.tasks_failed,
            tasks_refused: self.tasks_refused,
        }
    }
}
