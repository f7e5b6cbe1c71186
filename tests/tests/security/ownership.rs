//! What is a person's is seen and used by them, by whom they let, and by those who oversee it.

use anyhow::{Context, Result, ensure};
use cortex_tests::{CommandOutput, Installation, Member, eventually};
use schemas::task::TaskView;

use crate::fleet::{DEADLINE, Shared, check_refused, good};

static CORTEX: Shared = Shared::new();
/// It is shown.
const SHOWN: &str = "+";
/// The answer comes and does not have it.
const LEFT_OUT: &str = "-";

/// Ann has a machine and a task on it. What each of us gets to see of them, or is refused with:
/// ann, ben who is a user as well, an operator, an auditor, an admin.
const TABLE: &[(&str, &str, [&str; 5])] = &[
    ("agent ls", "ann-box", ["+", "-", "+", "+", "+"]),
    ("agent show ann-box", "ann-box", ["+", "AGENT_NOT_FOUND", "+", "+", "+"]),
    ("who-can shell.exec", "ann-box", ["+", "-", "+", "+", "+"]),
    (
        "run --on ann-box -- echo here",
        "here",
        ["+", "TASK_NOT_PERMITTED", "+", "TASK_NOT_PERMITTED", "+"],
    ),
    ("task ls -o json", "TASK", ["+", "-", "+", "+", "+"]),
    ("task show TASK", "succeeded", ["+", "TASK_NOT_FOUND", "+", "+", "+"]),
    ("task logs TASK", "of ann", ["+", "TASK_NOT_FOUND", "+", "+", "+"]),
    ("task why TASK -o json", "succeeded", ["+", "TASK_NOT_FOUND", "+", "+", "+"]),
    ("task chain TASK", "ann-box", ["+", "TASK_NOT_FOUND", "+", "+", "+"]),
    ("events registry", "ann-box", ["+", "-", "+", "+", "+"]),
    ("events scheduler", "TASK", ["+", "-", "+", "+", "+"]),
    (
        "rebuild cortex_tasks --check",
        "cortex_tasks",
        ["NOT_ALLOWED", "NOT_ALLOWED", "+", "NOT_ALLOWED", "+"],
    ),
    (
        "user role ann user",
        "ann",
        ["NOT_ALLOWED", "NOT_ALLOWED", "NOT_ALLOWED", "NOT_ALLOWED", "+"],
    ),
];

fn check_cell(line: &str, mark: &str, (expected, output): (&str, &CommandOutput)) -> Result<()> {
    match expected {
        SHOWN => ensure!(output.stdout.contains(mark), "{line}: {output:?}"),
        LEFT_OUT => {
            ensure!(output.code == 0 && !output.stdout.contains(mark), "{line}: {output:?}");
        }
        code => {
            check_refused(output, code).with_context(|| line.to_owned())?;
            ensure!(!output.stdout.contains(mark), "{line}: {output:?}");
        }
    }
    Ok(())
}

async fn owned(cortex: &Installation, name: &str, owner: &str) -> Result<Member> {
    Member::node(cortex, name, (&["--owner", owner], &[])).await
}

/// Starts a task and does not wait for it; its id.
async fn start(person: &Member, on: &str) -> Result<String> {
    let words = ["run", "--detach", "--on", on, "--", "sleep", "4711"];
    Ok(good(person.cortex(&words).await?)?.trim().to_owned())
}

async fn state_of(person: &Member, task: &str) -> Result<String> {
    let shown: TaskView = person.cortex(&["task", "show", task, "-o", "json"]).await?.json()?;
    Ok(shown.state.as_str().to_owned())
}

#[tokio::test]
async fn everybody_sees_and_does_what_their_role_and_their_belongings_allow() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let ann = Member::person(&cortex, "ann", "user").await?;
    let ben = Member::person(&cortex, "ben", "user").await?;
    let operator = Member::person(&cortex, "operator", "operator").await?;
    let auditor = Member::person(&cortex, "auditor", "auditor").await?;
    let second = Member::person(&cortex, "second-admin", "admin").await?;
    let _box = owned(&cortex, "ann-box", "ann").await?;
    good(ann.cortex(&["run", "--on", "ann-box", "--", "echo", "of ann"]).await?)?;
    let tasks: Vec<TaskView> = ann.cortex(&["task", "ls", "-o", "json"]).await?.json()?;
    let task = tasks.first().context("a task")?.id.to_string();
    for (words, mark, cells) in TABLE {
        let mark = mark.replace("TASK", &task);
        let words = words.replace("TASK", &task);
        let words: Vec<&str> = words.split(' ').collect();
        let people = [&ann, &ben, &operator, &auditor, &second];
        for (person, expected) in people.into_iter().zip(cells) {
            let line = format!("{}: cortex {}", person.name(), words.join(" "));
            let output = person.cortex(&words).await?;
            check_cell(&line, &mark, (expected, &output))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_task_is_ended_by_whoever_asked_owns_or_oversees() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let asker = Member::person(&cortex, "asker", "operator").await?;
    let owner = Member::person(&cortex, "holder", "user").await?;
    let stranger = Member::person(&cortex, "stranger", "user").await?;
    let auditor = Member::person(&cortex, "reader", "auditor").await?;
    let overseer = Member::person(&cortex, "overseer", "operator").await?;
    let second = Member::person(&cortex, "adam", "admin").await?;
    let _box = owned(&cortex, "holders-box", "holder").await?;
    for who in [&asker, &owner, &overseer, &second] {
        let task = start(&asker, "holders-box").await?;
        let started = || async { state_of(&asker, &task).await.is_ok_and(|it| it == "started") };
        eventually(DEADLINE, started).await?;
        let cancel = ["task", "cancel", &task];
        check_refused(&stranger.cortex(&cancel).await?, "TASK_NOT_FOUND")?;
        check_refused(&auditor.cortex(&cancel).await?, "NOT_ALLOWED")?;
        assert_eq!(state_of(&asker, &task).await?, "started");
        good(who.cortex(&cancel).await?).with_context(|| who.name().to_owned())?;
        let ended = || async { state_of(&asker, &task).await.is_ok_and(|it| it == "cancelled") };
        eventually(DEADLINE, ended).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_shared_is_used_until_it_is_shared_no_more() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let giver = Member::person(&cortex, "giver", "user").await?;
    let guest = Member::person(&cortex, "guest", "user").await?;
    let other = Member::person(&cortex, "other-guest", "user").await?;
    let _box = owned(&cortex, "givers-box", "giver").await?;
    let run = ["run", "--on", "givers-box", "--", "echo", "here"];
    let runs = async |who: &Member| who.cortex(&run).await.is_ok_and(|ran| ran.stdout == "here\n");
    good(giver.cortex(&["run", "--on", "givers-box", "--", "echo", "own work"]).await?)?;
    check_refused(&guest.cortex(&run).await?, "TASK_NOT_PERMITTED")?;
    let share = ["agent", "share", "givers-box", "guest"];
    check_refused(&guest.cortex(&share).await?, "AGENT_NOT_FOUND")?;

    good(giver.cortex(&share).await?)?;
    // The scheduler and the node hear of it a moment later.
    eventually(DEADLINE, || runs(&guest)).await?;
    let listed = good(guest.cortex(&["agent", "ls"]).await?)?;
    ensure!(listed.contains("givers-box"), "{listed}");
    let tasks = good(guest.cortex(&["task", "ls"]).await?)?;
    ensure!(tasks.contains("echo here") && !tasks.contains("own work"), "{tasks}");
    let tasks = good(giver.cortex(&["task", "ls"]).await?)?;
    ensure!(tasks.contains("echo here") && tasks.contains("own work"), "{tasks}");
    // A guest brings no guests.
    let further = ["agent", "share", "givers-box", "other-guest"];
    check_refused(&guest.cortex(&further).await?, "NOT_ALLOWED")?;
    check_refused(&other.cortex(&run).await?, "TASK_NOT_PERMITTED")?;

    good(giver.cortex(&["agent", "unshare", "givers-box", "guest"]).await?)?;
    let refused = async || check_refused(&guest.cortex(&run).await?, "TASK_NOT_PERMITTED");
    eventually(DEADLINE, || async { refused().await.is_ok() }).await?;
    let listed = good(guest.cortex(&["agent", "ls"]).await?)?;
    ensure!(!listed.contains("givers-box"), "{listed}");
    ensure!(runs(&giver).await);
    Ok(())
}

#[tokio::test]
async fn there_is_always_an_admin() -> Result<()> {
    let cortex = Installation::start_with(&["--no-node"]).await?;
    let demote = ["user", "role", "owner", "user"];
    for words in [&demote[..], &["user", "evict", "owner"], &["user", "ban", "owner"]] {
        check_refused(&cortex.cortex(words).await?, "NOT_ALLOWED")?;
    }
    let second = Member::person(&cortex, "second", "user").await?;
    let promote = ["user", "role", "second", "admin"];
    check_refused(&second.cortex(&promote).await?, "NOT_ALLOWED")?;
    good(cortex.cortex(&promote).await?)?;
    good(second.cortex(&demote).await?)?;
    check_refused(&cortex.cortex(&promote).await?, "NOT_ALLOWED")?;
    check_refused(&second.cortex(&["user", "role", "second", "auditor"]).await?, "NOT_ALLOWED")?;
    good(second.cortex(&["user", "role", "owner", "admin"]).await?)?;
    good(cortex.cortex(&["user", "role", "second", "user"]).await?).map(drop)
}
