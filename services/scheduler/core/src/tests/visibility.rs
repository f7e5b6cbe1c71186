//! Who sees which task, and who may end it.

use std::collections::BTreeSet;

use schemas::{
    ErrorCode, TaskId, Timestamp,
    principal::UserRole,
    registry::RegistryEvent,
    scheduler::{OutputRequest, TaskSelection},
    task::Verdict,
};

use super::harness::{
    Scene, agent, cancel, check, lines, member, principal, report, submit, task_id,
};
use crate::{Answer, Command, Observation, PageKey, Question, Submission, limits, sees};

/// On node `a` of `olga` a task that `gate` asked for in the name of `ann`; on node `b` of `otis` one
/// of `ann` herself; one of `ann` that waits.
fn scene() -> Scene {
    let mut scene = Scene::with(&[("a", 1)]);
    let mut other = agent("b", 1);
    other.owner = principal("otis");
    scene.join(other);
    let spec = || schemas::task::TaskSpec::new(schemas::task::Work::Echo { text: String::new() });
    let expires_ms = scene.moment.now_ms + super::harness::HOUR_MS;
    let Command::Submit(mut for_ann) = submit("t1", "node:a", spec(), expires_ms) else { panic!() };
    for_ann.issuer = principal("gate");
    accept(&mut scene, "a", &["ann", "gate"]);
    scene.decide(&Command::Submit(for_ann)).unwrap();
    scene.submit("t2", "node:b");
    scene.submit("t3", "node:b");
    for (person, role) in [
        ("adam", UserRole::Admin),
        ("otto", UserRole::Operator),
        ("audrey", UserRole::Auditor),
        ("uma", UserRole::User),
    ] {
        scene.enrol(person, role);
    }
    scene
}

fn accept(scene: &mut Scene, node: &str, whom: &[&str]) {
    let mut view = agent(node, 1);
    let pattern = |who: &&str| schemas::manifest::PrincipalPattern::parse(who).unwrap();
    view.manifest.accepts_tasks_from = whom.iter().map(pattern).collect();
    scene.join(view);
}

/// Somebody, what they see, and what they are told when they want to end each task.
type Row = (&'static str, &'static [&'static str], [Ends; 3]);

type Ends = (&'static str, Result<(), ErrorCode>);

/// The whole table: who sees which of the tasks, and what they are told when they want to end it.
const TABLE: &[Row] = {
    const NONE: Result<(), ErrorCode> = Err(ErrorCode::TaskNotFound);
    const NO: Result<(), ErrorCode> = Err(ErrorCode::NotAllowed);
    &[
        ("ann", &["t3", "t2", "t1"], [("t1", Ok(())), ("t2", Ok(())), ("t3", Ok(()))]),
        ("gate", &["t1"], [("t1", Ok(())), ("t2", NONE), ("t3", NONE)]),
        ("a", &["t1"], [("t1", NO), ("t2", NONE), ("t3", NONE)]),
        ("b", &["t2"], [("t1", NONE), ("t2", NO), ("t3", NONE)]),
        ("olga", &["t1"], [("t1", Ok(())), ("t2", NONE), ("t3", NONE)]),
        ("otis", &["t2"], [("t1", NONE), ("t2", Ok(())), ("t3", NONE)]),
        ("adam", &["t3", "t2", "t1"], [("t1", Ok(())), ("t2", Ok(())), ("t3", Ok(()))]),
        ("otto", &["t3", "t2", "t1"], [("t1", Ok(())), ("t2", Ok(())), ("t3", Ok(()))]),
        ("audrey", &["t3", "t2", "t1"], [("t1", NO), ("t2", NO), ("t3", NO)]),
        ("registry", &["t3", "t2", "t1"], [("t1", NO), ("t2", NO), ("t3", NO)]),
        ("uma", &[], [("t1", NONE), ("t2", NONE), ("t3", NONE)]),
        ("nobody", &[], [("t1", NONE), ("t2", NONE), ("t3", NONE)]),
    ]
};

const TASKS: [&str; 3] = ["t1", "t2", "t3"];

#[test]
fn everybody_sees_in_every_answer_what_the_table_says_and_nothing_else() {
    let scene = scene();
    for (who, seen, _) in TABLE {
        assert_eq!(listed(&scene, who), *seen, "{who}");
        for task in TASKS {
            let id = task_id(task);
            let output =
                OutputRequest { id: id.clone(), after: Some(0), known: None, wait_ms: None };
            let questions = [
                Question::GetTask(id.clone()),
                Question::Output(output),
                Question::Why(id.clone()),
                Question::Chain(id),
            ];
            for question in questions {
                let answer = scene.ask_as(who, &question).map(drop);
                let then = if seen.contains(&task) { Ok(()) } else { Err(ErrorCode::TaskNotFound) };
                assert_eq!(answer, then, "{who} {question:?}");
            }
        }
    }
}

#[test]
fn everybody_hears_of_what_they_see() {
    let scene = scene();
    for (who, seen, _) in TABLE {
        let events = scene.history.iter().map(|(event, _)| event);
        let heard = events.filter(|event| sees(&scene.state, &scene.facts, &principal(who), event));
        let heard: BTreeSet<TaskId> = heard.map(|event| event.task().clone()).collect();
        assert_eq!(heard, seen.iter().map(|task| task_id(task)).collect(), "{who}");
    }
}

#[test]
fn whoever_was_put_out_sees_and_ends_nothing_any_more() {
    for who in ["ann", "olga", "adam"] {
        let mut scene = scene();
        scene.enrol(who, UserRole::User);
        let (principal, by) = (principal(who), principal("root"));
        let reason = String::new();
        scene.recorded(RegistryEvent::PrincipalEvicted {
            principal: principal.clone(),
            by,
            reason,
        });
        let asked = scene.ask_as(who, &Question::GetTask(task_id("t1"))).map(drop);
        assert_eq!(asked, Err(ErrorCode::PrincipalOut), "{who}");
        let force = Command::ForceLost { by: principal.clone(), task: task_id("t1") };
        for command in [cancel("t1", who), force] {
            assert_eq!(scene.decide(&command).map(drop), Err(ErrorCode::PrincipalOut), "{who}");
        }
        let mut events = scene.history.iter().map(|(event, _)| event);
        assert!(!events.any(|event| sees(&scene.state, &scene.facts, &principal, event)), "{who}");
    }
}

#[test]
fn everybody_ends_what_the_table_says_and_nothing_else() {
    for (who, _, ends) in TABLE {
        for (task, then) in ends {
            let mut scene = scene();
            let cancelled = scene.decide(&cancel(task, who)).map(drop);
            assert_eq!(cancelled, *then, "{who} {task}");
            let mut scene = self::scene();
            let force = Command::ForceLost { by: principal(who), task: task_id(task) };
            let settled = scene.decide(&force).map(drop);
            let not_lost = then.and(Err(ErrorCode::TaskNotLost));
            assert_eq!(settled, not_lost, "{who} {task}");
        }
    }
}

#[test]
fn what_has_left_the_memory_is_seen_by_the_same_people() {
    let mut scene = scene();
    assert_eq!(scene.start("t1", 1, "a-1"), "go");
    scene.decide(&report("t1", 1, "a-1", Verdict::Succeeded)).unwrap();
    scene.pass_ms(limits::FINISHED_KEPT_MS);
    scene.submit("t4", "node:b");
    let get = Question::GetTask(task_id("t1"));
    for (who, seen, _) in TABLE {
        let answer = scene.ask_as(who, &get);
        assert_eq!(matches!(answer, Ok(Answer::Kept(_))), seen.contains(&"t1"), "{who}");
    }
    assert_eq!(listed(&scene, "olga"), ["(t1)"]);
    // What has ended is told as such only to those who may see it.
    check(&mut scene, &cancel("t1", "ann"), Err(ErrorCode::TaskFinished));
    check(&mut scene, &cancel("t1", "otis"), Err(ErrorCode::TaskNotFound));
    scene.pass_ms(limits::HISTORY_KEPT_MS);
    scene.submit("t5", "node:b");
    assert_eq!(listed(&scene, "olga"), Vec::<String>::new());
}

#[test]
fn a_task_that_went_to_another_node_is_no_longer_seen_by_the_first() {
    let mut scene = Scene::with(&[("a", 1)]);
    let mut other = agent("b", 1);
    other.owner = principal("otis");
    scene.submit("t1", "can:shell.exec");
    scene.join(other);
    assert_eq!((listed(&scene, "a").len(), listed(&scene, "b").len()), (1, 0));
    scene.decide(&super::harness::refuse("t1", 1, "a-1", ErrorCode::JournalFailed)).unwrap();
    assert_eq!((listed(&scene, "a").len(), listed(&scene, "b").len()), (0, 1));
    assert_eq!((listed(&scene, "olga").len(), listed(&scene, "otis").len()), (0, 1));
}

#[test]
fn a_list_of_many_lists_is_cut_into_pages_without_loss_or_repetition() {
    let mut scene = Scene::with(&[("a", 9), ("b", 9)]);
    for task in 0..20 {
        let audience = if task % 3 == 0 { "node:a" } else { "node:b" };
        let mut command = scene.submission(&format!("t{task:02}"), audience);
        if let Command::Submit(submission) = &mut command
            && task % 5 == 0
        {
            submission.subject = principal("olga");
        }
        scene.decide(&command).unwrap();
    }
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let select = TaskSelection::default();
        let question = Question::GetTasks { select, after, limit: 3 };
        let Ok(Answer::Tasks(page)) = scene.ask_as("olga", &question) else { panic!() };
        all.extend(page.answer.tasks.iter().map(|view| view.id.to_string()));
        let Some(next) = page.answer.next else { break };
        after = Some(PageKey::parse(&next).unwrap());
    }
    let seen = |task: &u32| {
        let state = scene.state.task(&task_id(&format!("t{task:02}"))).unwrap();
        state.view.node.is_some() || task.is_multiple_of(5)
    };
    let then: Vec<String> = (0..20).rev().filter(seen).map(|task| format!("t{task:02}")).collect();
    assert_eq!(all, then);
}

#[test]
fn until_the_principals_are_listed_only_ones_own_is_answered() {
    let mut scene = Scene::unlisted();
    scene.submit("t1", "node:a");
    let get = Question::GetTask(task_id("t1"));
    assert!(matches!(scene.ask_as("ann", &get), Ok(Answer::Task(_))));
    assert!(matches!(scene.ask_as("registry", &get), Ok(Answer::Task(_))));
    assert_eq!(scene.ask_as("adam", &get), Err(ErrorCode::Unreachable));
    let list = Question::GetTasks { select: TaskSelection::default(), after: None, limit: 9 };
    assert_eq!(scene.ask_as("ann", &list), Err(ErrorCode::Unreachable));
    check(&mut scene, &cancel("t1", "adam"), Err(ErrorCode::Unreachable));
    scene.observe(Observation::Listed(BTreeSet::new()));
    scene.observe(Observation::Principal(Box::new(member("adam", Some(UserRole::Admin)))));
    scene.observe(Observation::PrincipalsListed([principal("adam")].into()));
    assert!(matches!(scene.ask_as("adam", &get), Ok(Answer::Task(_))));
    assert_eq!(scene.ask_as("bob", &get), Err(ErrorCode::TaskNotFound));
    check(&mut scene, &cancel("t1", "adam"), Ok(&["t1 cancelled at 0"]));
}

#[test]
fn a_denial_names_only_nodes_that_the_issuer_sees() {
    let mut scene = Scene::with(&[("a", 1)]);
    let spec = schemas::task::TaskSpec::new(schemas::task::Work::Echo { text: String::new() });
    let expires = Timestamp(scene.moment.now_ms + super::harness::HOUR_MS);
    let command = submit("t1", "can:shell.exec", spec, expires.0);
    let Command::Submit(submission) = command else { panic!() };
    let by_eve = |audience: &str| {
        let (issuer, audience) = (principal("eve"), audience.parse().unwrap());
        let submission = submission.as_ref().clone();
        Command::Submit(Box::new(Submission { issuer, audience, ..submission }))
    };
    scene.tick();
    let message = |command: &Command| {
        use decider::Decider as _;
        let decided = crate::Scheduler::decide(&scene.state, command, &scene.facts);
        decided.map(|decided| lines(&decided.events)).unwrap_err().to_string()
    };
    let any = message(&by_eve("can:shell.exec"));
    assert!(any.ends_with("nobody who could do it lets them ask"), "{any}");
    let named = message(&by_eve("node:a"));
    assert!(named.contains("the manifest of a does not name eve"), "{named}");
}

fn listed(scene: &Scene, who: &str) -> Vec<String> {
    let select = TaskSelection::default();
    let question = Question::GetTasks { select, after: None, limit: 100 };
    let Ok(Answer::Tasks(page)) = scene.ask_as(who, &question) else { panic!("{who}") };
    let mut ids: Vec<String> = page.answer.tasks.iter().map(|view| view.id.to_string()).collect();
    for (place, kept) in page.missing {
        ids.insert(place, format!("({})", kept.id));
    }
    ids
}
