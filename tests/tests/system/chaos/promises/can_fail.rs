//! Every promise can be seen to be broken.

use schemas::task::TaskState::{Failed, Succeeded};

use super::{check_effect, check_life};
use crate::chaos::history::Life;
use crate::chaos::load::Sort;
use crate::chaos::witness::Line;

/// Ran once, as it should.
fn good() -> (Life, Vec<Line>) {
    let life = Life {
        submissions: 1,
        assigned: vec![1],
        started: [(1, "local-1".to_owned())].into(),
        finished: vec![(1, Succeeded)],
        ..Life::default()
    };
    (life, vec![Line { epoch: 1, pid: 7 }])
}

/// Was lost, and ran again.
fn again(life: &mut Life, lines: &mut Vec<Line>) {
    (life.assigned, life.lost, life.finished) = (vec![1, 2], vec![1], vec![(2, Succeeded)]);
    life.started.insert((2, "local-2".to_owned()));
    lines.push(Line { epoch: 2, pid: 8 });
}

#[track_caller]
fn check(sort: Sort, complaint: &str, spoil: impl FnOnce(&mut Life, &mut Vec<Line>)) {
    let (mut life, mut lines) = good();
    spoil(&mut life, &mut lines);
    let checked = check_life(&life, sort).and_then(|()| check_effect(&life, &lines, sort));
    let said = checked.err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(said, complaint, "{life:?}");
}

#[test]
fn a_good_life_is_no_complaint() {
    check(Sort::Once, "", |_, _| ());
    check(Sort::Echo, "", |_, lines| lines.clear());
    check(Sort::Once, "", |life, _| life.finished = vec![(1, Failed)]);
    check(Sort::Once, "", |life, lines| {
        (life.lost, life.finished) = (vec![1], Vec::new());
        lines.clear();
    });
    check(Sort::Once, "", |life, _| life.lost = vec![1]);
    check(Sort::Idempotent, "", again);
    check(Sort::Once, "", |life, lines| {
        again(life, lines);
        (life.lost, life.taken_back) = (Vec::new(), [1].into());
        lines.remove(0);
    });
}

#[test]
fn a_task_that_is_doubled_or_gone_is_a_complaint() {
    check(Sort::Once, "submitted 0 times", |life, _| life.submissions = 0);
    check(Sort::Once, "submitted 2 times", |life, _| life.submissions = 2);
    check(Sort::Once, "it has no outcome", |life, _| life.finished.clear());
    check(Sort::Once, "finished more than once", |life, _| life.finished.push((1, Failed)));
    check(Sort::Idempotent, "lost twice in one epoch", |life, _| life.lost = vec![1, 1]);
    check(Sort::Once, "lost more than once, though it runs at most once", |life, lines| {
        again(life, lines);
        life.lost = vec![1, 2];
    });
    check(Sort::Once, "lost in one epoch and settled in another", again);
    check(Sort::Idempotent, "lost, though it could have run again", |life, _| {
        (life.lost, life.finished) = (vec![1], Vec::new());
    });
}

#[test]
fn a_start_that_nobody_may_have_made_is_a_complaint() {
    check(Sort::Once, "epochs do not ascend", |life, _| life.assigned = vec![1, 1]);
    check(Sort::Once, "started unassigned", |life, _| life.assigned = vec![2]);
    check(Sort::Idempotent, "two instances were told to run one epoch", |life, _| {
        life.started.insert((1, "local-2".to_owned()));
    });
}

#[test]
fn an_effect_that_does_not_fit_is_a_complaint() {
    check(Sort::Idempotent, "one epoch ran twice", |_, lines| lines.push(lines[0].clone()));
    check(Sort::Once, "it ran twice", |life, lines| {
        again(life, lines);
        (life.lost, life.finished) = (Vec::new(), vec![(2, Failed)]);
    });
    check(Sort::Once, "it ran and its node said that it had not", |life, _| {
        life.taken_back.insert(1);
    });
    let silent = "it is said to have succeeded and never ran";
    check(Sort::Once, silent, |_, lines| lines.clear());
    check(Sort::Idempotent, silent, |life, lines| {
        again(life, lines);
        lines.truncate(1);
    });
    check(Sort::Once, "it ran and nobody had been told to run it", |_, lines| lines[0].epoch = 2);
}
