//! What heartbeats and silence make of a status.

use decider::Recorded;
use schemas::registry::AgentStatus::{Degraded, Offline, Online};

use super::*;
use crate::{ARCHIVE_AFTER_MS, DUE_MAX, Effect, SHOW_PRESENCE_EVERY_MS, SWEEP_EVERY_MS};

/// One step of a story on the lease clock.
#[derive(Clone, Copy)]
enum Step {
    /// A heartbeat at this millisecond.
    Beat(u64),
    /// A heartbeat with a complaint.
    Complain(u64),
    /// Nothing but time up to here.
    Wait(u64),
}
use Step::{Beat, Complain, Wait};

#[test]
fn an_agent_is_degraded_after_two_intervals_and_offline_after_three() {
    story(&[Beat(0), Wait(19_999)], &[]);
    story(&[Beat(0), Wait(20_000)], &[Degraded]);
    story(&[Beat(0), Wait(20_000), Wait(29_999)], &[Degraded]);
    story(&[Beat(0), Wait(20_000), Wait(30_000)], &[Degraded, Offline]);
    story(&[Beat(0), Wait(30_000)], &[Offline]);
}

#[test]
fn jitter_of_almost_an_interval_changes_nothing() {
    story(&[Beat(0), Beat(19_000), Beat(25_000), Beat(44_000), Wait(60_000)], &[]);
}

#[test]
fn a_heartbeat_brings_an_offline_agent_back_at_once() {
    story(&[Beat(0), Wait(30_000), Beat(100_000)], &[Offline, Online]);
}

#[test]
fn two_heartbeats_in_time_end_a_degradation_and_one_does_not() {
    story(&[Beat(0), Wait(20_000), Beat(21_000)], &[Degraded]);
    story(&[Beat(0), Wait(20_000), Beat(21_000), Beat(31_000)], &[Degraded, Online]);
}

#[test]
fn an_agent_that_misses_every_other_heartbeat_stays_degraded() {
    let steps = [
        Beat(0),
        Wait(20_000),
        Beat(20_500),
        Wait(40_600),
        Beat(41_000),
        Wait(61_500),
        Beat(62_000),
    ];
    story(&steps, &[Degraded]);
}

#[test]
fn a_complaint_degrades_until_two_heartbeats_come_without_one() {
    story(&[Beat(0), Complain(10_000)], &[Degraded]);
    story(&[Beat(0), Complain(10_000), Beat(20_000)], &[Degraded]);
    story(&[Beat(0), Complain(10_000), Beat(20_000), Complain(30_000), Beat(40_000)], &[Degraded]);
    story(&[Beat(0), Complain(10_000), Beat(20_000), Beat(30_000)], &[Degraded, Online]);
    story(&[Beat(0), Wait(30_000), Complain(40_000)], &[Offline, Degraded]);
}

#[test]
fn after_a_restart_everybody_has_the_full_time_to_beat() {
    let state = state(&[registered(manifest("web"))]);
    let started = |lease_ms| at(lease_ms);
    assert_eq!(Registry::due(&state, &started(19_999)), Vec::new());
    assert_eq!(Registry::due(&state, &started(20_000)), vec![review()]);
}

#[test]
fn after_a_reconnect_everybody_has_the_full_time_to_beat() {
    let given = [registered(manifest("web"))];
    let mut facts = at(0);
    hear(&given, &mut facts, Heartbeat::bare(id("web")));
    let reconnected = |lease_ms| Moment {
        now_ms: NOW_MS,
        lease_ms,
        connected_at_lease_ms: 19_000,
        ..Moment::default()
    };
    Registry::tell(&mut facts, reconnected(38_999));
    assert_eq!(Registry::due(&state(&given), &facts), Vec::new());
    Registry::tell(&mut facts, reconnected(39_000));
    assert_eq!(Registry::due(&state(&given), &facts), vec![review()]);
}

#[test]
fn a_reconnect_brings_nobody_back_who_was_offline() {
    let given =
        [registered(manifest("web")), changed("web", Online, Offline, "no heartbeat for 30 s")];
    let mut facts = at(0);
    hear(&given, &mut facts, Heartbeat::bare(id("web")));
    let moment = Moment {
        now_ms: NOW_MS,
        lease_ms: 40_000,
        connected_at_lease_ms: 40_000,
        ..Moment::default()
    };
    Registry::tell(&mut facts, moment);
    assert_eq!(Registry::due(&state(&given), &facts), Vec::new());
}

#[test]
fn a_registration_is_a_sign_of_life() {
    let mut state = State::default();
    let recorded = Recorded { at_ms: NOW_MS - 5_000, term: 1 };
    Registry::evolve(&mut state, &registered(manifest("web")), &recorded);
    assert_eq!(Registry::due(&state, &at(3_600_000)), Vec::new());
}

#[test]
fn an_agent_that_never_beat_stays_offline_without_events() {
    let given = [registered_by("alice", manifest("webhook"))];
    assert_eq!(Registry::due(&state(&given), &at(3_600_000)), Vec::new());
}

#[test]
fn the_interval_of_the_manifest_counts() {
    let slow = Manifest { heartbeat_interval: Some(60), ..manifest("web") };
    let given = [registered(slow)];
    assert_eq!(Registry::due(&state(&given), &at(119_999)), Vec::new());
    assert_eq!(Registry::due(&state(&given), &at(120_000)), vec![review()]);
}

#[test]
fn heartbeats_of_strangers_are_dropped_and_counted() {
    let mut facts = now();
    hear(&[], &mut facts, Heartbeat::bare(id("nobody")));
    let gone = [registered(manifest("web")), deregistered("web", "web")];
    hear(&gone, &mut facts, Heartbeat::bare(id("web")));
    let heartbeat = Box::new(Heartbeat::bare(id("web")));
    let forged = Observation::Heard { by: id("mallory"), heartbeat, at: Timestamp(NOW_MS) };
    Registry::observe(&state(&[registered(manifest("web"))]), &mut facts, forged);
    assert_eq!((facts.heartbeats_dropped, facts.beats.len()), (3, 0));
}

#[test]
fn what_is_due_is_named_until_it_is_decided_and_never_again() {
    let mut state = state(&[registered(manifest("web"))]);
    let facts = at(30_000);
    assert_eq!(Registry::due(&state, &facts), Registry::due(&state, &facts));
    let decided = Registry::decide(&state, &review(), &facts).unwrap();
    assert_eq!(decided.events, vec![changed("web", Online, Offline, "no heartbeat for 30 s")]);
    evolve_all(&mut state, &decided.events);
    assert_eq!(Registry::due(&state, &facts), Vec::new());
    assert_eq!(Registry::decide(&state, &review(), &facts).unwrap().events, Vec::new());
}

#[test]
fn many_changes_come_a_few_at_a_time() {
    let given: Vec<_> =
        (0..DUE_MAX + 1).map(|n| registered(manifest(&format!("agent-{n}")))).collect();
    assert_eq!(Registry::due(&state(&given), &at(30_000)).len(), DUE_MAX);
}

#[test]
fn agents_are_looked_at_every_so_often_only() {
    let given = [registered(manifest("web"))];
    let state = state(&given);
    let mut facts = at(30_000);
    Registry::due_effects(&state, &mut facts);
    assert_eq!(Registry::due(&state, &facts), Vec::new());
    tell(&mut facts, 30_000 + SWEEP_EVERY_MS - 1);
    assert_eq!(Registry::due(&state, &facts), Vec::new());
    tell(&mut facts, 30_000 + SWEEP_EVERY_MS);
    assert_eq!(Registry::due(&state, &facts), vec![review()]);
}

#[test]
fn who_was_offline_for_thirty_days_leaves_the_lists_and_a_heartbeat_brings_it_back() {
    let given = vec![registered(manifest("web")), changed("web", Online, Offline, "gone")];
    let archive = Command::Archive { agent: id("web") };
    let mut facts = now();
    facts.now_ms = LONG_AGO_MS + ARCHIVE_AFTER_MS - 1;
    assert_eq!(Registry::due(&state(&given), &facts), Vec::new());
    check(&given, &facts, &archive, Ok(Vec::new()));
    facts.now_ms += 1;
    assert_eq!(Registry::due(&state(&given), &facts), vec![archive.clone()]);
    check(&given, &facts, &archive, Ok(vec![archived("web")]));

    let given = [given, vec![archived("web")]].concat();
    assert!(state(&given).row(&id("web")).unwrap().archived);
    assert_eq!(Registry::due(&state(&given), &facts), Vec::new());
    hear(&given, &mut facts, Heartbeat::bare(id("web")));
    let back = changed("web", Offline, Online, "heartbeats arrive");
    check(&given, &facts, &review(), Ok(vec![back.clone()]));
    let row = state(&[given, vec![back]].concat()).row(&id("web")).unwrap();
    assert_eq!((row.archived, row.status), (false, Online));
}

#[test]
fn heartbeats_are_shown_together_every_two_seconds() {
    let given = [registered(manifest("web")), registered(manifest("db"))];
    let state = state(&given);
    let mut facts = at(10_000);
    for name in ["web", "db", "web"] {
        hear(&given, &mut facts, Heartbeat::bare(id(name)));
    }
    let names = |effects: &[Effect]| match effects {
        [Effect::ShowPresence(shown)] => {
            shown.iter().map(|presence| presence.heartbeat.node.to_string()).collect()
        }
        _ => Vec::new(),
    };
    assert_eq!(names(&Registry::due_effects(&state, &mut facts)), ["db", "web"]);
    hear(&given, &mut facts, Heartbeat::bare(id("web")));
    tell(&mut facts, 10_000 + SHOW_PRESENCE_EVERY_MS - 1);
    assert_eq!(Registry::due_effects(&state, &mut facts), Vec::new());
    tell(&mut facts, 10_000 + SHOW_PRESENCE_EVERY_MS);
    assert_eq!(names(&Registry::due_effects(&state, &mut facts)), ["web"]);
}

#[test]
fn what_leaves_the_lists_is_hidden() {
    let state = state(&[]);
    for event in [archived("web"), deregistered("web", "web")] {
        assert_eq!(Registry::react(&state, &event), vec![Effect::HidePresence(id("web"))]);
    }
}

#[test]
fn a_complaint_fills_the_log_with_no_more_than_its_beginning() {
    let given = [registered(manifest("web"))];
    let mut facts = now();
    let complaint = Some(format!("disk\nfull {}", "\u{e9}".repeat(1000)));
    hear(&given, &mut facts, Heartbeat { complaint, ..Heartbeat::bare(id("web")) });
    let decided = Registry::decide(&state(&given), &review(), &facts).unwrap();
    let [RegistryEvent::AgentStatusChanged { reason, .. }] = &decided.events[..] else {
        panic!("{decided:?} changes no status");
    };
    assert!(reason.starts_with("diskfull") && reason.len() <= 256, "{reason}");
}

fn review() -> Command {
    Command::Review { agent: id("web") }
}

fn tell(facts: &mut Facts, lease_ms: u64) {
    Registry::tell(facts, Moment { now_ms: NOW_MS, lease_ms, ..Moment::default() });
}

fn evolve_all(state: &mut State, events: &[RegistryEvent]) {
    for event in events {
        Registry::evolve(state, event, &Recorded { at_ms: NOW_MS, term: 1 });
    }
}

/// Runs the steps with a look around after each, and compares every status that was shown.
#[track_caller]
fn story(steps: &[Step], then: &[AgentStatus]) {
    let given = [registered(manifest("web"))];
    let mut state = state(&given);
    let mut facts = at(0);
    let mut shown = Vec::new();
    for step in steps {
        let (Beat(lease_ms) | Complain(lease_ms) | Wait(lease_ms)) = *step;
        tell(&mut facts, lease_ms);
        let complaint = match step {
            Complain(_) => Some("disk full".to_owned()),
            Beat(_) | Wait(_) => None,
        };
        match step {
            Beat(_) | Complain(_) => {
                hear(&given, &mut facts, Heartbeat { complaint, ..Heartbeat::bare(id("web")) });
            }
            Wait(_) => (),
        }
        facts.sweep = true;
        for command in Registry::due(&state, &facts) {
            let decided = Registry::decide(&state, &command, &facts).unwrap();
            evolve_all(&mut state, &decided.events);
            shown.push(state.row(&id("web")).unwrap().status);
        }
    }
    assert_eq!(shown, then);
}
