//! Attacks that try to outlive their run.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use sandbox_process::{Run, Verdict};

use crate::{
    attack::told,
    stage::{PATIENCE, Stage, is_long, within},
};

/// How long a tree may live on after SIGKILL.
const KILL_LIMIT: Duration = Duration::from_millis(250);
/// The same while other tests want the processors as well.
const KILL_LIMIT_BUSY: Duration = Duration::from_secs(2);
/// Stands in the environment of every process of a run.
const MARK: &str = "CORTEX_ATTACK_MARK";

#[tokio::test]
async fn attack_a25_a_thousand_stubborn_processes() {
    let count = if is_long() { 1000 } else { 200 };
    let stage = stage("a25");
    let mut run = stage.start(&["sh", "-c", &daemons(count)]).await;
    read_lines(&mut run, count).await;
    let before = marked("a25");
    assert!(count <= before, "{before} processes");
    let cancelled = Instant::now();
    run.cancel();
    let exit = within(run.wait()).await;
    let took = cancelled.elapsed().saturating_sub(stage.limits.grace);
    let left = marked("a25");
    told(
        "A25",
        &format!("{count} stubborn"),
        &format!("{left} left after {took:?}"),
        &format!("{before} before"),
    );
    assert_eq!((left, exit.verdict, exit.leftovers.survived), (0, Verdict::Cancelled, 0));
    assert!(u32::try_from(count).unwrap() <= exit.leftovers.killed, "{:?}", exit.leftovers);
    let limit = if is_long() { KILL_LIMIT } else { KILL_LIMIT_BUSY };
    assert!(took < limit, "took {took:?}");
}

#[tokio::test]
async fn attack_a23_a_daemon_outlives_its_program() {
    let stage = stage("a23");
    let daemon = "trap '' TERM HUP; echo up; touch up.$$; while :; do sleep 1000; done";
    let line = format!(
        "for i in 1 2 3 4 5; do (setsid sh -c '{}' &); done; \
         while [ $(ls | wc -l) -lt 5 ]; do sleep 0.01; done",
        daemon.replace('\'', "'\\''")
    );
    let (exit, stdout) = stage.run(&["sh", "-c", &line]).await;
    let left = marked("a23");
    let before = stdout.matches("up").count();
    told("A23", "daemon", &format!("{left} left"), &format!("{before} before"));
    assert_eq!((before, left, exit.verdict), (5, 0, Verdict::Exited));
}

#[tokio::test]
async fn attack_a26_hold_the_output_open() {
    let stage = stage("a26");
    let line = "(setsid sh -c \"trap '' TERM HUP; sleep 1000\" &); echo over; exit 3";
    let started = Instant::now();
    let (exit, stdout) = stage.run(&["sh", "-c", line]).await;
    told("A26", "hold stdout", &format!("ended after {:?}", started.elapsed()), "sleeps 1000 s");
    assert_eq!((stdout.as_str(), exit.verdict), ("over", Verdict::Exited));
}

#[tokio::test]
async fn attack_a27_outlive_the_supervisor() {
    let stage = stage("a27");
    let mut run = stage.start(&["sh", "-c", &daemons(20)]).await;
    read_lines(&mut run, 20).await;
    let before = marked("a27");
    // Program, first process of the namespaces, supervisor.
    let supervisor = parent_of(parent_of(run.pid()));
    kill_process(Pid::from_raw(i32::try_from(supervisor).unwrap()).unwrap(), Signal::KILL).unwrap();
    let killed = Instant::now();
    while 0 < marked("a27") {
        assert!(killed.elapsed() < PATIENCE, "left: {}", marked("a27"));
        tokio::task::yield_now().await;
    }
    told(
        "A27",
        "supervisor killed",
        &format!("0 left after {:?}", killed.elapsed()),
        &format!("{before} before"),
    );
    within(run.wait()).await;
}

fn stage(mark: &str) -> Stage {
    let mut stage = Stage::new();
    stage.config.quotas.pids = 4096;
    stage.limits.grace = Duration::from_millis(50);
    stage.env.insert(MARK.to_owned(), mark.to_owned());
    stage
}

/// Starts so many daemons that left parent, session and SIGTERM behind; each says that it is up.
fn daemons(count: usize) -> String {
    let daemon = "trap '' TERM HUP INT; echo up; while :; do sleep 1000; done";
    format!(
        "trap '' TERM; i=0; while [ $i -lt {count} ]; do (setsid sh -c \"{daemon}\" &) ; \
         i=$((i+1)); done; wait; sleep 1000"
    )
}

async fn read_lines(run: &mut Run, count: usize) {
    let mut seen = 0;
    while seen < count {
        let chunk = within(run.next_chunk()).await.expect("the run ended before it was ready");
        seen += chunk.bytes.iter().filter(|byte| **byte == b'\n').count();
    }
}

/// How many processes are alive that carry the mark.
fn marked(mark: &str) -> usize {
    let wanted = format!("{MARK}={mark}");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let carries = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    pids.filter(carries).count()
}

fn parent_of(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}
