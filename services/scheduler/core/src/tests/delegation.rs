//! Tasks that ask for tasks: who may, for how much, and what becomes of them.

use std::collections::BTreeSet;

use schemas::{
    Capability, ErrorCode, Timestamp,
    grants::{CHAIN_LENGTH_MAX, Grants},
    manifest::PrincipalPattern,
    principal::UserRole,
    registry::RegistryEvent,
    task::{TaskState, Verdict},
};

use super::harness::{
    HOUR_MS, Scene, agent, cancel, check, key_of, principal, report, submit, task_id,
};
use crate::{
    Answer, Command, Dispatch, Effect, Link, Question, Submission, limits::CANCELS_PER_DECISION_MAX,
};

/// Nodes `a`, `b` and `c` that may task one another; `a` runs `t1` of `ann` with these grants.
fn delegating(grants: Grants) -> Scene {
    let mut scene = Scene::new();
    for node in ["a", "b", "c"] {
        let mut view = agent(node, 1000);
        let pattern = |who: &str| PrincipalPattern::parse(who).unwrap();
        view.manifest.can_task = ["a", "b", "c"].map(pattern).to_vec();
        view.manifest.accepts_tasks_from = ["a", "b", "c", "ann"].map(pattern).to_vec();
        scene.join(view);
    }
    let Command::Submit(mut parent) = scene.submission("t1", "node:a") else { panic!() };
    parent.grants = grants;
    scene.decide(&Command::Submit(parent)).unwrap();
    scene.start("t1", 1, "a-1");
    scene
}

fn some() -> Grants {
    Grants {
        capabilities: vec![Capability::parse("shell.*").unwrap()],
        agents: vec![PrincipalPattern::parse("*").unwrap()],
        credentials: vec!["npm".to_owned()],
        tasks_max: 10,
        ..Grants::default()
    }
}

/// What the node of `parent` asks for in its name.
fn child(task: &str, parent: &str, by: &str) -> Submission {
    let spec = schemas::task::TaskSpec::new(schemas::task::Work::Echo { text: String::new() });
    let expires_ms = super::harness::BEGIN_MS + HOUR_MS;
    let Command::Submit(submission) = submit(task, "node:b", spec, expires_ms) else { panic!() };
    Submission {
        issuer: principal(by),
        key: key_of(by),
        certificates: vec![format!("certificate of {by}")],
        parent: Some(task_id(parent)),
        ..*submission
    }
}

fn asked(submission: Submission) -> Command {
    Command::Submit(Box::new(submission))
}

#[test]
fn a_run_asks_for_a_task_within_its_grants() {
    let mut scene = delegating(some());
    let then = ["t2 submitted", "t2 assigned to b at 1"];
    check(&mut scene, &asked(child("t2", "t1", "a")), Ok(&then));
    let view = scene.state.task(&task_id("t2")).unwrap().view.clone();
    assert_eq!((view.subject, view.parent), (principal("ann"), Some(task_id("t1"))));
}

/// Everything that a request of a run can get wrong, beside the request that is right.
#[test]
fn a_run_asks_for_nothing_that_it_was_not_granted() {
    type Change = fn(&mut Submission);
    let cases: [(Change, Option<ErrorCode>); 13] = [
        (|_| (), None),
        (|it| it.parent = Some(task_id("t9")), Some(ErrorCode::ChainInvalid)),
        (|it| it.issuer = principal("b"), Some(ErrorCode::ChainInvalid)),
        (|it| it.issuer = principal("ann"), Some(ErrorCode::ChainInvalid)),
        (|it| it.subject = principal("bob"), Some(ErrorCode::ChainInvalid)),
        (|it| it.audience = "can:gpu".parse().unwrap(), Some(ErrorCode::GrantsExceeded)),
        (|it| it.audience = "can:shell.exec".parse().unwrap(), None),
        (|it| it.spec.credentials = vec!["aws".to_owned()], Some(ErrorCode::GrantsExceeded)),
        (|it| it.spec.credentials = vec!["npm".to_owned()], None),
        (|it| it.grants.tasks_max = 10, Some(ErrorCode::GrantsExceeded)),
        (|it| it.grants.tasks_max = 9, None),
        (|it| it.grants.credentials = vec!["aws".to_owned()], Some(ErrorCode::GrantsExceeded)),
        (|it| it.expires_at = Timestamp(it.expires_at.0 + 1000), Some(ErrorCode::GrantsExceeded)),
    ];
    for (number, (change, then)) in cases.into_iter().enumerate() {
        let mut scene = delegating(some());
        let mut submission = child("t2", "t1", "a");
        change(&mut submission);
        let taken = scene.decide(&asked(submission)).map(drop);
        assert_eq!(taken.err(), then, "case {number}");
    }
}

#[test]
fn what_was_granted_nothing_asks_for_nothing() {
    let mut scene = delegating(Grants::default());
    check(&mut scene, &asked(child("t2", "t1", "a")), Err(ErrorCode::GrantsExceeded));
}

#[test]
fn grants_that_end_before_their_task_end_what_is_asked_for_too() {
    let until_s = Timestamp(super::harness::BEGIN_MS + HOUR_MS / 2).seconds();
    let mut scene = delegating(Grants { until_s: Some(until_s), ..some() });
    let mut late = child("t2", "t1", "a");
    check(&mut scene, &asked(late.clone()), Err(ErrorCode::GrantsExceeded));
    late.expires_at = Timestamp::from_seconds(until_s);
    scene.decide(&asked(late)).unwrap();
}

#[test]
fn only_a_task_that_runs_now_asks_for_others() {
    let refused = |scene: &mut Scene| {
        check(scene, &asked(child("t2", "t1", "a")), Err(ErrorCode::ChainInvalid));
    };
    let mut ended = delegating(some());
    ended.decide(&report("t1", 1, "a-1", Verdict::Succeeded)).unwrap();
    refused(&mut ended);
    ended.pass_ms(crate::limits::FINISHED_KEPT_MS);
    ended.submit("t3", "node:a");
    refused(&mut ended);

    let mut cancelled = delegating(some());
    cancelled.decide(&cancel("t1", "ann")).unwrap();
    refused(&mut cancelled);

    let mut lost = delegating(some());
    lost.tick();
    lost.pass_ms(crate::limits::LEASE_TTL_MS);
    lost.settle();
    assert_eq!(lost.state_of("t1"), TaskState::Lost);
    refused(&mut lost);

    let mut waiting = delegating(some());
    waiting.submit("t3", "node:c");
    check(&mut waiting, &asked(child("t2", "t3", "c")), Err(ErrorCode::ChainInvalid));
}

#[test]
fn a_task_that_moved_on_is_asked_for_by_its_new_node_alone() {
    let mut scene = delegating(some());
    let mut parent = scene.submission("t3", "can:shell.exec");
    let Command::Submit(submission) = &mut parent else { panic!() };
    (submission.spec.idempotent, submission.grants) = (true, some());
    scene.decide(&parent).unwrap();
    let first = scene.state.task(&task_id("t3")).unwrap().view.node.clone().unwrap();
    scene.start("t3", 1, &format!("{first}-1"));
    scene.decide(&report("t3", 1, &format!("{first}-1"), Verdict::Lost)).unwrap();
    let view = scene.state.task(&task_id("t3")).unwrap().view.clone();
    let second = view.node.unwrap();
    if first == second {
        // The same node runs it again: then there is nobody to tell apart.
        return;
    }
    scene.start("t3", 2, &format!("{second}-1"));
    let by_first = asked(child("t4", "t3", first.as_str()));
    check(&mut scene, &by_first, Err(ErrorCode::ChainInvalid));
    scene.decide(&asked(child("t4", "t3", second.as_str()))).unwrap();
}

/// Each task with what it may ask for itself counts, and what ended still does.
#[test]
fn the_tasks_that_a_task_asks_for_stay_within_its_budget() {
    let mut scene = delegating(some());
    let with = |task: &str, tasks_max: u32| {
        let mut submission = child(task, "t1", "a");
        submission.grants = Grants { tasks_max, ..Grants::default() };
        asked(submission)
    };
    scene.decide(&with("t2", 4)).unwrap();
    scene.decide(&with("t2", 4)).unwrap();
    scene.start("t2", 1, "b-1");
    scene.decide(&report("t2", 1, "b-1", Verdict::Succeeded)).unwrap();
    check(&mut scene, &with("t3", 5), Err(ErrorCode::GrantsExceeded));
    scene.decide(&with("t3", 4)).unwrap();
    check(&mut scene, &with("t4", 0), Err(ErrorCode::GrantsExceeded));
}

#[test]
fn a_chain_is_only_so_long() {
    let mut scene = delegating(Grants { tasks_max: 100, ..some() });
    let mut parent = ("t1".to_owned(), "a");
    for length in 2..=CHAIN_LENGTH_MAX + 1 {
        let (task, by) = (format!("c{length}"), parent.1);
        let mut submission = child(&task, &parent.0, by);
        let node = if by == "a" { "b" } else { "a" };
        submission.audience = format!("node:{node}").parse().unwrap();
        let tasks_max = u32::try_from(100 - length).unwrap();
        submission.grants = Grants { tasks_max, ..some() };
        let command = asked(submission);
        if length == CHAIN_LENGTH_MAX + 1 {
            check(&mut scene, &command, Err(ErrorCode::ChainInvalid));
            return;
        }
        scene.decide(&command).unwrap();
        scene.start(&task, 1, &format!("{node}-1"));
        parent = (task, node);
    }
}

#[test]
fn agents_need_both_sides_also_for_what_a_run_asks_for() {
    let mut scene = delegating(some());
    let mut closed = agent("d", 1);
    closed.manifest.accepts_tasks_from = vec![PrincipalPattern::parse("ann").unwrap()];
    scene.join(closed);
    let mut submission = child("t2", "t1", "a");
    submission.audience = "node:d".parse().unwrap();
    check(&mut scene, &asked(submission), Err(ErrorCode::TaskNotPermitted));
}

#[test]
fn a_key_that_is_revoked_anywhere_in_the_chain_ends_it() {
    for (key, then) in [("ann", ErrorCode::KeyRevoked), ("a", ErrorCode::KeyRevoked)] {
        let mut scene = delegating(some());
        scene.decide(&asked(child("t2", "t1", "a"))).unwrap();
        let (by, reason) = (principal("adam"), String::new());
        let principal = principal(key);
        scene.recorded(RegistryEvent::KeyRevoked { principal, key: key_of(key), by, reason });
        assert_eq!(scene.settle(), ["t2 failed at 1"], "{key}");
        check(&mut scene, &asked(child("t3", "t1", "a")), Err(then));
    }
}

fn offers(scene: &mut Scene) -> Vec<Dispatch> {
    let effects = std::mem::take(&mut scene.effects);
    let offers = effects.into_iter().filter_map(|effect| match effect {
        Effect::Dispatch(offer) => Some(*offer),
        Effect::SendCancel { .. } => None,
    });
    offers.collect()
}

#[test]
fn an_offer_carries_the_chain_from_its_root_on() {
    let mut scene = delegating(some());
    let first = offers(&mut scene).remove(0);
    assert_eq!(first.certificates, ["certificate of ann"]);
    assert_eq!(first.ancestors, []);
    let mut second = child("t2", "t1", "a");
    second.grants = Grants { tasks_max: 5, ..some() };
    scene.decide(&asked(second)).unwrap();
    scene.start("t2", 1, "b-1");
    // The root has ended by the time the third is offered: its request is in the bucket alone.
    scene.decide(&report("t1", 1, "a-1", Verdict::Succeeded)).unwrap();
    let mut third = child("t3", "t2", "b");
    third.audience = "node:c".parse().unwrap();
    scene.decide(&asked(third)).unwrap();
    let third = offers(&mut scene).pop().unwrap();
    assert_eq!((third.task, third.certificates), (task_id("t3"), vec!["certificate of b".into()]));
    let [root, parent] = third.ancestors.as_slice() else { panic!("{:?}", third.ancestors) };
    assert_eq!((&root.task, &root.node, root.epoch), (&task_id("t1"), &principal("a"), 1));
    assert_eq!((root.term, root.assigned_at), (7, Timestamp(super::harness::BEGIN_MS)));
    assert_eq!(root.request, None);
    assert_eq!((&parent.task, &parent.node), (&task_id("t2"), &principal("b")));
    let request = parent.request.clone().unwrap();
    assert_eq!(request.envelope, "envelope of t2");
    assert_eq!(request.certificates, ["certificate of a"]);
    scene.restart();
    let again = offers(&mut scene).pop().unwrap();
    assert_eq!(again.ancestors, third.ancestors);
}

#[test]
fn certificates_are_kept_once_and_as_long_as_they_are_needed() {
    let mut scene = Scene::with(&[("a", 9)]);
    for task in ["t1", "t2"] {
        scene.submit(task, "node:a");
    }
    let mut chains: Vec<_> = scene.state.tasks.values().map(|task| task.chain).collect();
    chains.dedup();
    assert_eq!(chains.len(), 1);
    let number = chains[0].unwrap();
    scene.decide(&cancel("t1", "ann")).unwrap();
    assert_eq!(scene.state.chains.get(number), ["certificate of ann"]);
    scene.decide(&cancel("t2", "ann")).unwrap();
    assert_eq!(scene.state.chains, crate::state::Chains::default());
}

#[test]
fn when_a_task_is_cancelled_so_is_everything_that_it_asked_for() {
    let mut scene = delegating(some());
    let mut second = child("t2", "t1", "a");
    second.grants = Grants { tasks_max: 5, ..some() };
    scene.decide(&asked(second)).unwrap();
    scene.start("t2", 1, "b-1");
    let mut third = child("t3", "t2", "b");
    third.audience = "node:c".parse().unwrap();
    scene.decide(&asked(third)).unwrap();
    scene.decide(&asked(child("t4", "t1", "a"))).unwrap();
    scene.submit("t5", "node:b");
    check(&mut scene, &cancel("t1", "ann"), Ok(&["t1 to end for ann"]));
    let ended = scene.settle();
    assert_eq!(ended, ["t2 to end for ann", "t4 cancelled at 1", "t3 cancelled at 1"]);
    assert_eq!(scene.state_of("t5"), TaskState::Assigned);
    assert_eq!(scene.state.ending, BTreeSet::new());
}

#[test]
fn what_a_task_asked_for_goes_on_when_it_ends_by_itself() {
    let mut scene = delegating(some());
    scene.decide(&asked(child("t2", "t1", "a"))).unwrap();
    scene.decide(&report("t1", 1, "a-1", Verdict::Failed)).unwrap();
    assert_eq!(scene.settle(), Vec::<String>::new());
    assert_eq!(scene.state_of("t2"), TaskState::Assigned);
}

#[test]
fn a_cancel_of_many_children_is_spread_over_decisions_and_outlives_a_restart() {
    let count = CANCELS_PER_DECISION_MAX + 1;
    let tasks_max = u32::try_from(count).unwrap();
    let mut scene = delegating(Grants { tasks_max, ..some() });
    for n in 0..count {
        scene.decide(&asked(child(&format!("c{n}"), "t1", "a"))).unwrap();
    }
    scene.decide(&cancel("t1", "ann")).unwrap();
    let first = Command::EndChildren { parent: task_id("t1") };
    assert_eq!(scene.decide(&first).unwrap().0.len(), CANCELS_PER_DECISION_MAX);
    scene.restart();
    assert_eq!(scene.settle().len(), 1);
}

#[test]
fn the_chain_names_ancestors_and_children_that_the_asker_sees() {
    let mut scene = delegating(some());
    let mut second = child("t2", "t1", "a");
    second.grants = Grants { tasks_max: 5, ..some() };
    scene.decide(&asked(second)).unwrap();
    scene.start("t2", 1, "b-1");
    for task in ["t3", "t4"] {
        let mut third = child(task, "t2", "b");
        third.audience = "node:c".parse().unwrap();
        scene.decide(&asked(third)).unwrap();
    }
    let chain = |scene: &Scene, who: &str, task: &str| {
        let answer = scene.ask_as(who, &Question::Chain(task_id(task)))?;
        let Answer::Chain(page) = answer else { panic!("{answer:?}") };
        let name = |link: &Link| match link {
            Link::Whole(view) => view.id.to_string(),
            Link::Kept(kept) => format!("({})", kept.id),
        };
        let names = |links: &[Link]| links.iter().map(name).collect::<Vec<_>>().join(" ");
        Ok((names(&page.ancestors), names(&page.children)))
    };
    let then = |ancestors: &str, children: &str| Ok((ancestors.to_owned(), children.to_owned()));
    assert_eq!(chain(&scene, "ann", "t1"), then("t1", "t2"));
    assert_eq!(chain(&scene, "ann", "t2"), then("t1 t2", "t3 t4"));
    assert_eq!(chain(&scene, "ann", "t4"), then("t1 t2 t4", ""));
    assert_eq!(chain(&scene, "b", "t4"), then("t2 t4", ""));
    assert_eq!(chain(&scene, "c", "t4"), then("t4", ""));
    assert_eq!(chain(&scene, "c", "t2"), Err(ErrorCode::TaskNotFound));
    scene.enrol("audrey", UserRole::Auditor);
    assert_eq!(chain(&scene, "audrey", "t4"), then("t1 t2 t4", ""));
    scene.decide(&report("t1", 1, "a-1", Verdict::Succeeded)).unwrap();
    scene.pass_ms(crate::limits::FINISHED_KEPT_MS);
    scene.submit("t9", "node:a");
    assert_eq!(chain(&scene, "ann", "t4"), then("(t1) t2 t4", ""));
}
