//! Runs: output in the result and as it appears, exit codes, limits, cancels.

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cortex_tests::eventually;
use futures::StreamExt as _;
use schemas::{
    ErrorCode,
    agent::{OutputChunk, OutputStream},
    task::{TaskSpec, Verdict, Work},
};

use crate::{
    SOON,
    stage::{Stage, echo, shell},
};

fn text(inline: Option<&String>) -> String {
    let bytes = inline.map(|inline| STANDARD.decode(inline).unwrap()).unwrap_or_default();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_comes_back() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let task = stage.plane.submit(&echo("hello")).await?;
    let outcome = stage.plane.outcome(&task).await?;
    assert_eq!(
        (outcome.verdict, text(outcome.stdout.inline.as_ref()).as_str()),
        (Verdict::Succeeded, "hello")
    );
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_both_streams_and_its_exit_code() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let task = stage.plane.submit(&shell("echo out; echo err >&2; pwd; exit 7")).await?;
    let outcome = stage.plane.outcome(&task).await?;
    assert_eq!((outcome.verdict, outcome.exit_code), (Verdict::Failed, Some(7)));
    let stdout = text(outcome.stdout.inline.as_ref());
    assert_eq!(text(outcome.stderr.inline.as_ref()), "err\n");
    let proof = outcome.sandbox.unwrap();
    assert_eq!(proof.program, "/usr/bin/sh");
    assert!(proof.no_new_privs && proof.program_sha256.is_some(), "{proof:?}");
    // The run's own directory, which on the host lies among the runs of this process start.
    let directory = stdout.strip_prefix("out\n/run/").unwrap().trim_end();
    assert!(directory.starts_with(task.as_str()), "{directory}");
    let runs = std::fs::read_dir(stage.folder.path().join("state/runs"))?;
    let places: Vec<_> = runs.flatten().map(|start| start.path().join(directory)).collect();
    assert!(!places.is_empty());
    let gone = || async { places.iter().all(|place| !place.exists()) };
    eventually(SOON, gone).await?;
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_sent_while_the_run_goes_on() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let mut chunks = stage.plane.client().nats().subscribe("cortex.out.n1.*").await?;
    stage.plane.client().nats().flush().await?;
    let seen = stage.folder.path().join("seen");
    let line = format!(
        "echo first; until [ -e {} ]; do sleep 0.02; done; echo second >&2",
        seen.display()
    );
    let task = stage.plane.submit(&shell(&line)).await?;
    let mut heard: Vec<OutputChunk> = Vec::new();
    while !heard.last().is_some_and(|chunk| chunk.end) {
        let message = tokio::time::timeout(SOON, chunks.next()).await?.unwrap();
        heard.push(serde_json::from_slice(&message.payload)?);
        assert_eq!(heard[0].data, STANDARD.encode("first\n"));
        assert!(heard.len() > 1 || stage.plane.known(&task).reports.is_empty());
        std::fs::write(&seen, "")?;
    }
    let outcome = stage.plane.outcome(&task).await?;
    assert_eq!(outcome.verdict, Verdict::Succeeded, "{outcome:?}");
    assert!(heard.iter().any(|chunk| chunk.stream == OutputStream::Stderr));
    assert_eq!(text(outcome.stdout.inline.as_ref()), "first\n");
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn long_output_is_sent_whole_and_in_order() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let mut chunks = stage.plane.client().nats().subscribe("cortex.out.n1.*").await?;
    stage.plane.client().nats().flush().await?;
    let task = stage.plane.submit(&shell("seq 1 200000")).await?;
    let (mut all, mut end) = (Vec::new(), false);
    while !end {
        let message = tokio::time::timeout(SOON, chunks.next()).await?.unwrap();
        let chunk: OutputChunk = serde_json::from_slice(&message.payload)?;
        assert_eq!(chunk.offset, u64::try_from(all.len())?);
        all.extend(STANDARD.decode(&chunk.data)?);
        end = chunk.end;
    }
    let expected: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert!(all == expected.as_bytes(), "{} bytes of {}", all.len(), expected.len());
    let outcome = stage.plane.outcome(&task).await?;
    assert_eq!(outcome.stdout.bytes, u64::try_from(all.len())?);
    assert_eq!((outcome.stdout.dropped, outcome.stdout.inline), (0, None));
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_missing_is_named() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let argv = vec!["no-such-program".to_owned()];
    let work = Work::Command { argv, cwd: None, env: Default::default(), stdin: None };
    let task = stage.plane.submit(&TaskSpec::new(work)).await?;
    let outcome = stage.plane.outcome(&task).await?;
    let fault = outcome.fault.unwrap();
    assert_eq!((outcome.verdict, fault.code), (Verdict::Failed, ErrorCode::CommandNotFound));
    assert!(fault.message.contains("no-such-program"), "{fault}");
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn stdin_and_environment_reach_the_run_and_the_nodes_own_does_not() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let argv = ["sh", "-c", "cat; echo $NAME; env | wc -l"].map(str::to_owned).to_vec();
    let env = [("NAME".to_owned(), "value".to_owned())].into();
    let work = Work::Command { argv, cwd: None, env, stdin: Some("in\n".to_owned()) };
    let task = stage.plane.submit(&TaskSpec::new(work)).await?;
    let outcome = stage.plane.outcome(&task).await?;
    let stdout = text(outcome.stdout.inline.as_ref());
    let mut lines = stdout.lines();
    assert_eq!((lines.next(), lines.next()), (Some("in"), Some("value")), "{outcome:?}");
    let variables: usize = lines.next().unwrap().trim().parse()?;
    assert!(variables < 10, "{variables} variables");
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_ends_a_run() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let mut spec = shell("sleep 600");
    spec.time_limit_ms = Some(100);
    let task = stage.plane.submit(&spec).await?;
    assert_eq!(stage.plane.outcome(&task).await?.verdict, Verdict::TimedOut);
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_a_run() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let task = stage.plane.submit(&shell("sleep 600")).await?;
    stage.plane.known_when(&task, |known| known.started_by.clone()).await?;
    stage.plane.cancel(&task).await?;
    assert_eq!(stage.plane.outcome(&task).await?.verdict, Verdict::Cancelled);
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_overtakes_its_task_keeps_it_from_running() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let ran = stage.folder.path().join("ran");
    let offer = stage.plane.sign(&shell(&format!("touch {}", ran.display())), 1);
    stage.plane.cancel(&offer.task).await?;
    stage.plane.offer(&offer).await?;
    let after = stage.plane.submit(&echo("")).await?;
    stage.plane.outcome(&after).await?;
    assert_eq!(stage.plane.known(&offer.task).started_by, None);
    assert!(!ran.exists());
    node.stop().await
}
