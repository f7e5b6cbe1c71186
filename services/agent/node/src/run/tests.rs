//! What outcome follows from how a run ended.

use std::time::Duration;

use agent_core::RunKey;
use sandbox_process::{Exit, Leftovers, Status, StreamTotals, Verdict as Ended};
use schemas::{
    ErrorCode, Sha256Hash, TaskId, Timestamp,
    agent::OutputChunk,
    task::{OutputSummary, Verdict},
};

use super::{echo, outcome};
use crate::output::{Collector, Outlet};

struct Nowhere;

impl Outlet for Nowhere {
    async fn publish(&mut self, _chunk: OutputChunk) -> bool {
        true
    }
}

fn exit(verdict: Ended, status: Status) -> Exit {
    let nothing = StreamTotals { bytes: 0, dropped: 0, sha256: Sha256Hash::ZERO };
    Exit {
        status,
        verdict,
        started_at: Duration::from_secs(5),
        ended_at: Duration::from_millis(5250),
        cpu_user_ms: 3,
        cpu_system_ms: 4,
        max_rss_bytes: 9,
        stdout: nothing,
        stderr: nothing,
        leftovers: Leftovers { killed: 2, survived: 0 },
    }
}

fn check(verdict: Ended, status: Status, expected: Verdict) {
    let nothing = || OutputSummary::default();
    let outcome = outcome(&exit(verdict, status), Timestamp(1000), [nothing(), nothing()]);
    assert_eq!(outcome.verdict, expected, "{verdict:?} {status:?}");
    assert_eq!(outcome.ended_at, Timestamp(1250));
    assert_eq!((outcome.usage.wall_ms, outcome.usage.cpu_ms, outcome.usage.leftovers), (250, 7, 2));
}

#[test]
fn only_status_zero_is_success() {
    check(Ended::Exited, Status::Code(0), Verdict::Succeeded);
    check(Ended::Exited, Status::Code(7), Verdict::Failed);
    check(Ended::Exited, Status::Signal(9), Verdict::Failed);
}

#[test]
fn who_ended_the_run_decides_whatever_its_status() {
    check(Ended::TimedOut, Status::Code(0), Verdict::TimedOut);
    check(Ended::Cancelled, Status::Signal(15), Verdict::Cancelled);
}

#[test]
fn what_nobody_can_tell_is_lost() {
    check(Ended::Exited, Status::Unknown, Verdict::Lost);
    check(Ended::SupervisorLost, Status::Unknown, Verdict::Lost);
}

#[test]
fn processes_that_survive_are_told() {
    let mut exit = exit(Ended::Exited, Status::Code(0));
    exit.leftovers.survived = 1;
    let outcome =
        outcome(&exit, Timestamp(0), [OutputSummary::default(), OutputSummary::default()]);
    assert_eq!(outcome.fault.map(|fault| fault.code), Some(ErrorCode::RunInterrupted));
}

fn echoed(text: &str, limit: u64) -> schemas::task::Outcome {
    let key = RunKey { task: TaskId::parse("t1").unwrap(), epoch: 1 };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(echo(text, limit, Collector::new(key, Nowhere)))
}

#[test]
fn an_echo_answers_with_its_text() {
    let outcome = echoed("hi", 100);
    assert_eq!((outcome.verdict, outcome.exit_code), (Verdict::Succeeded, Some(0)));
    assert_eq!(outcome.stdout.inline.as_deref(), Some("aGk="));
    let sha256 = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4";
    assert_eq!(outcome.stdout.sha256.unwrap().to_string(), sha256);
}

#[test]
fn an_echo_keeps_to_its_limit() {
    let outcome = echoed("0123456789", 4);
    assert_eq!((outcome.stdout.bytes, outcome.stdout.dropped), (10, 6));
    assert_eq!(outcome.stdout.inline, None);
}
