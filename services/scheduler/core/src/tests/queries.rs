//! What can be asked.

use schemas::{
    ErrorCode,
    principal::UserRole,
    scheduler::{Filter, OutputRequest, TaskSelection},
    task::{TaskState, Verdict},
};

use super::harness::{Scene, agent, principal, report, task_id};
use crate::{Answer, PageKey, Question, limits::FINISHED_KEPT_MS};

fn page(
    scene: &Scene,
    select: TaskSelection,
    after: Option<PageKey>,
) -> (Vec<String>, Option<String>) {
    let query = Question::GetTasks { select, after, limit: 2 };
    let Ok(Answer::Tasks(page)) = scene.ask(&query) else { panic!() };
    let mut ids: Vec<String> = page.answer.tasks.iter().map(|view| view.id.to_string()).collect();
    for (index, kept) in page.missing {
        ids.insert(index, format!("({})", kept.id));
    }
    (ids, page.answer.next)
}

#[test]
fn tasks_are_listed_newest_first_page_by_page() {
    let mut scene = Scene::with(&[("a", 9)]);
    scene.submit("t1", "node:a");
    scene.start("t1", 1, "a-1");
    scene.decide(&report("t1", 1, "a-1", Verdict::Succeeded)).unwrap();
    scene.pass_ms(FINISHED_KEPT_MS);
    for task in ["t2", "t3", "t4", "t5"] {
        scene.submit(task, "node:a");
    }
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let (ids, next) = page(&scene, TaskSelection::default(), after);
        pages.push(ids);
        let Some(next) = next else { break };
        after = Some(PageKey::parse(&next).unwrap());
    }
    assert_eq!(pages, [vec!["t5", "t4"], vec!["t3", "t2"], vec!["(t1)"]]);
    let done = TaskSelection { state: Some(TaskState::Succeeded), ..TaskSelection::default() };
    assert_eq!(page(&scene, done, None), (vec!["(t1)".to_owned()], None));
}

#[test]
fn output_is_read_from_the_node_that_has_or_had_the_task() {
    let mut scene = Scene::with(&[("a", 1)]);
    let source = |scene: &Scene, task: &str| {
        let id = task_id(task);
        let request = OutputRequest { id, after: Some(0), known: None, wait_ms: None };
        let Answer::Output(source) = scene.ask(&Question::Output(request))? else { panic!() };
        Ok((source.node, source.state, source.waiting_for))
    };
    scene.submit("t1", "node:a");
    scene.submit("t2", "node:a");
    scene.start("t1", 1, "a-1");
    let node = Some(principal("a"));
    assert_eq!(source(&scene, "t1"), Ok((node.clone(), TaskState::Started, None)));
    let (nobody, state, waiting_for) = source(&scene, "t2").unwrap();
    assert_eq!((nobody, state), (None, TaskState::Queued));
    assert!(waiting_for.is_some());
    scene.decide(&report("t1", 1, "a-1", Verdict::Succeeded)).unwrap();
    assert_eq!(source(&scene, "t1"), Ok((node.clone(), TaskState::Succeeded, None)));
    scene.pass_ms(FINISHED_KEPT_MS);
    scene.submit("t3", "node:a");
    assert_eq!(source(&scene, "t1"), Ok((node, TaskState::Succeeded, None)));
    assert_eq!(source(&scene, "t9"), Err(ErrorCode::TaskNotFound));
}

#[test]
fn a_place_that_no_page_gave_is_refused() {
    for text in ["", "1", "x.t1", "1.T1", "1.t1.2"] {
        assert_eq!(PageKey::parse(text).unwrap_err().code, ErrorCode::InvalidValue, "{text}");
    }
}

#[test]
fn why_names_everything_that_excludes_each_node() {
    let mut scene = Scene::with(&[("a", 1), ("b", 1)]);
    let mut unable = agent("c", 1);
    unable.manifest.capabilities.tools.clear();
    unable.manifest.accepts_tasks_from.clear();
    scene.join(unable);
    for task in ["t1", "t2", "t3"] {
        scene.submit(task, "can:shell.exec");
    }
    scene.enrol("otto", UserRole::Operator);
    let question = Question::Why(task_id("t3"));
    let Ok(Answer::Why(why)) = scene.ask_as("otto", &question) else { panic!() };
    assert_eq!(why.others, 0);
    let filters = |node: &str| -> Vec<Filter> {
        let verdict = why.nodes.iter().find(|verdict| verdict.node == principal(node)).unwrap();
        verdict.excluded_by.iter().map(|exclusion| exclusion.filter).collect()
    };
    assert_eq!(filters("a"), [Filter::Slots]);
    assert_eq!(filters("c"), [Filter::Capability, Filter::Permission]);
    assert!(why.summary.contains("2 have no free slot"), "{}", why.summary);
    assert_eq!(scene.ask(&Question::Why(task_id("t9"))), Err(ErrorCode::TaskNotFound));
}

#[test]
fn why_counts_the_nodes_that_its_asker_does_not_see() {
    let mut scene = Scene::with(&[("a", 1), ("b", 1)]);
    let mut hidden = agent("c", 0);
    hidden.manifest.accepts_tasks_from.clear();
    scene.join(hidden);
    for task in ["t1", "t2", "t3"] {
        scene.submit(task, "can:shell.exec");
    }
    let Ok(Answer::Why(why)) = scene.ask(&Question::Why(task_id("t3"))) else { panic!() };
    let named: Vec<&str> = why.nodes.iter().map(|verdict| verdict.node.as_str()).collect();
    assert_eq!((named, why.others), (vec!["a", "b"], 1));
    assert!(why.summary.ends_with("; 1 more nodes are not listed"), "{}", why.summary);
}
