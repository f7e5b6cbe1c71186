//! Heartbeats and pongs: that the node lives, how its machine is, what it runs.

use std::time::{Duration, Instant};

use agent_core::{Node, Presence};
use client::Client;
use schemas::{
    agent::{FailureCounters, Heartbeat, Pong},
    protocol::{HEARTBEAT_INTERVAL, PROTOCOL_VERSION},
    subject,
};

use crate::{clock, measure::Meter, registrar::Complaint};

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
    registration: Complaint,
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
            registration: None,
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

    pub(crate) fn set_registration(&mut self, complaint: Complaint) {
        self.registration = complaint;
        self.hurry();
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
        Heartbeat {
            node: node.profile().id().clone(),
            instance: Some(node.profile().instance.clone()),
            at: Some(clock::wall()),
            slots_free: presence.slots_free,
            running: presence.running,
            draining: presence.draining,
            load: self.meter.load(),
            failures: FailureCounters {
                tasks_failed: presence.tasks_failed,
                tasks_refused: presence.tasks_refused,
                disconnects,
                ..self.failures.clone()
            },
            complaint: presence.complaint.or_else(|| self.registration.clone()),
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
