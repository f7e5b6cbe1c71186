//! A run asks for tasks within what its own request grants, and for nothing beyond.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use cortex_tests::{CommandOutput, Installation, Member, eventually};
use schemas::scheduler::ChainAnswer;
use schemas::task::TaskView;
use serde_json::Value;
use toml::Table;

use crate::fleet::{DEADLINE, Shared, check_refused, good};

static CORTEX: Shared = Shared::new();
/// Longest chain of requests, the first included.
const CHAIN_LENGTH_MAX: usize = 8;

/// A node whose runs find the program, and may ask others as its manifest says.
async fn node(cortex: &Installation, name: &str, joining: &[&str]) -> Result<Member> {
    let mut node = Member::machine(cortex, name, (&[], joining)).await?;
    let program = cortex.binary().parent().context("it is in a folder")?;
    node.change_settings(|settings| show(settings, program))?;
    node.start()?;
    node.wait_online(cortex).await?;
    Ok(node)
}

fn show(settings: &mut Table, folder: &Path) {
    let folder = folder.display().to_string();
    let mut mount = Table::new();
    for (key, value) in [("source", &*folder), ("target", &folder), ("access", "read-only")] {
        mount.insert(key.to_owned(), value.into());
    }
    let sandbox = settings.entry("sandbox").or_insert_with(|| Table::new().into());
    if let Some(sandbox) = sandbox.as_table_mut() {
        sandbox.insert("mounts".to_owned(), vec![toml::Value::from(mount)].into());
    }
}

/// The words that ask for something on a node from within a run.
fn delegate<'a>(cortex: &'a Installation, words: &[&'a str]) -> Vec<&'a str> {
    let program = cortex.binary().to_str().unwrap();
    [&[program, "delegate"], words].concat()
}

/// Runs on a node what may ask for tasks itself.
async fn run(
    cortex: &Installation,
    on: &str,
    grants: &[&str],
    words: &[&str],
) -> Result<CommandOutput> {
    cortex.cortex(&[&["run", "--on", on], grants, &["--"], words].concat()).await
}

async fn tasks(cortex: &Installation) -> Result<Vec<TaskView>> {
    cortex.cortex(&["task", "ls", "-o", "json"]).await?.json()
}

/// The newest task whose work reads like this.
async fn task_of(cortex: &Installation, summary: &str) -> Result<TaskView> {
    let found = tasks(cortex).await?.into_iter().find(|it| it.spec.work.summary() == summary);
    found.with_context(|| format!("no task is {summary}"))
}

#[tokio::test]
async fn a_run_asks_for_a_task_on_another_node_and_the_chain_shows_both() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let _build = node(&cortex, "build-1", &["--can-task", "web-*"]).await?;
    let _web = node(&cortex, "web-1", &["--accept", "build-*"]).await?;
    let asks = delegate(&cortex, &["--on", "web-1", "--", "echo", "from the other"]);
    let grants = ["--grant-agent", "web-1", "--grant-tasks", "1"];
    let asked = run(&cortex, "build-1", &grants, &asks).await?;
    assert_eq!((asked.code, asked.stdout.as_str()), (0, "from the other\n"), "{asked:?}");
    let child = task_of(&cortex, "echo from the other").await?;
    let chain = cortex.cortex(&["task", "chain", child.id.as_str(), "-o", "json"]).await?;
    let chain: ChainAnswer = chain.json()?;
    let [root, own] = &chain.ancestors[..] else { panic!("{chain:?}") };
    assert_eq!((root.issuer.as_str(), own.issuer.as_str()), ("owner", "build-1"));
    assert_eq!((root.subject.as_str(), own.subject.as_str()), ("owner", "owner"));
    assert_eq!(own.task, child.id);
    let from_root = cortex.cortex(&["task", "chain", root.task.as_str(), "-o", "json"]).await?;
    let from_root: ChainAnswer = from_root.json()?;
    ensure!(from_root.children.iter().any(|it| it.task == child.id), "{from_root:?}");
    // As people see it.
    let table = good(cortex.cortex(&["task", "chain", child.id.as_str()]).await?)?;
    ensure!(table.contains("build-1") && table.contains("web-1"), "{table}");
    Ok(())
}

#[tokio::test]
async fn more_than_was_granted_is_refused() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let _from = node(&cortex, "bound-1", &["--can-task", "aim-*"]).await?;
    let _aim = node(&cortex, "aim-1", &["--accept", "bound-*"]).await?;
    let _other = node(&cortex, "aim-2", &["--accept", "bound-*"]).await?;
    let _shut = node(&cortex, "aim-3", &[]).await?;
    let one = ["--grant-agent", "aim-1", "--grant-tasks", "1"];
    let to = |aim: &'static str| delegate(&cortex, &["--on", aim, "--", "echo", "done"]);
    let good_run = run(&cortex, "bound-1", &one, &to("aim-1")).await?;
    assert_eq!((good_run.code, good_run.stdout.as_str()), (0, "done\n"), "{good_run:?}");
    check_refused(&run(&cortex, "bound-1", &one, &to("aim-2")).await?, "GRANTS_EXCEEDED")?;
    let credential =
        delegate(&cortex, &["--on", "aim-1", "--credential", "db", "--", "echo", "done"]);
    check_refused(&run(&cortex, "bound-1", &one, &credential).await?, "GRANTS_EXCEEDED")?;
    let further = ["--on", "aim-1", "--grant-agent", "aim-2", "--grant-tasks", "1", "--", "true"];
    let further = delegate(&cortex, &further);
    check_refused(&run(&cortex, "bound-1", &one, &further).await?, "GRANTS_EXCEEDED")?;
    let program = cortex.binary().display();
    let twice = format!("for i in 1 2; do {program} delegate --on aim-1 -- echo done; done");
    let twice = run(&cortex, "bound-1", &one, &["sh", "-c", &twice]).await?;
    ensure!(twice.stdout == "done\n", "{twice:?}");
    check_refused(&twice, "GRANTS_EXCEEDED")?;
    // Granted, but one of the two sides does not agree.
    let all = ["--grant-agent", "*", "--grant-tasks", "1"];
    check_refused(&run(&cortex, "bound-1", &all, &to("aim-3")).await?, "TASK_NOT_PERMITTED")?;
    check_refused(&run(&cortex, "aim-1", &all, &to("aim-2")).await?, "TASK_NOT_PERMITTED")?;
    // Without grants there is nobody to ask.
    let none = run(&cortex, "bound-1", &[], &to("aim-1")).await?;
    ensure!(none.code != 0 && none.stdout.is_empty(), "{none:?}");
    Ok(())
}

#[tokio::test]
async fn cancelling_a_task_ends_what_it_asked_for() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let _from = node(&cortex, "parent-1", &["--can-task", "child-1"]).await?;
    let _to = node(&cortex, "child-1", &["--accept", "parent-1"]).await?;
    let asks = delegate(&cortex, &["--on", "child-1", "--", "sleep", "4711"]);
    let grants = ["--detach", "--grant-agent", "child-1", "--grant-tasks", "1"];
    let parent = good(run(&cortex, "parent-1", &grants, &asks).await?)?;
    let state = async || {
        let found = task_of(&cortex, "sleep 4711").await.ok();
        found.map(|it| it.state.as_str()).unwrap_or_default()
    };
    eventually(DEADLINE, || async { state().await == "started" }).await?;
    good(cortex.cortex(&["task", "cancel", parent.trim()]).await?)?;
    eventually(DEADLINE, || async { state().await == "cancelled" }).await?;
    let shown = cortex.cortex(&["task", "show", parent.trim(), "-o", "json"]).await?;
    assert_eq!(shown.json::<Value>()?["state"], "cancelled");
    Ok(())
}

#[tokio::test]
async fn a_chain_is_as_long_as_it_may_be_and_no_longer() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let deep = ["--can-task", "deep", "--accept", "deep", "--slots", "10"];
    let _deep = node(&cortex, "deep", &deep).await?;
    for (length, fits) in [(CHAIN_LENGTH_MAX, true), (CHAIN_LENGTH_MAX + 1, false)] {
        let mut words = vec!["echo".to_owned(), "bottom".to_owned()];
        // The last that asks is asked by the one before, and so on up to the first.
        for asked in 1..length {
            let tasks = (asked - 1).to_string();
            let grants = ["--grant-agent", "deep", "--grant-tasks", &tasks];
            let grants: &[&str] = if asked == 1 { &[] } else { &grants };
            let asks = delegate(&cortex, &[&["--on", "deep"], grants, &["--"]].concat());
            words = asks.into_iter().map(str::to_owned).chain(words).collect();
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let grants = ["--grant-agent", "deep", "--grant-tasks", "9"];
        let ran = run(&cortex, "deep", &grants, &words).await?;
        assert_eq!(ran.code == 0 && ran.stdout == "bottom\n", fits, "{length}: {ran:?}");
        if !fits {
            check_refused(&ran, "CHAIN_INVALID")?;
        }
    }
    Ok(())
}
