//! Heartbeats and pongs: that the node lives, how its machine is, what it runs.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use agent_core::{Node, Presence};
use client::Client;
use schemas::{
    agent::{FailureCounters, Heartbeat, Pong},
    protocol::{HEARTBEAT_INTERVAL, PROTOCOL_VERSION},
    subject,
};

use crate::{clock, measure::Meter};

/// What is wrong, if anything is.
pub(crate) type Complaint = Option<String>;

/// What may be wrong with a node, beside what its core knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Worry {
    /// The registry does not have the node.
    Registration,
    /// Its credentials run out.
    Renewal,
    /// Nobody tells it who is out.
    Roster,
    /// It would not know who is out after a restart.
    RosterDisk,
}

/// Beats when it is time to.
pub(crate) struct Pulse {
    meter: Meter,
    /// Between two beats of a node that runs nothing.
    interval: Duration,
    beat_at: Option<Instant>,
    /// When it was last considered whether to beat.
    looked_at: Option<Instant>,
    /// Whether the last beat named a task.
    was_running: bool,
    /// What earlier process starts left behind.
    failures: FailureCounters,
    worries: BTreeMap<Worry, String>,
}

impl Pulse {
    pub(crate) fn new(meter: Meter, interval_s: Option<u32>, failures: FailureCounters) -> Self {
        let interval =
            interval_s.map_or(HEARTBEAT_INTERVAL, |seconds| Duration::from_secs(seconds.into()));
        Self {
            meter,
            interval,
            beat_at: None,
            looked_at: None,
            was_running: false,
            failures,
            worries: BTreeMap::new(),
        }
    }

    /// When to consider the next beat. What runs is named at least every ten seconds, whatever the
    /// agent's own interval, so that is looked after more often than an idle node beats.
    pub(crate) fn next_at(&self) -> Instant {
        let every = self.interval.min(HEARTBEAT_INTERVAL);
        self.looked_at.map_or_else(Instant::now, |looked_at| looked_at + every)
    }

    /// The next beat is due now.
    pub(crate) fn hurry(&mut self) {
        (self.beat_at, self.looked_at) = (None, None);
    }

    /// Something is wrong from now on, or no more.
    pub(crate) fn worry(&mut self, about: Worry, complaint: Complaint) {
        let present = self.worries.get(&about);
        if present == complaint.as_ref() {
            return;
        }
        match complaint {
            Some(complaint) => self.worries.insert(about, complaint),
            None => self.worries.remove(&about),
        };
        self.hurry();
    }

    fn complaint(&self, node: &Node, presence: &Presence) -> Complaint {
        let roster = node.roster_complaint(clock::wall());
        let first = presence.complaint.clone().or(roster);
        first.or_else(|| self.worries.values().next().cloned())
    }

    /// Beats, unless nobody would hear it or nobody needs it yet.
    pub(crate) fn beat(&mut self, node: &Node, client: &Client) {
        let presence = node.presence();
        let runs = !presence.running.is_empty();
        let now = Instant::now();
        self.looked_at = Some(now);
        let due = self.beat_at.is_none_or(|beat_at| beat_at + self.interval <= now);
        if !client.connected() || !(due || runs || self.was_running) {
            return;
        }
        (self.beat_at, self.was_running) = (Some(now), runs);
        let heartbeat = self.heartbeat(node, presence, client.disconnects());
        let body = serde_json::to_vec(&heartbeat).expect("a heartbeat is a plain struct");
        publish(client, subject::heartbeat(node.profile().id()), body);
    }

    fn heartbeat(&mut self, node: &Node, presence: Presence, disconnects: u64) -> Heartbeat {
        let complaint = self.complaint(node, &presence);
        let takes_tasks = node.knows_who_is_out(clock::wall());
        Heartbeat {
            node: node.profile().id().clone(),
            instance: Some(node.profile().instance.clone()),
            at: Some(clock::wall()),
            slots_free: if takes_tasks { presence.slots_free } else { 0 },
            running: presence.running,
            draining: presence.draining,
            load: self.meter.load(),
            failures: FailureCounters {
                tasks_failed: presence.tasks_failed,
                tasks_refused: presence.tasks_refused,
                disconnects,
                ..self.failures.clone()
            },
            complaint,
        }
    }

    /// Answers a ping.
    pub(crate) fn pong(&self, node: &Node, client: &Client, reply: String) {
        let pong = Pong {
            node: node.profile().id().clone(),
            instance: node.profile().instance.clone(),
            protocol: PROTOCOL_VERSION,
        };
        let body = serde_json::to_vec(&pong).expect("a pong is a plain struct");
        publish(client, reply, body);
    }
}

/// Sends without making the loop wait.
fn publish(client: &Client, subject: String, body: Vec<u8>) {
    let client = client.clone();
    tokio::spawn(async move {
        if let Err(error) = client.nats().publish(subject, body.into()).await {
            tracing::debug!(%error, "a heartbeat or pong was not sent");
        }
    });
}
