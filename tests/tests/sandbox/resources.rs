//! Attacks that use up what a machine has.

use std::time::{Duration, Instant};

use sandbox_process::{Status, Verdict};

use crate::{
    attack::{Attack, check, not_run, told},
    stage::{Stage, is_long, within},
};

#[tokio::test]
async fn attack_a13_fill_the_disk() {
    let mut stage = Stage::new();
    stage.config.quotas.disk_bytes = 16 << 20;
    let full = &["blocked ENOSPC"];
    check(&stage, Attack::new("A13", &["disk-fill", "32", "here"], full)).await;
    // Every place that a run may write to counts, and all of them together.
    let three = ["disk-fill", "8", "here", "/tmp/cortex-attack-a13", "/dev/shm/cortex-attack-a13"];
    check(&stage, Attack::new("A13", &three, full)).await;
    check(&stage, Attack::new("A13", &["file-bomb", "10000"], full)).await;
}

#[tokio::test]
async fn attack_a24_fork_without_end() {
    let mut stage = Stage::new();
    stage.config.quotas.pids = 64;
    check(&stage, Attack::new("A24", &["fork-bomb", "500"], &["blocked EAGAIN"])).await;
}

#[tokio::test]
async fn attack_a24_many_runs_fork_at_once_and_none_is_in_the_way_of_another() {
    let mut stage = Stage::new();
    stage.config.quotas.pids = 64;
    let attacker = stage.attacker();
    let argv = [attacker.to_str().unwrap(), "fork-bomb", "40"];
    // Together they exceed what one of them may have.
    let (first, second) = tokio::join!(stage.run(&argv), stage.run(&argv));
    assert_eq!((first.1.as_str(), second.1.as_str()), ("did", "did"));
}

#[tokio::test]
async fn attack_a60_take_all_memory() {
    let mut stage = Stage::new();
    stage.config.quotas.memory_bytes = 64 << 20;
    check(&stage, Attack::new("A60", &["memory-bomb", "256"], &["blocked ENOMEM"])).await;
    not_run("A60", "memory of a tree", "no cgroup v2 with a memory controller is delegated here");
}

#[tokio::test]
async fn attack_a61_take_all_processor_time() {
    let mut stage = Stage::new();
    stage.config.quotas.cpu_s = 1;
    check(&stage, Attack::new("A61", &["spin", "1500"], &["killed 9"])).await;
}

#[tokio::test]
async fn attack_a61_be_deaf_when_time_is_over() {
    let mut stage = Stage::new();
    stage.limits.wall_time = Duration::from_millis(200);
    let attacker = stage.attacker();
    let started = Instant::now();
    let (exit, _) = stage.run(&[attacker.to_str().unwrap(), "spin", "60000"]).await;
    assert_eq!((exit.verdict, exit.status), (Verdict::TimedOut, Status::Signal(9)));
    told("A61", "deaf", &format!("ended after {:?}", exit.wall_time()), "spins for 60 s");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn attack_a62_flood_the_output() {
    let mut stage = Stage::new();
    let bytes: u64 = if is_long() { 10 << 30 } else { 512 << 20 };
    stage.limits.output_bytes = 1 << 20;
    let before_kib = resident_kib();
    // One line without an end, so nothing that waits for lines could bound it.
    let argv = ["head", "-c", &bytes.to_string(), "/dev/zero"];
    let mut run = stage.start(&argv).await;
    let (mut handed_on, mut peak_kib) = (0, 0);
    while let Some(chunk) = within(run.next_chunk()).await {
        handed_on += u64::try_from(chunk.bytes.len()).unwrap();
        peak_kib = peak_kib.max(resident_kib());
    }
    let exit = tokio::time::timeout(Duration::from_secs(600), run.wait()).await.unwrap();
    told("A62", "flood", &format!("{handed_on} of {bytes} bytes"), "all of it to a pipe");
    assert_eq!((exit.stdout.bytes, handed_on), (bytes, 1 << 20));
    assert_eq!(exit.stdout.dropped, bytes - handed_on);
    assert!(peak_kib < before_kib + 50 * 1024, "grew from {before_kib} to {peak_kib} KiB");
}

#[tokio::test]
async fn attack_a63_open_files_without_end() {
    let mut stage = Stage::new();
    stage.config.quotas.open_files = 64;
    check(&stage, Attack::new("A63", &["open-files", "200"], &["blocked EMFILE"])).await;
}

/// Resident memory of this process.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
