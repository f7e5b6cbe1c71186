//! A guarded process obeys, and goes when its owner goes.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::{Guarded, Signal};
use crate::{eventually, eventually_some};

const DEADLINE: Duration = Duration::from_secs(10);

fn sleeper(dir: &TempDir) -> Guarded {
    let log = dir.path().join("log");
    Guarded::spawn(Path::new("sleep"), ["600"], dir.path(), &log).unwrap()
}

fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_dropped_guard_kills_the_process_and_removes_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let guard = sleeper(&dir);
    let pid = guard.pid().unwrap();
    assert!(alive(pid) && !guard.has_ended());
    drop(guard);
    assert!(!alive(pid) && !dir.path().exists());
}

#[test]
fn a_killed_process_leaves_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let guard = sleeper(&dir);
    let pid = guard.pid().unwrap();
    guard.kill().unwrap();
    assert!(!alive(pid) && guard.has_ended() && dir.path().exists());
    assert!(guard.kill().is_err() && guard.signal(Signal::Terminate).is_err());
}

#[test]
fn a_killed_process_starts_again_and_still_goes_with_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let guard = sleeper(&dir);
    assert!(guard.start_again().is_err(), "it runs");
    guard.kill().unwrap();
    guard.start_again().unwrap();
    let pid = guard.pid().unwrap();
    assert!(alive(pid));
    drop(guard);
    assert!(!alive(pid) && !dir.path().exists());
}

#[test]
fn the_directory_goes_with_the_owner_also_while_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let guard = sleeper(&dir);
    guard.kill().unwrap();
    drop(guard);
    assert!(!dir.path().exists());
}

#[tokio::test]
async fn a_signal_reaches_the_process_and_its_exit_status_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let guard = sleeper(&dir);
    guard.signal(Signal::Terminate).unwrap();
    eventually(DEADLINE, || async { guard.has_ended() }).await.unwrap();
    assert_eq!(guard.wait().unwrap(), 128 + 15);
    assert!(guard.signal(Signal::Continue).is_err());
}

/// Starts a guard as `Guarded` does, says one word to it and stays. The process outlives a SIGHUP, as
/// a broker does.
const OWNER: &str = r#"
import os, signal, subprocess, sys
script, dir, word = sys.argv[1:]
process = ["sh", "-c", 'trap "" HUP; : >"$0/ready"; exec sleep 600', dir]
guard = subprocess.Popen(
    ["sh", "-c", script, "guard", dir + "/gone", dir + "/log"] + process,
    stdin=subprocess.PIPE, stdout=open(dir + "/pid", "w"), preexec_fn=os.setpgrp)
while not os.path.exists(dir + "/ready"): pass
guard.stdin.write(word.encode() + b"\n")
guard.stdin.flush()
signal.pause()
"#;

/// The owner says `word` to the guard; it is killed as a test would be.
async fn check_killed_owner(word: &str, state: char) {
    let dir = tempfile::tempdir().unwrap();
    let mut owner = tokio::process::Command::new("python3")
        .args(["-c", OWNER, super::SCRIPT])
        .arg(dir.path())
        .arg(word)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = eventually_some(DEADLINE, || async {
        let said = std::fs::read_to_string(dir.path().join("pid")).ok()?;
        let pid = said.lines().next()?.parse::<u32>().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.contains(&format!(") {state} ")).then_some(pid)
    })
    .await
    .unwrap();
    owner.kill().await.unwrap();
    eventually(DEADLINE, || async { !alive(pid) }).await.unwrap();
}

#[tokio::test]
async fn a_killed_owner_takes_the_process_with_it() {
    check_killed_owner("CONT", 'S').await;
}

#[tokio::test]
async fn a_killed_owner_takes_a_stopped_process_with_it() {
    check_killed_owner("STOP", 'T').await;
}

/// The owner is killed before it reads the first answer: nobody holds either end of the pipes.
#[tokio::test]
async fn an_owner_killed_while_the_process_starts_takes_it_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let gone = dir.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    // The process says its own number in a file, for its owner hears nothing.
    let command = r#"echo $$ > "$1"; exec sleep 600"#;
    let mut guard = std::process::Command::new("sh")
        .args(["-c", super::SCRIPT, "guard"])
        .args([&gone, &dir.path().join("log")])
        .args(["sh", "-c", command, "sh"])
        .arg(&pid_file)
        .stdin(std::process::Stdio::null())
        .stdout(closed_pipe())
        .spawn()
        .unwrap();
    tokio::task::spawn_blocking(move || guard.wait()).await.unwrap().unwrap();
    assert!(!gone.exists(), "the guard ended before it had cleaned up");
    let started = std::fs::read_to_string(pid_file).unwrap_or_default();
    assert!(!started.trim().parse().is_ok_and(alive), "{started} is alive");
}

/// The writing end of a pipe that nobody reads.
fn closed_pipe() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}
