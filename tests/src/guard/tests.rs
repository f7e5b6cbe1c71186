//! A guarded process obeys, and goes when its owner goes.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::{Guarded, Signal};
use crate::eventually;

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

/// The owner is a shell that holds the guard's input; it is killed as a test would be.
#[tokio::test]
async fn a_killed_owner_takes_the_process_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    // The fifo stands for the owner's end of the pipe: opened by the owner alone.
    let script = r#"mkfifo "$1/in"; sh -c "$2" guard "$1/gone" "$1/log" sleep 600 < "$1/in" > "$1/pid" &
        exec 3>"$1/in"; while :; do read -r _ < /dev/zero; done"#;
    let mut owner = std::process::Command::new("sh")
        .args(["-c", script, "owner"])
        .arg(dir.path())
        .arg(super::SCRIPT)
        .spawn()
        .unwrap();
    let pid = crate::eventually_some(DEADLINE, || async {
        std::fs::read_to_string(dir.path().join("pid")).ok()?.trim().parse::<u32>().ok()
    })
    .await
    .unwrap();
    assert!(alive(pid), "{}", std::fs::read_to_string(log).unwrap());
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually(DEADLINE, || async { !alive(pid) }).await.unwrap();
}
