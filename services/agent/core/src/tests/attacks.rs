//! Attacks that need a node's memory, its journal or its clock; the numbers are those of the list in
//! `tests/tests/attacks`.
//!
//! **Invariant:** every attack stands beside its control: the first, honest use does what it should.

use std::time::Duration;

use schemas::{
    Audience, Capability, ErrorCode, InstanceId, Manifest,
    scheduler::{StartAnswer, StartDecision},
    task::Verdict,
};

use super::fixture::{
    NOW_S, after, answer, asking, committing, draft, ended, facts, facts_at, go, id, manifest,
    node, offer, on_disk, profile, reporting, run_key, running, settled, shown, stand_down, task,
};
use crate::{Action, Facts, Input, Node, Profile, Record, RecordKind, admit};

/// What a node of `instance` wrote on its way through `past`, all of it on disk.
fn journal(past: Vec<Input>) -> Vec<Record> {
    let mut node = node();
    let mut written = Vec::new();
    for input in past {
        for action in node.step(input, &facts()) {
            if let Action::Write(record) = action {
                written.push(record);
            }
        }
    }
    written
}

/// What the node does with these, in order.
fn does(node: &mut Node, inputs: Vec<Input>, facts: &Facts) -> Vec<String> {
    inputs.into_iter().flat_map(|input| shown(&node.step(input, facts))).collect()
}

fn runs(done: &[String]) -> usize {
    done.iter().filter(|action| action.starts_with("run ")).count()
}

/// The go for the first request of another process start.
fn go_for(instance: &str) -> Input {
    Input::StartAnswered(StartAnswer {
        task: task(1),
        epoch: 1,
        instance: InstanceId::parse(instance).unwrap(),
        ask: 1,
        term: 5,
        decision: StartDecision::Go {},
    })
}

/// Facts whose wall clock stands elsewhere than the time since the start says.
fn clock_at(wall_s: u64, uptime_s: u64) -> Facts {
    let wall = schemas::Timestamp::from_seconds(wall_s);
    Facts { wall, ..facts_at(Duration::from_secs(uptime_s)) }
}

const DAY_S: u64 = 24 * 60 * 60;

#[test]
fn attack_32_a_clock_set_back_or_forward_runs_nothing_again_with_or_without_a_restart() {
    let key = run_key(1, 1);
    let mut honest = node();
    assert_eq!(runs(&does(&mut honest, running(&key, 1), &facts())), 1);
    for wall_s in [0, NOW_S - DAY_S, NOW_S - 31, NOW_S, NOW_S + 149, NOW_S + DAY_S] {
        let moved = clock_at(wall_s, 1);
        let mut same = node();
        does(&mut same, settled(&key, 1), &facts());
        let (fresh, resumed) = Node::recover(profile("i2"), journal(settled(&key, 1)), &moved);
        assert_eq!(shown(&resumed), Vec::<String>::new());
        for mut node in [same, fresh] {
            let replayed = does(&mut node, vec![offer(1, 1), go_for("i1")], &moved);
            assert_eq!(replayed, Vec::<String>::new(), "at {wall_s}");
        }
    }
}

/// A clock that was ahead makes the node forget; when it is back, the node asks, and what has ended
/// gets no second go.
#[test]
fn attack_32_a_clock_set_forward_and_back_again_makes_the_node_ask_and_not_run() {
    let key = run_key(1, 1);
    let mut node = node();
    does(&mut node, settled(&key, 1), &facts());
    let ahead = clock_at(NOW_S + DAY_S, 60);
    assert_eq!(does(&mut node, vec![Input::Tick, offer(1, 1)], &ahead), ["refuse 1 EXPIRED"]);
    let back = clock_at(NOW_S + 60, 120);
    let replayed = does(&mut node, vec![offer(1, 1), on_disk(&key, RecordKind::Accepted)], &back);
    assert_eq!(replayed, ["write accepted 1", "ask 1 try 1"]);
    let finished = StartDecision::StandDown { code: ErrorCode::TaskFinished };
    let told = does(&mut node, vec![answer(&key, 1, 5, finished)], &back);
    assert_eq!(told, ["write ended 1 Cancelled"], "which the scheduler does not count");
    assert_eq!(does(&mut node, vec![go(&key, 1)], &back), Vec::<String>::new());
}

#[test]
fn attack_38_a_replay_on_the_same_node_changes_nothing_at_any_point_of_its_life() {
    let key = run_key(1, 1);
    let life = settled(&key, 1);
    let mut control = node();
    assert_eq!(runs(&does(&mut control, life.clone(), &facts())), 1);
    for replayed_after in 0..life.len() {
        let mut node = node();
        let mut done = Vec::new();
        for (index, input) in life.iter().enumerate() {
            done.extend(does(&mut node, vec![input.clone()], &facts()));
            if replayed_after <= index {
                let again = vec![offer(1, 1), offer(1, 1), go(&key, 1)];
                // The go is the honest one until it was taken, and counts once.
                done.extend(does(&mut node, again, &facts()));
            }
        }
        assert!(runs(&done) <= 1, "after {replayed_after}: {done:?}");
        let accepted = done.iter().filter(|action| *action == "write accepted 1").count();
        assert_eq!(accepted, 1, "after {replayed_after}: {done:?}");
    }
}

fn of_another_node(name: &str) -> Profile {
    let manifest = Manifest { id: id(name), ..manifest() };
    Profile { manifest, ..profile("i1") }
}

#[test]
fn attack_39_a_replay_on_another_node_is_refused() {
    let capability = Audience::Can(Capability::parse("shell.exec").unwrap());
    let for_any = draft(1, 1).with(|draft| draft.request.audience = capability);
    for offer in [draft(1, 1).sign(), for_any.sign()] {
        assert!(admit(&offer, &profile("i1"), facts().wall).is_ok());
        for other in ["n2", "n11", "n"] {
            let refused = admit(&offer, &of_another_node(other), facts().wall).unwrap_err();
            assert_eq!(refused.code, ErrorCode::WrongAudience, "{other}");
        }
        let mut node = Node::new(of_another_node("n2"));
        let done = does(&mut node, vec![Input::Offer(offer), go_for("i1")], &facts());
        assert_eq!(done, ["refuse 1 WRONG_AUDIENCE"]);
    }
}

#[test]
fn attack_40_a_replay_after_a_crash_at_any_record_runs_at_most_once() {
    let key = run_key(1, 1);
    let written = journal(settled(&key, 1));
    assert_eq!(written.len(), 4, "{written:?}");
    for synced in 0..=written.len() {
        let disk = written[..synced].to_vec();
        let started = disk.iter().any(|record| matches!(record, Record::Started(_)));
        let (mut node, mut done) = recovered("i2", disk);
        let again = vec![
            offer(1, 1),
            on_disk(&key, RecordKind::Accepted),
            // What the dead process was told, and then what this one is told.
            go_for("i1"),
            go_for("i2"),
            on_disk(&key, RecordKind::Started),
        ];
        done.extend(does(&mut node, again, &facts()));
        assert_eq!(runs(&done), usize::from(!started), "{synced} records: {done:?}");
    }
}

fn recovered(instance: &str, disk: Vec<Record>) -> (Node, Vec<String>) {
    let (node, actions) = Node::recover(profile(instance), disk, &facts());
    (node, shown(&actions))
}

#[test]
fn attack_41_a_replay_after_the_record_was_evicted_is_too_late_to_be_admitted() {
    let key = run_key(1, 1);
    let mut evicted_at = None;
    for second in 0..200 {
        let mut node = node();
        does(&mut node, settled(&key, 1), &facts());
        does(&mut node, vec![Input::Tick], &after(second));
        // Nor does a fresh journal or a new process lose it earlier.
        let (rolled, _) = Node::recover(profile("i2"), node.carry_over(), &after(second));
        for mut node in [node, rolled] {
            let remembered = !node.used.is_empty();
            let done = does(&mut node, vec![offer(1, 1)], &after(second));
            if remembered {
                assert_eq!(done, Vec::<String>::new(), "at {second}");
            } else {
                assert_eq!(done, ["refuse 1 EXPIRED"], "at {second}");
                evicted_at.get_or_insert(second);
            }
        }
    }
    assert_eq!(evicted_at, Some(151), "it is evicted at all");
}

/// The disk goes back in time: before the task, between its records, and after a roll.
#[test]
fn attack_42_a_disk_rolled_back_to_a_snapshot_gets_no_second_go() {
    let key = run_key(1, 1);
    let written = journal(settled(&key, 1));
    for kept in 0..written.len() {
        let (mut node, mut done) = recovered("i2", written[..kept].to_vec());
        let replayed = vec![offer(1, 1), on_disk(&key, RecordKind::Accepted), go_for("i1")];
        done.extend(does(&mut node, replayed, &facts()));
        assert_eq!(runs(&done), 0, "the old go is for the old process: {done:?}");
        let told = StartDecision::StandDown { code: ErrorCode::NotTheRunner };
        let answer = StartAnswer {
            task: task(1),
            epoch: 1,
            instance: InstanceId::parse("i2").unwrap(),
            ask: 1,
            term: 5,
            decision: told,
        };
        done.extend(does(&mut node, vec![Input::StartAnswered(answer)], &facts()));
        done.extend(does(&mut node, vec![go_for("i2")], &facts()));
        assert_eq!(runs(&done), 0, "{kept} records: {done:?}");
    }
    let (mut control, mut done) = recovered("i2", Vec::new());
    let honest = vec![offer(1, 1), on_disk(&key, RecordKind::Accepted), go_for("i2")];
    done.extend(does(&mut control, honest, &facts()));
    done.extend(does(&mut control, vec![on_disk(&key, RecordKind::Started)], &facts()));
    assert_eq!(runs(&done), 1);
}

/// The machine's memory goes back too, so that the process believes that it is still the old one.
#[test]
fn attack_42_a_memory_snapshot_that_is_resumed_asks_again_before_it_runs() {
    let key = run_key(1, 1);
    let mut original = node();
    does(&mut original, asking(&key, 1), &facts());
    let snapshot = original.clone();
    let rest = vec![go(&key, 1), on_disk(&key, RecordKind::Started)];
    assert_eq!(runs(&does(&mut original, rest, &facts())), 1);
    // Sleep counts as time since the start, so the go that was awaited is too old by then.
    let mut resumed = snapshot.clone();
    assert_eq!(does(&mut resumed, vec![Input::Tick], &after(60)), ["ask 1 try 2"]);
    assert_eq!(does(&mut resumed, vec![go(&key, 1)], &after(60)), Vec::<String>::new());
    let told = does(&mut resumed, vec![stand_down(&key, 2)], &after(60));
    assert_eq!(told, ["write dropped 1 STALE_EPOCH"]);
    let mut replayed = snapshot;
    assert_eq!(does(&mut replayed, vec![go(&key, 1)], &after(60)), ["ask 1 try 2"]);
}

#[test]
fn attack_43_duplicates_in_any_number_and_order_run_once() {
    let (first, second) = (run_key(1, 1), run_key(2, 1));
    for copies in [2, 16, 256] {
        let mut node = node();
        let mut done = Vec::new();
        for _ in 0..copies {
            done.extend(does(&mut node, vec![offer(2, 1), offer(1, 1)], &facts()));
        }
        for key in [&first, &second] {
            let steps =
                [on_disk(key, RecordKind::Accepted), go(key, 1), on_disk(key, RecordKind::Started)];
            for step in steps {
                for _ in 0..copies {
                    done.extend(does(&mut node, vec![step.clone()], &facts()));
                }
            }
        }
        let expected = [
            "write accepted 1",
            "write accepted 1",
            "ask 1 try 1",
            "write started 1",
            "run 1",
            "ask 1 try 1",
            "write started 1",
            "run 1",
        ];
        assert_eq!(done, expected, "{copies} copies");
    }
}

/// The scheduler's key signs another assignment under an epoch that was given out before.
#[test]
fn attack_49_an_epoch_or_attempt_that_is_used_again_starts_nothing() {
    let key = run_key(1, 2);
    let reused = |epoch: u64, attempt: u32, term: u64| {
        let draft = draft(1, epoch).with(|draft| {
            draft.assignment.attempt = attempt;
            draft.assignment.term = term;
        });
        Input::Offer(draft.sign())
    };
    for past in [asking(&key, 1), committing(&key, 1), running(&key, 1), settled(&key, 1)] {
        let mut node = node();
        does(&mut node, past.clone(), &facts());
        let (restarted, _) = recovered("i2", journal(past));
        for mut node in [node, restarted] {
            for epoch in [0, 1, 2] {
                for (attempt, term) in [(1, 5), (2, 5), (1, 6), (9, 99)] {
                    let done = does(&mut node, vec![reused(epoch, attempt, term)], &facts());
                    let begun = done.iter().any(|action| action.starts_with("write accepted"));
                    assert!(!begun && runs(&done) == 0, "epoch {epoch}: {done:?}");
                }
            }
        }
    }
    let mut control = node();
    does(&mut control, reporting(&key, 1), &facts());
    let newer = does(&mut control, vec![reused(3, 2, 6)], &facts());
    assert_eq!(newer, ["write accepted 3"], "a higher epoch is another assignment");
    let of_the_old = does(&mut control, vec![ended(&key, Verdict::Failed)], &facts());
    assert_eq!(of_the_old, Vec::<String>::new());
}
