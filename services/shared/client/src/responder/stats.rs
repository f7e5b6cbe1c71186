//! What `nats micro stats` shows: requests, errors and time, for each verb.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use schemas::{Fault, Timestamp};

/// Counted since the responder began to serve.
#[derive(Debug)]
pub(super) struct Stats {
    pub(super) started: Timestamp,
    verbs: Mutex<BTreeMap<&'static str, VerbStats>>,
}

/// Of one verb.
#[derive(Clone, Debug, Default)]
pub(super) struct VerbStats {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) last_error: String,
    pub(super) time: Duration,
}

impl Stats {
    pub(super) fn new(started: Timestamp) -> Self {
        Self { started, verbs: Mutex::default() }
    }

    pub(super) fn count(&self, verb: &'static str, time: Duration, fault: Option<&Fault>) {
        let mut verbs = self.verbs.lock().unwrap_or_else(PoisonError::into_inner);
        let stats = verbs.entry(verb).or_default();
        stats.requests += 1;
        stats.time += time;
        if let Some(fault) = fault {
            stats.errors += 1;
            stats.last_error = fault.to_string();
        }
    }

    pub(super) fn of(&self, verb: &str) -> VerbStats {
        let verbs = self.verbs.lock().unwrap_or_else(PoisonError::into_inner);
        verbs.get(verb).cloned().unwrap_or_default()
    }
}
