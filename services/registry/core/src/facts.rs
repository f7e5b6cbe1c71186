//! What is known of the world but not from the log: the time, and who beats.
//!
//! **Invariant:** silence is measured on the lease clock alone, which stands still while this
//! process is paused or cut off, so that its own trouble makes nobody else look dead.

use std::collections::{BTreeMap, BTreeSet};

use decider::Moment;
use schemas::{
    PrincipalId, Timestamp,
    agent::Heartbeat,
    registry::{Presence, Seat},
};

/// How long an agent stays on the lists while it is offline, in milliseconds (30 days).
pub const ARCHIVE_AFTER_MS: u64 = 30 * 24 * 3600 * 1000;
/// How often all agents are looked at for what time or heartbeats call for, in milliseconds.
pub const SWEEP_EVERY_MS: u64 = 500;
/// How often heartbeats are written to where others can read them, in milliseconds.
pub const SHOW_PRESENCE_EVERY_MS: u64 = 2000;

/// Something seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A heartbeat arrived.
    Heard {
        /// Who sent it.
        by: PrincipalId,
        /// What it said.
        heartbeat: Box<Heartbeat>,
        /// When it arrived, on the wall clock.
        at: Timestamp,
    },
    /// Who is there without an invite, as the settings say.
    Founders(Vec<Seat>),
}

/// The last heartbeat of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// What it said, and when it was heard on the wall clock.
    pub presence: Presence,
    /// When it was heard, in milliseconds on the lease clock.
    pub heard_lease_ms: u64,
    /// How many heartbeats in a row up to this one came in time and without complaint.
    pub calm: u32,
}

/// The world as the registry knows it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Milliseconds on the lease clock.
    pub lease_ms: u64,
    /// The lease clock when this process was last connected: nobody counts as silent for longer
    /// than this process has listened.
    pub connected_at_lease_ms: u64,
    /// Last heartbeats of the agents that are known.
    pub beats: BTreeMap<PrincipalId, Beat>,
    /// How long an agent stays on the lists while it is offline, in milliseconds.
    pub archive_after_ms: u64,
    /// Heartbeats that were dropped because nobody of that name is registered, or because their
    /// sender may not speak for it.
    pub heartbeats_dropped: u64,
    /// Who is there without an invite, as the settings say.
    pub(crate) founders: Vec<Seat>,
    /// Whether all agents are to be looked at now.
    pub(crate) sweep: bool,
    pub(crate) swept_at_lease_ms: u64,
    /// Agents whose heartbeats others cannot read yet.
    pub(crate) unshown: BTreeSet<PrincipalId>,
    pub(crate) shown_at_lease_ms: u64,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            now_ms: 0,
            lease_ms: 0,
            connected_at_lease_ms: 0,
            beats: BTreeMap::new(),
            archive_after_ms: ARCHIVE_AFTER_MS,
            heartbeats_dropped: 0,
            founders: Vec::new(),
            sweep: true,
            swept_at_lease_ms: 0,
            unshown: BTreeSet::new(),
            shown_at_lease_ms: 0,
        }
    }
}

impl Facts {
    /// Takes the time.
    pub fn tell(&mut self, moment: Moment) {
        self.now_ms = moment.now_ms;
        self.lease_ms = moment.lease_ms;
        self.connected_at_lease_ms = moment.connected_at_lease_ms;
        if SWEEP_EVERY_MS <= self.lease_ms.saturating_sub(self.swept_at_lease_ms) {
            self.sweep = true;
        }
    }

    /// The last heartbeat of an agent, as others see it.
    #[must_use]
    pub fn presence(&self, agent: &PrincipalId) -> Option<Presence> {
        self.beats.get(agent).map(|beat| beat.presence.clone())
    }
}
