//! What happens to a run: it waits, is ended, takes too long, or says a lot.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use cortex_tests::{Installation, eventually};
use schemas::agent::NodeReport;
use schemas::registry::AgentView;
use schemas::scheduler::{CancelAnswer, Filter, WhyAnswer};
use schemas::task::{TaskState, TaskView};
use sha2::{Digest, Sha256};

/// Nothing here should take nearly as long.
const DEADLINE: Duration = Duration::from_secs(30);
/// Exit status of what took longer than it may.
const TIMED_OUT: i32 = 7;

/// Hands in a command for the local node and leaves it alone.
async fn detach(installation: &Installation, argv: &[&str]) -> String {
    let line = [&["run", "--detach", "--on", "local", "--"], argv].concat();
    let output = installation.cortex(&line).await.unwrap();
    assert_eq!(output.code, 0, "{output:?}");
    output.stdout.trim().to_owned()
}

async fn wait_for(installation: &Installation, task: &str, state: &str) {
    let line = ["task", "wait", task, "--for", state, "--timeout", "30s"];
    let output = installation.cortex(&line).await.unwrap();
    assert_eq!(output.code, 0, "{output:?}");
}

async fn view(installation: &Installation, task: &str) -> TaskView {
    installation.cortex(&["task", "show", task, "-o", "json"]).await.unwrap().json().unwrap()
}

/// How many processes have `word` among their arguments.
fn processes_with(word: &str) -> usize {
    let has_word = |path: PathBuf| {
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
    };
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter(|entry| has_word(entry.as_ref().unwrap().path())).count()
}

#[tokio::test]
async fn a_waiting_task_says_why() {
    let installation = Installation::start().await.unwrap();
    let local = installation.cortex(&["agent", "show", "local", "-o", "json"]).await.unwrap();
    let NodeReport { slots, .. } = local.json::<AgentView>().unwrap().node.unwrap();
    let mut running = Vec::new();
    for _ in 0..slots {
        running.push(detach(&installation, &["sleep", "600"]).await);
    }
    for task in &running {
        wait_for(&installation, task, "started").await;
    }
    let waiting = detach(&installation, &["true"]).await;
    let why = installation.cortex(&["task", "why", &waiting, "-o", "json"]).await.unwrap();
    let why: WhyAnswer = why.json().unwrap();
    assert_eq!(why.state, TaskState::Queued);
    let excluded: Vec<_> = why.nodes[0].excluded_by.iter().map(|by| by.filter).collect();
    assert_eq!((why.nodes[0].node.as_str(), excluded), ("local", vec![Filter::Slots]));
    let text = installation.cortex(&["task", "why", &waiting]).await.unwrap();
    assert!(text.stdout.contains("slots"), "{text:?}");

    let cancelled = installation.cortex(&["task", "cancel", &running[0]]).await.unwrap();
    assert_eq!(cancelled.code, 0, "{cancelled:?}");
    wait_for(&installation, &waiting, "succeeded").await;
}

#[tokio::test]
async fn a_capability_that_nobody_has_is_waited_for() {
    let installation = Installation::start().await.unwrap();
    let line = ["run", "--detach", "--can", "shell.fly", "--", "true"];
    let task = installation.cortex(&line).await.unwrap().stdout.trim().to_owned();
    let why = installation.cortex(&["task", "why", &task, "-o", "json"]).await.unwrap();
    let why: WhyAnswer = why.json().unwrap();
    let excluded: Vec<_> = why.nodes[0].excluded_by.iter().map(|by| by.filter).collect();
    assert_eq!((why.state, excluded), (TaskState::Queued, vec![Filter::Capability]));
}

#[tokio::test]
async fn a_cancelled_run_leaves_no_process() {
    let installation = Installation::start().await.unwrap();
    // Nobody else sleeps so long.
    let long = format!("600.{:09}", rand::random_range(0..1_000_000_000));
    let tree = format!("setsid sleep {long} & sh -c 'sleep {long}; :' & sleep {long}");
    let task = detach(&installation, &["sh", "-c", &tree]).await;
    eventually(DEADLINE, || async { processes_with(&long) == 3 }).await.unwrap();

    let output = installation.cortex(&["task", "cancel", &task, "-o", "json"]).await.unwrap();
    let answer: CancelAnswer = output.json().unwrap();
    assert_eq!(answer.stopping.iter().map(|id| id.as_str()).collect::<Vec<_>>(), [&task]);
    wait_for(&installation, &task, "cancelled").await;
    assert_eq!(processes_with(&long), 0);
    let view = view(&installation, &task).await;
    assert_eq!(view.cancelled_by.unwrap().as_str(), installation.login().unwrap().principal);
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_ended() {
    let installation = Installation::start().await.unwrap();
    let long = format!("600.{:09}", rand::random_range(0..1_000_000_000));
    let line = ["run", "--on", "local", "--timeout", "1s", "--", "sleep", &long];
    let output = installation.cortex(&line).await.unwrap();
    assert_eq!(output.code, TIMED_OUT, "{output:?}");
    assert!(output.stderr.contains("TIMED_OUT"), "{output:?}");
    assert_eq!(processes_with(&long), 0);
}

#[tokio::test]
async fn output_longer_than_a_result_holds_comes_whole() {
    let installation = Installation::start().await.unwrap();
    let line = ["run", "--on", "local", "--", "seq", "1", "300000"];
    let output = installation.cortex(&line).await.unwrap();
    let expected: String = (1..=300_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(output.stdout.len(), expected.len(), "{}", output.stderr);
    assert!(output.stdout == expected, "pieces are out of place");

    let tasks = installation.cortex(&["task", "ls", "-o", "json"]).await.unwrap();
    let task = tasks.json::<Vec<TaskView>>().unwrap().remove(0);
    let summary = task.outcome.unwrap().stdout;
    let hash = schemas::Sha256Hash(Sha256::digest(&expected).into());
    assert_eq!((summary.bytes, summary.dropped), (u64::try_from(expected.len()).unwrap(), 0));
    assert_eq!((summary.sha256, summary.inline), (Some(hash), None));
    // It is kept for those who come later.
    let logs = installation.cortex(&["task", "logs", task.id.as_str()]).await.unwrap();
    assert!(logs.stdout == expected, "{} bytes of {}", logs.stdout.len(), expected.len());
}
