//! The end of a run is the end of all that it started.

use std::time::{Duration, Instant};

use sandbox_process::{Status, Verdict};

use crate::support::{Case, is_alive, marked, read_lines, script, within};

/// How long a tree may live on after SIGKILL.
const KILL_LIMIT: Duration = Duration::from_millis(250);

/// Starts `count` daemons that left their parent, their session and SIGTERM behind.
fn daemons(count: usize) -> Case {
    let daemon = "trap '' TERM HUP INT; echo up; while :; do sleep 1000; done";
    script(&format!(
        "trap '' TERM; i=0; while [ $i -lt {count} ]; do \
         (setsid sh -c \"{daemon}\" &) ; i=$((i+1)); done; wait; sleep 1000"
    ))
}

#[tokio::test]
async fn two_hundred_daemons_that_ignore_sigterm_are_gone_within_a_quarter_second() {
    let grace = Duration::from_millis(100);
    let mut case = daemons(200);
    case.request.limits.grace = grace;
    let mut run = case.start().await;
    read_lines(&mut run, 200).await;
    assert!(200 <= marked(&case.mark).len());

    let cancelled = Instant::now();
    run.cancel();
    let exit = within(run.wait()).await;
    let took = cancelled.elapsed();
    case.assert_gone_within(Duration::ZERO).await;
    assert_eq!((exit.verdict, exit.status), (Verdict::Cancelled, Status::Signal(9)));
    assert!(200 <= exit.leftovers.killed, "{:?}", exit.leftovers);
    assert_eq!(exit.leftovers.survived, 0);
    assert!(grace <= took && took < grace + KILL_LIMIT, "took {took:?}");
}

#[tokio::test]
async fn daemons_of_a_program_that_ends_by_itself_end_with_it() {
    let case = script(
        "(setsid sh -c \"trap '' TERM HUP; echo up > ready; while :; do sleep 1000; done\" &); \
         while [ ! -s ready ]; do sleep 0.01; done; exit 6",
    );
    let (exit, ..) = case.finish().await;
    assert_eq!((exit.verdict, exit.status), (Verdict::Exited, Status::Code(6)));
    assert!((1..=2).contains(&exit.leftovers.killed), "{:?}", exit.leftovers);
    case.assert_gone_within(Duration::ZERO).await;
}

#[tokio::test]
async fn a_process_that_forks_for_ever_is_caught() {
    // Each generation starts the next in a new session and ends.
    let case = script("printf 'echo up; setsid sh ./hop & exit 0\\n' > hop; sh ./hop; sleep 1000");
    let mut run = case.start().await;
    read_lines(&mut run, 20).await;
    run.cancel();
    let exit = within(run.wait()).await;
    assert_eq!((exit.verdict, exit.leftovers.survived), (Verdict::Cancelled, 0));
    case.assert_gone_within(Duration::ZERO).await;
}

#[tokio::test]
async fn orphans_that_end_while_the_run_goes_on_are_reaped() {
    let case = script(
        "i=0; while [ $i -lt 50 ]; do (true & exit 0); i=$((i+1)); done; echo done; sleep 1000",
    );
    let mut run = case.start().await;
    read_lines(&mut run, 1).await;
    let supervisor = parent_of(run.pid());
    let deadline = Instant::now() + crate::support::PATIENCE;
    // The program itself is the only child that stays.
    while 1 < children_of(supervisor) {
        assert!(Instant::now() < deadline, "{} children", children_of(supervisor));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    run.cancel();
    within(run.wait()).await;
}

#[tokio::test]
async fn dropping_a_run_ends_it() {
    let case = daemons(5);
    let mut run = case.start().await;
    read_lines(&mut run, 5).await;
    drop(run);
    case.assert_gone_within(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn dropping_the_launch_leaves_nothing() {
    let case = daemons(1);
    for limit_us in (0..6000).step_by(300) {
        let started = tokio::time::timeout(Duration::from_micros(limit_us), case.start()).await;
        drop(started);
    }
    case.assert_gone_within(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn supervisors_leave_no_zombies() {
    let case = script("echo up; sleep 1000");
    let mut run = case.start().await;
    read_lines(&mut run, 1).await;
    let supervisor = parent_of(run.pid());
    run.cancel();
    within(run.wait()).await;
    let deadline = Instant::now() + crate::support::PATIENCE;
    while std::path::Path::new(&format!("/proc/{supervisor}")).exists() {
        assert!(Instant::now() < deadline, "the supervisor is still there");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_killed_supervisor_is_reported_and_takes_the_program_along() {
    let case = script("echo up; sleep 1000 & wait");
    let mut run = case.start().await;
    read_lines(&mut run, 1).await;
    signal(parent_of(run.pid()), rustix::process::Signal::KILL);
    let pid = run.pid();
    let exit = within(run.wait()).await;
    assert_eq!((exit.verdict, exit.status), (Verdict::SupervisorLost, Status::Unknown));
    case.assert_gone_within(Duration::from_secs(5)).await;
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_stopped_supervisor_does_not_outlive_the_limits() {
    let mut case = daemons(3);
    case.request.limits.grace = Duration::from_millis(100);
    let mut run = case.start().await;
    read_lines(&mut run, 3).await;
    let supervisor = parent_of(run.pid());
    signal(supervisor, rustix::process::Signal::STOP);
    run.cancel();
    let exit = within(run.wait()).await;
    assert_eq!(exit.verdict, Verdict::SupervisorLost);
    case.assert_gone_within(Duration::from_secs(5)).await;
    assert_ends(supervisor).await;
}

#[tokio::test]
async fn a_hundred_runs_at_once_keep_apart() {
    let runs = (0..100).map(|number| {
        tokio::spawn(async move {
            let (exit, stdout, _) = script(&format!("echo {number}; exit {number}")).finish().await;
            assert_eq!(exit.status, Status::Code(number));
            assert_eq!(stdout, format!("{number}\n").into_bytes());
        })
    });
    for run in runs.collect::<Vec<_>>() {
        within(run).await.unwrap();
    }
}

async fn assert_ends(pid: u32) {
    let deadline = Instant::now() + crate::support::PATIENCE;
    while is_alive(pid) {
        assert!(Instant::now() < deadline, "{pid} is still there");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn parent_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}

fn children_of(pid: u32) -> usize {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    list.split_whitespace().count()
}
