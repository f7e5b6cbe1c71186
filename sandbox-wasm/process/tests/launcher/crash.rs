//! A node that is killed leaves no orphan.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use crate::support::{marked, read_lines, script};

/// Makes this test program play the node.
const ROLE: &str = "LAUNCHER_TEST_NODE";

#[tokio::test]
async fn a_node_that_is_killed_leaves_no_orphan() {
    let mut node = Command::new("/proc/self/exe")
        .args(["--exact", "crash::the_node_of_the_test_above", "--ignored", "--nocapture"])
        .env(ROLE, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(node.stdout.take().unwrap()).lines();
    let mark = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("mark=").map(|(_, mark)| mark.to_owned()));
    let mark = mark.expect("the node told no mark");
    // Daemons and the sleeps below them, the program itself included.
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
async fn the_node_of_the_test_above() {
    assert!(std::env::var_os(ROLE).is_some(), "only as a child of the test above");
    let daemon = "trap '' TERM HUP; echo up; while :; do sleep 1000; done";
    let case = script(&format!(
        "i=0; while [ $i -lt 10 ]; do (setsid sh -c \"{daemon}\" &); i=$((i+1)); done; sleep 1000"
    ));
    let mut run = case.start().await;
    read_lines(&mut run, 10).await;
    println!("mark={}", case.mark);
    // Lives until it is killed.
    run.wait().await;
}
