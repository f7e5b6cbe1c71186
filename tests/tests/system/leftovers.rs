//! However a test ends, nothing of its Cortex stays.

use std::env;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use cortex_tests::{Installation, Process, eventually, processes_of};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Tells the test's own program, started once more, that it is to be killed.
const VICTIM_VARIABLE: &str = "CORTEX_TEST_IS_VICTIM";
/// Children of a killed supervisor give themselves some seconds to stop.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_dropped_installation_leaves_nothing() {
    let installation = Installation::start().await.unwrap();
    let home = installation.home().to_owned();
    for process in Process::ALL {
        assert!(installation.pid(process).is_some(), "{process} does not run");
    }
    assert!(Process::ALL.len() <= processes_of(&home).len());
    drop(installation);
    assert_eq!(processes_of(&home), Vec::<u32>::new());
    assert!(!home.exists());
}

#[tokio::test]
async fn a_killed_test_leaves_nothing() {
    if env::var_os(VICTIM_VARIABLE).is_some() {
        return be_killed().await;
    }
    let mut victim = Command::new(env::current_exe().unwrap())
        .args(["--exact", "leftovers::a_killed_test_leaves_nothing", "--nocapture"])
        .env(VICTIM_VARIABLE, "yes")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let home = loop {
        let line = lines.next_line().await.unwrap().expect("the victim says where its home is");
        if let Some((_, home)) = line.split_once("home=") {
            break PathBuf::from(home);
        }
    };
    assert!(Process::ALL.len() <= processes_of(&home).len());
    victim.kill().await.unwrap();
    eventually(DEADLINE, || async { processes_of(&home).is_empty() && !home.exists() })
        .await
        .unwrap_or_else(|error| {
            panic!("{error}: {:?} of {} stay", processes_of(&home), home.display())
        });
}

#[expect(clippy::print_stdout, reason = "the line tells the test what to look for")]
async fn be_killed() {
    let installation = Installation::start().await.unwrap();
    println!("home={}", installation.home().display());
    std::future::pending::<()>().await;
    drop(installation);
}
