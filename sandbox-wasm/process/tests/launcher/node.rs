//! What becomes of runs when something is the matter with their node.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::support::{command, marked, read_lines, script};

/// Makes this test program play the node.
const ROLE: &str = "LAUNCHER_TEST_NODE";

#[tokio::test]
async fn a_node_that_is_killed_leaves_no_orphan() {
    let (mut node, mark) = node("exec", "node::a_node_with_daemons");
    // The daemons, the sleeps below them, and the program itself.
    assert!(11 <= marked(&mark).len(), "{:?}", marked(&mark));

    node.kill().unwrap();
    node.wait().unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while !marked(&mark).is_empty() {
        assert!(std::time::Instant::now() < deadline, "left: {:?}", marked(&mark));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
#[ignore = "the other half of a_node_that_is_killed_leaves_no_orphan, which starts it"]
async fn a_node_with_daemons() {
    assert!(std::env::var_os(ROLE).is_some(), "only as a child of another test");
    let daemon = "trap '' TERM HUP; echo up; while :; do sleep 1000; done";
    let case = script(&format!(
        "i=0; while [ $i -lt 10 ]; do (setsid sh -c \"{daemon}\" &); i=$((i+1)); done; sleep 1000"
    ));
    let mut run = case.start().await;
    read_lines(&mut run, 10).await;
    println!("answer={}", case.mark);
    // Lives until it is killed.
    run.wait().await;
}

#[tokio::test]
async fn what_a_node_ignores_its_runs_do_not() {
    // SIGHUP, SIGINT and SIGTERM are the bits 0, 1 and 14.
    let (mut node, ignored) = node("trap '' HUP INT TERM; exec", "node::a_node_under_nohup");
    node.wait().unwrap();
    let ignored = u64::from_str_radix(&ignored, 16).unwrap();
    assert_eq!(ignored & (1 | 1 << 1 | 1 << 14), 0, "{ignored:x}");
}

#[tokio::test]
#[ignore = "the other half of what_a_node_ignores_its_runs_do_not, which starts it"]
async fn a_node_under_nohup() {
    assert!(std::env::var_os(ROLE).is_some(), "only as a child of another test");
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    assert!(!own.contains("SigIgn:\t0000000000000000"), "nothing is ignored here: {own}");
    let (_, status, _) = command(&["cat", "/proc/self/status"]).finish().await;
    let status = String::from_utf8(status).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    println!("answer={ignored}");
}

/// Starts this program as a node by way of a shell, and waits for its answer.
fn node(shell: &str, test: &str) -> (Child, String) {
    let line = format!("{shell} \"$0\" --exact {test} --ignored --nocapture");
    let mut node = Command::new("/bin/sh")
        .args(["-c", &line])
        .arg(std::env::current_exe().unwrap())
        .env(ROLE, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(node.stdout.take().unwrap());
    let mut lines = stdout.by_ref().lines().map_while(Result::ok);
    // The test harness may write its own words on the same line first.
    let answer = lines.find_map(|line| line.split_once("answer=").map(|(_, it)| it.to_owned()));
    // Kept open, for the harness has more to say.
    node.stdout = Some(stdout.into_inner());
    (node, answer.expect("the node gave no answer"))
}
