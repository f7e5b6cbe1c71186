//! Runs that ask their node for tasks: what they get, and what they do not.

use std::{collections::BTreeMap, path::PathBuf};

use agent_node::delegate::{Ask, DELEGATE_VARIABLE, Delegate, DelegateError, Submit};
use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use schemas::{
    Audience, ErrorCode, Fault,
    grants::Grants,
    manifest::PrincipalPattern,
    task::{Outcome, TaskSpec, Verdict, Work},
};
use serde::{Deserialize, Serialize};

use crate::{
    cluster::Cluster,
    plane::{ISSUER, NODE, id},
    stage::{echo, shell},
};

/// What a run of this program asks for, as JSON; unset in every other process.
const CHILD_ASKS: &str = "CORTEX_TEST_DELEGATE_ASKS";
/// What stands before each answer in its output.
const MARK: &str = "ANSWER ";

/// An answer as the run prints it.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Task(String),
    Outcome(Box<Outcome>),
    Fault(Fault),
}

/// Not a case of its own: the run that asks. A wait for nobody's task is for the one before.
#[test]
fn child_that_asks_for_tasks() {
    let Ok(asks) = std::env::var(CHILD_ASKS) else { return };
    let asks: Vec<Ask> = serde_json::from_str(&asks).unwrap();
    let mut delegate = Delegate::from_environment().unwrap();
    let mut last = None;
    for ask in asks {
        let answer = match ask {
            Ask::Submit(task) => delegate.submit(*task).map(|task| {
                last = Some(task.clone());
                Answer::Task(task.to_string())
            }),
            Ask::Wait(task) => {
                let task = if task.as_str() == "last" { last.clone().unwrap() } else { task };
                delegate.wait(&task).map(|outcome| Answer::Outcome(Box::new(outcome)))
            }
        };
        let answer = answer.unwrap_or_else(|error| Answer::Fault(error.to_fault()));
        println!("{MARK}{}", serde_json::to_string(&answer).unwrap());
    }
}

fn asking(asks: &[Ask]) -> TaskSpec {
    let exe = std::env::current_exe().unwrap();
    let child = ["--exact", "delegation::child_that_asks_for_tasks", "--nocapture"];
    let argv = [exe.to_str().unwrap()].into_iter().chain(child).map(str::to_owned).collect();
    let env = [(CHILD_ASKS.to_owned(), serde_json::to_string(asks).unwrap())];
    TaskSpec::new(Work::Command { argv, cwd: None, env: BTreeMap::from(env), stdin: None })
}

fn submit(spec: TaskSpec) -> Submit {
    let audience = Audience::Node(id(NODE));
    Submit { audience, spec, grants: Grants::default(), lives_s: None }
}

fn wait(task: &str) -> Ask {
    Ask::Wait(schemas::TaskId::parse(task).unwrap())
}

fn granting(tasks_max: u32) -> Grants {
    let agents = vec![PrincipalPattern::parse(NODE).unwrap()];
    Grants { agents, tasks_max, ..Grants::default() }
}

fn text(outcome: &Outcome) -> String {
    let inline = outcome.stdout.inline.as_deref().unwrap_or_default();
    String::from_utf8_lossy(&STANDARD.decode(inline).unwrap()).into_owned()
}

fn answers(outcome: &Outcome) -> Vec<Answer> {
    assert_eq!(outcome.verdict, Verdict::Succeeded, "{outcome:?} {}", text(outcome));
    // The harness of tests may print something before.
    let lines = text(outcome);
    let marked = lines.lines().filter_map(|line| Some(line.split_once(MARK)?.1.to_owned()));
    marked.map(|answer| serde_json::from_str(&answer).unwrap()).collect()
}

/// Runs a task that asks, with these grants, and returns what it was answered.
async fn ask(cluster: &Cluster, asks: &[Ask], grants: Grants) -> Result<Vec<Answer>> {
    let offer = cluster.plane.sign_granting(&asking(asks), 1, grants);
    cluster.plane.offer(&offer).await?;
    Ok(answers(&cluster.plane.outcome(&offer.task).await?))
}

fn check_refused(answer: &Answer, expected: ErrorCode) {
    let code = match answer {
        Answer::Fault(fault) => Some(fault.code),
        Answer::Task(_) | Answer::Outcome(_) => None,
    };
    assert_eq!(code, Some(expected), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_asks_for_a_task_and_hears_how_it_ended() -> Result<()> {
    let cluster = Cluster::found().await?;
    let node = cluster.start(cluster.join().await?).await?;
    let asks = [Ask::Submit(Box::new(submit(echo("from the child")))), wait("last")];
    let offer = cluster.plane.sign_granting(&asking(&asks), 1, granting(1));
    cluster.plane.offer(&offer).await?;
    let found = answers(&cluster.plane.outcome(&offer.task).await?);
    let [Answer::Task(task), Answer::Outcome(outcome)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(text(outcome), "from the child");
    let children = cluster.plane.children();
    let [child] = &children[..] else { panic!("{children:?}") };
    let claims = child.claims();
    assert_eq!(child.task().as_str(), task);
    assert_eq!((&claims.issuer, &claims.subject), (&id(NODE), &id(ISSUER)));
    assert_eq!(claims.parent, Some(offer.task));
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_a_run_asks_in_its_turn_within_what_it_was_granted() -> Result<()> {
    let cluster = Cluster::found().await?;
    let node = cluster.start(cluster.join().await?).await?;
    let inner = asking(&[Ask::Submit(Box::new(submit(echo("innermost")))), wait("last")]);
    let outer = Submit { grants: granting(1), ..submit(inner) };
    let found = ask(&cluster, &[Ask::Submit(Box::new(outer)), wait("last")], granting(2)).await?;
    let [Answer::Task(_), Answer::Outcome(outcome)] = &found[..] else { panic!("{found:?}") };
    let within = answers(outcome);
    let [Answer::Task(_), Answer::Outcome(innermost)] = &within[..] else { panic!("{within:?}") };
    assert_eq!(text(innermost), "innermost");
    let chains: Vec<usize> =
        cluster.plane.children().iter().map(|child| child.ancestors().len()).collect();
    assert_eq!(chains, [1, 2]);
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_granted_is_refused_by_the_node_itself() -> Result<()> {
    let cluster = Cluster::found().await?;
    let node = cluster.start(cluster.join().await?).await?;
    let elsewhere = Submit { audience: Audience::Node(id("n2")), ..submit(echo("x")) };
    let passing_on = Submit { grants: granting(1), ..submit(echo("x")) };
    let too_long = Submit { lives_s: Some(1_000_000), ..submit(echo("x")) };
    let wanted = [elsewhere, passing_on, too_long, submit(echo("1")), submit(echo("2"))];
    let asks = wanted.map(|task| Ask::Submit(Box::new(task)));
    let found = ask(&cluster, &asks, granting(1)).await?;
    let [refused @ .., Answer::Task(_), beyond] = &found[..] else { panic!("{found:?}") };
    assert_eq!(refused.len(), 3, "{found:?}");
    for answer in refused.iter().chain([beyond]) {
        check_refused(answer, ErrorCode::GrantsExceeded);
    }
    assert_eq!(cluster.plane.children().len(), 1, "nothing else was even signed");
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_hears_of_no_task_but_its_own() -> Result<()> {
    let cluster = Cluster::found().await?;
    let node = cluster.start(cluster.join().await?).await?;
    let other = cluster.plane.submit(&echo("somebody else's")).await?;
    let found = ask(&cluster, &[wait(other.as_str())], granting(1)).await?;
    check_refused(&found[0], ErrorCode::TaskNotFound);
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_request_grants_nothing_is_offered_nothing() -> Result<()> {
    let cluster = Cluster::found().await?;
    let node = cluster.start(cluster.join().await?).await?;
    let task = cluster.plane.submit(&shell(&format!("echo \"[${DELEGATE_VARIABLE}]\""))).await?;
    assert_eq!(text(&cluster.plane.outcome(&task).await?), "[]\n");
    assert!(matches!(Delegate::from_environment(), Err(DelegateError::NotOffered)));
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_served_in_the_name_of_a_run_that_has_ended() -> Result<()> {
    let cluster = Cluster::found().await?;
    let node = cluster.start(cluster.join().await?).await?;
    let gate = cluster.folder.path().join("gate");
    let line = format!(
        "echo \"${DELEGATE_VARIABLE}\" > {0}.path; until test -e {0}; do sleep 0.02; done",
        gate.display()
    );
    let offer = cluster.plane.sign_granting(&shell(&line), 1, granting(5));
    cluster.plane.offer(&offer).await?;
    let path = cortex_tests::eventually_some(crate::SOON, || async {
        let text = std::fs::read_to_string(gate.with_extension("path")).ok()?;
        text.ends_with('\n').then(|| PathBuf::from(text.trim()))
    });
    let path = path.await?;
    let mut open = tokio::task::spawn_blocking(move || {
        let mut open = Delegate::connect(path.clone()).unwrap();
        open.submit(submit(echo("while it runs"))).unwrap();
        (path, open)
    })
    .await?;
    std::fs::write(&gate, "")?;
    assert_eq!(cluster.plane.outcome(&offer.task).await?.verdict, Verdict::Succeeded);
    let late = tokio::task::spawn_blocking(move || {
        let said = open.1.submit(submit(echo("afterwards")));
        (said, Delegate::connect(open.0))
    });
    let (said, connected) = late.await?;
    assert!(matches!(said, Err(DelegateError::Unreachable { .. })), "{said:?}");
    assert!(matches!(connected, Err(DelegateError::Unreachable { .. })), "{connected:?}");
    assert_eq!(cluster.plane.children().len(), 1);
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_answered_and_the_run_goes_on() -> Result<()> {
    let cluster = Cluster::found().await?;
    let node = cluster.start(cluster.join().await?).await?;
    let script = r#"
import json, os, socket
s = socket.socket(socket.AF_UNIX); s.connect(os.environ["CORTEX_DELEGATE"]); f = s.makefile("rw")
for line in ["", "{", '{"steal": 1}', '{"wait": "../x"}', '{"submit": {"audience": "node:n1"}}',
             '{"submit": {"audience": "node:n1", "spec": {"work": {"kind": "echo", "text": "a"}}}}']:
    f.write(line + "\n"); f.flush()
    answer = json.loads(f.readline())
    print(list(answer)[0], answer.get("fault", {}).get("code", ""))
f.write("x" * 70000 + "\n"); f.flush()
print(json.loads(f.readline())["fault"]["code"], repr(f.readline()))
"#;
    let argv = ["python3", "-c", script].map(str::to_owned).to_vec();
    let work = Work::Command { argv, cwd: None, env: BTreeMap::new(), stdin: None };
    let offer = cluster.plane.sign_granting(&TaskSpec::new(work), 1, granting(1));
    cluster.plane.offer(&offer).await?;
    let outcome = cluster.plane.outcome(&offer.task).await?;
    let said = text(&outcome);
    let lines: Vec<&str> = said.lines().collect();
    let [bad @ .., good, last] = &lines[..] else { panic!("{outcome:?}") };
    assert_eq!(bad.len(), 5, "{said}");
    assert!(bad.iter().all(|line| line.starts_with("fault ")), "{said}");
    assert_eq!((*good, *last), ("task ", "TOO_LARGE ''"), "{said}");
    node.stop().await.context("the node goes on as well")
}
