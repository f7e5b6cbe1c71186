//! How runs end: by themselves, by a signal, by their time, by a cancel.

use std::time::{Duration, Instant};

use sandbox_process::{Exit, Status, Verdict};

use crate::support::{command, read_lines, script, within};

#[tokio::test]
async fn the_exit_status_is_the_one_of_the_program() {
    check("exit 0", Status::Code(0)).await;
    check("exit 7", Status::Code(7)).await;
    check("exit 255", Status::Code(255)).await;
}

#[tokio::test]
async fn a_signal_is_told_apart_from_a_status() {
    check("kill -9 $$", Status::Signal(9)).await;
    check("kill -11 $$", Status::Signal(11)).await;
    check("exit 137", Status::Code(137)).await;
}

#[tokio::test]
async fn a_run_that_takes_too_long_ends_on_time() {
    let mut case = command(&["sleep", "1000"]);
    case.request.limits.wall_time = Duration::from_millis(300);
    let (exit, ..) = case.finish().await;
    assert_eq!(ended(&exit), (Verdict::TimedOut, Status::Signal(15)));
    assert_on_time(exit.wall_time(), Duration::from_millis(300));
}

#[tokio::test]
async fn a_run_that_ignores_sigterm_is_killed_after_its_grace() {
    let mut case = script("trap '' TERM; echo up; while :; do sleep 1; done");
    case.request.limits.wall_time = Duration::from_millis(200);
    case.request.limits.grace = Duration::from_millis(200);
    let (exit, ..) = case.finish().await;
    assert_eq!(ended(&exit), (Verdict::TimedOut, Status::Signal(9)));
    assert_on_time(exit.wall_time(), Duration::from_millis(400));
}

#[tokio::test]
async fn without_a_grace_period_there_is_no_sigterm() {
    let mut case = script("trap 'echo heard' TERM; echo up; while :; do sleep 0.01; done");
    case.request.limits.grace = Duration::ZERO;
    let mut run = case.start().await;
    read_lines(&mut run, 1).await;
    run.cancel();
    let exit = within(run.wait()).await;
    assert_eq!(ended(&exit), (Verdict::Cancelled, Status::Signal(9)));
    assert_eq!(exit.stdout.bytes, 3);
}

#[tokio::test]
async fn a_cancelled_run_may_tidy_up_within_its_grace() {
    let case = script("trap 'echo tidied; exit 3' TERM; echo up; while :; do sleep 0.01; done");
    let mut run = case.start().await;
    read_lines(&mut run, 1).await;
    run.cancel();
    read_lines(&mut run, 1).await;
    let exit = within(run.wait()).await;
    assert_eq!(ended(&exit), (Verdict::Cancelled, Status::Code(3)));
}

#[tokio::test]
async fn children_of_a_cancelled_program_have_their_grace_too() {
    // The first process dies of SIGTERM at once; its child needs a moment longer.
    let case = script(
        "sh -c 'trap \"sleep 0.2; echo tidied; exit 0\" TERM; echo up; while :; do sleep 0.01; done' & wait",
    );
    let mut run = case.start().await;
    read_lines(&mut run, 1).await;
    run.canceller().cancel();
    read_lines(&mut run, 1).await;
    let exit = within(run.wait()).await;
    assert_eq!(ended(&exit), (Verdict::Cancelled, Status::Signal(15)));
    assert_eq!(exit.leftovers.killed, 0);
}

#[tokio::test]
async fn a_stopped_program_hears_the_cancel() {
    let case = script("trap 'exit 4' TERM; echo up; kill -STOP $$; while :; do sleep 0.01; done");
    let mut run = case.start().await;
    read_lines(&mut run, 1).await;
    run.cancel();
    let exit = within(run.wait()).await;
    assert_eq!(ended(&exit), (Verdict::Cancelled, Status::Code(4)));
}

#[tokio::test]
async fn a_cancel_that_comes_late_or_twice_changes_nothing() {
    let case = script("exit 5");
    let run = case.start().await;
    let canceller = run.canceller();
    let exit = within(run.wait()).await;
    canceller.cancel();
    canceller.cancel();
    assert_eq!(exit.status, Status::Code(5));
}

#[tokio::test]
async fn what_a_run_used_is_counted() {
    let case = script("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done");
    let (exit, ..) = case.finish().await;
    let wall_ms = u64::try_from(exit.wall_time().as_millis()).unwrap();
    let cpu_ms = exit.cpu_user_ms + exit.cpu_system_ms;
    assert!(20 <= cpu_ms && cpu_ms <= wall_ms + 20, "{cpu_ms} of {wall_ms} ms");
    assert!((512 * 1024..1 << 30).contains(&exit.max_rss_bytes), "{}", exit.max_rss_bytes);
}

#[tokio::test]
async fn memory_of_a_child_counts_towards_the_peak() {
    // dd holds one block of 64 MiB.
    let case = script("dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; exit 0");
    let (exit, ..) = case.finish().await;
    assert!((64 << 20..128 << 20).contains(&exit.max_rss_bytes), "{}", exit.max_rss_bytes);
}

#[tokio::test]
async fn the_first_byte_does_not_wait_for_more() {
    let case = script("echo first; sleep 1000");
    let mut run = case.start().await;
    let started = Instant::now();
    read_lines(&mut run, 1).await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    run.cancel();
    within(run.wait()).await;
}

async fn check(text: &str, status: Status) {
    let (exit, ..) = script(text).finish().await;
    assert_eq!(ended(&exit), (Verdict::Exited, status), "{text}");
}

fn ended(exit: &Exit) -> (Verdict, Status) {
    (exit.verdict, exit.status)
}

/// The promise is 50 ms; a machine that is busy with other tests is given more.
#[track_caller]
fn assert_on_time(took: Duration, wanted: Duration) {
    let late = took.checked_sub(wanted).expect("it ended before its time");
    assert!(late < Duration::from_millis(250), "{late:?} late");
}
