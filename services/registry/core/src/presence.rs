//! What heartbeats, and their absence, say of an agent.
//!
//! **Invariant:** between on time and late lies a whole interval, and two heartbeats in time and
//! without complaint end a degradation, so that jitter makes no status flap.

use schemas::{
    Timestamp,
    agent::Heartbeat,
    manifest::TEXT_BYTES_MAX,
    protocol::HEARTBEATS_MISSED_MAX,
    registry::{AgentStatus, Presence},
};

use crate::{Agent, Beat, Facts, Listing, Observation, State};

/// Intervals of silence after which an agent is degraded: one heartbeat was missed altogether.
pub const LATE_INTERVALS: u32 = 2;
/// Heartbeats in time and without complaint that end a degradation.
pub const RECOVERY_BEATS: u32 = 2;

/// A status that presence calls for, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) status: AgentStatus,
    pub(crate) reason: String,
}

/// Takes a heartbeat into the facts.
pub(crate) fn observe(state: &State, facts: &mut Facts, observation: Observation) {
    let (by, heartbeat, at) = match observation {
        Observation::Heard { by, heartbeat, at } => (by, heartbeat, at),
        Observation::Founders(founders) => {
            facts.founders = founders;
            facts.sweep = true;
            return;
        }
    };
    let known = state.agent(&heartbeat.node).filter(|agent| {
        agent.listing != Listing::Deregistered && (by == heartbeat.node || by == agent.registrant)
    });
    let Some(agent) = known else {
        facts.heartbeats_dropped = facts.heartbeats_dropped.saturating_add(1);
        return;
    };
    let beat = Beat {
        calm: calm(agent, facts, &heartbeat),
        presence: Presence { heard_at: at, heartbeat: *heartbeat },
        heard_lease_ms: facts.lease_ms,
    };
    facts.beats.insert(agent.id().clone(), beat);
    facts.unshown.insert(agent.id().clone());
}

/// Counts the heartbeats in a row up to this one that give no reason to worry.
fn calm(agent: &Agent, facts: &Facts, heartbeat: &Heartbeat) -> u32 {
    if heartbeat.complaint.is_some() {
        return 0;
    }
    match facts.beats.get(agent.id()) {
        Some(last) if age_ms(last, facts) < late_after_ms(agent) => last.calm.saturating_add(1),
        Some(_) | None => 1,
    }
}

/// The status that presence calls for when it differs from the one it has.
pub(crate) fn change(agent: &Agent, beat: Option<&Beat>, facts: &Facts) -> Option<Verdict> {
    let verdict = verdict(agent, beat, facts)?;
    (verdict.status != agent.present).then_some(verdict)
}

/// What presence says of an agent; nothing while too little was heard to say it.
fn verdict(agent: &Agent, beat: Option<&Beat>, facts: &Facts) -> Option<Verdict> {
    let fresh = beat.filter(|beat| age_ms(beat, facts) < late_after_ms(agent));
    if let Some(beat) = fresh {
        return alive(agent, beat);
    }
    if agent.present == AgentStatus::Offline {
        return None;
    }
    let silence_ms = silence_ms(agent, beat, facts);
    if offline_after_ms(agent) <= silence_ms {
        return Some(silent(AgentStatus::Offline, silence_ms));
    }
    let late = late_after_ms(agent) <= silence_ms;
    late.then(|| silent(AgentStatus::Degraded, silence_ms))
}

fn silent(status: AgentStatus, silence_ms: u64) -> Verdict {
    Verdict { status, reason: format!("no heartbeat for {} s", silence_ms / 1000) }
}

/// What the last heartbeat says, given that it came in time.
fn alive(agent: &Agent, beat: &Beat) -> Option<Verdict> {
    if let Some(complaint) = &beat.presence.heartbeat.complaint {
        return Some(Verdict { status: AgentStatus::Degraded, reason: shortened(complaint) });
    }
    let recovering = agent.present == AgentStatus::Degraded && beat.calm < RECOVERY_BEATS;
    let reason = "heartbeats arrive".to_owned();
    (!recovering).then_some(Verdict { status: AgentStatus::Online, reason })
}

/// Milliseconds since a heartbeat was heard.
fn age_ms(beat: &Beat, facts: &Facts) -> u64 {
    facts.lease_ms.saturating_sub(beat.heard_lease_ms)
}

/// Milliseconds without a sign of life, counted only while this process would have heard one.
fn silence_ms(agent: &Agent, beat: Option<&Beat>, facts: &Facts) -> u64 {
    let listened_ms = facts.lease_ms.saturating_sub(facts.connected_at_lease_ms);
    let heard_ms = beat.map_or(u64::MAX, |beat| age_ms(beat, facts));
    // A registration is a sign of life too. Only the log knows of it, by the wall clock, which
    // says nothing once it went back behind it.
    let now = Timestamp(facts.now_ms);
    let announced = agent.announced_at.filter(|at| *at <= now);
    let announced_ms = announced.map_or(u64::MAX, |at| now.since_ms(at));
    listened_ms.min(heard_ms).min(announced_ms)
}

fn late_after_ms(agent: &Agent) -> u64 {
    intervals_ms(agent, LATE_INTERVALS)
}

fn offline_after_ms(agent: &Agent) -> u64 {
    intervals_ms(agent, HEARTBEATS_MISSED_MAX)
}

fn intervals_ms(agent: &Agent, count: u32) -> u64 {
    u64::from(agent.interval_s()).saturating_mul(1000).saturating_mul(u64::from(count))
}

/// The beginning of a complaint: what a node says must not fill the log.
fn shortened(complaint: &str) -> String {
    let mut text: String = complaint.chars().filter(|c| !c.is_control()).collect();
    while TEXT_BYTES_MAX < text.len() {
        text.pop();
    }
    text
}
