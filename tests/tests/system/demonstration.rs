//! What the documentation tells a person to type, typed.

use cortex_tests::{CommandOutput, Installation};
use schemas::registry::{AgentStatus, AgentView, CanTaskAnswer, WhoCanAnswer};
use schemas::scheduler::{SubmitAnswer, verb};
use schemas::subject::ServiceName::Scheduler;
use schemas::task::{TaskSpec, TaskState, TaskView, Work};
use schemas::{Audience, PrincipalId};
use serde_json::Value;

use crate::person;
use crate::signer::Signer;

/// Exit status of what is refused or does not run; scripts count on it.
const NOT_ALLOWED: i32 = 4;
const NOT_RUNNING: i32 = 5;
const CONFLICT: i32 = 1;

async fn check(installation: &Installation, line: &[&str], code: i32) -> CommandOutput {
    let output = installation.cortex(line).await.unwrap();
    assert_eq!(output.code, code, "cortex {}: {output:?}", line.join(" "));
    output
}

#[tokio::test]
async fn a_command_runs_on_the_local_node_as_if_it_ran_here() {
    let installation = Installation::start().await.unwrap();
    let here = std::process::Command::new("uname").arg("-a").output().unwrap();
    let there = check(&installation, &["run", "--on", "local", "--", "uname", "-a"], 0).await;
    assert_eq!((there.stdout.as_bytes(), there.stderr.as_str()), (here.stdout.as_slice(), ""));

    let script = "echo out; echo err >&2; exit 7";
    let line = ["run", "--on", "local", "--", "sh", "-c", script];
    let both = check(&installation, &line, 7).await;
    assert_eq!((both.stdout.as_str(), both.stderr.as_str()), ("out\n", "err\n"));

    let tasks: Vec<TaskView> =
        check(&installation, &["task", "ls", "-o", "json"], 0).await.json().unwrap();
    let mut ended: Vec<_> =
        tasks.iter().map(|task| (task.spec.work.summary(), task.state)).collect();
    // The third is the first that `up` itself sent.
    ended.truncate(2);
    let failed = (format!("sh -c {script}"), TaskState::Failed);
    assert_eq!(ended, [failed, ("uname -a".to_owned(), TaskState::Succeeded)]);
    assert_eq!(tasks[0].outcome.as_ref().unwrap().exit_code, Some(7));
}

#[tokio::test]
async fn the_fleet_says_who_is_there_who_can_and_who_may() {
    let installation = Installation::start().await.unwrap();
    let agents: Vec<AgentView> =
        check(&installation, &["agent", "ls", "-o", "json"], 0).await.json().unwrap();
    let seen: Vec<_> = agents.iter().map(|a| (a.manifest.id.as_str(), a.status)).collect();
    assert_eq!(seen, [("local", AgentStatus::Online)]);
    let table = check(&installation, &["agent", "ls"], 0).await.stdout;
    let row = table.lines().nth(1).unwrap_or_default();
    assert!(row.starts_with("local") && row.contains("online"), "{table}");

    let able = check(&installation, &["who-can", "shell.exec", "-o", "json"], 0).await;
    let able: WhoCanAnswer = able.json().unwrap();
    let able: Vec<_> = able.agents.iter().map(|agent| agent.id.as_str()).collect();
    assert_eq!(able, ["local"]);
    let unable = check(&installation, &["who-can", "shell.fly", "-o", "json"], 0).await;
    assert!(unable.json::<WhoCanAnswer>().unwrap().agents.is_empty(), "{unable:?}");

    let owner = installation.login().unwrap().principal;
    let may = check(&installation, &["can-task", &owner, "local", "-o", "json"], 0).await;
    assert!(may.json::<CanTaskAnswer>().unwrap().allowed, "{may:?}");
    let line = ["can-task", "stranger", "local", "-o", "json"];
    let may_not: CanTaskAnswer = check(&installation, &line, NOT_ALLOWED).await.json().unwrap();
    assert!(!may_not.allowed && may_not.reasons[0].contains("accepts_tasks_from"), "{may_not:?}");
}

#[tokio::test]
async fn one_home_has_one_supervisor_and_says_whether_it_runs() {
    let installation = Installation::start().await.unwrap();
    let second = check(&installation, &["up", "--nats-port", "0"], CONFLICT).await;
    assert!(second.stderr.contains("ALREADY_RUNNING"), "{second:?}");
    assert!(second.stderr.contains(&installation.url().unwrap()), "{second:?}");

    let status: Value = check(&installation, &["status", "-o", "json"], 0).await.json().unwrap();
    assert_eq!(status["url"], installation.url().unwrap());
    let services = status["services"].as_array().unwrap();
    let writers = services.iter().map(|service| service["name"].as_str().unwrap());
    assert_eq!(writers.collect::<Vec<_>>(), ["registry", "scheduler"]);
    assert!(services.iter().all(|service| service["instance"].is_string()), "{status}");

    installation.down().await.unwrap();
    let status = check(&installation, &["status"], NOT_RUNNING).await;
    assert!(status.stderr.contains("UNREACHABLE"), "{status:?}");
    let again = check(&installation, &["down"], NOT_RUNNING).await;
    assert!(again.stderr.contains("NOT_RUNNING"), "{again:?}");

    installation.up_again().await.unwrap();
    let status = check(&installation, &["status"], 0).await;
    assert!(status.stdout.contains("scheduler"), "{status:?}");
}

#[tokio::test]
async fn a_program_submits_as_the_person() {
    let installation = Installation::start().await.unwrap();
    let client = person::client(&installation).await.unwrap();
    let node = Audience::Node(PrincipalId::parse("local").unwrap());
    let spec = TaskSpec::new(Work::Echo { text: "hello".to_owned() });
    let signed = Signer::of(&installation).unwrap().sign(node, &spec).unwrap();
    let answer: SubmitAnswer =
        client.request(Scheduler, verb::SUBMIT, &signed.request).await.unwrap();
    assert_eq!(answer.task, signed.task);
    let line = ["task", "wait", signed.task.as_str(), "-o", "json"];
    let view: TaskView = check(&installation, &line, 0).await.json().unwrap();
    assert_eq!(view.state, TaskState::Succeeded);
}
