//! Credentials: who gets them, how a run finds them, and that they are gone when it ends.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use agent_node::{ManifestSource, NodeConfig};
use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cortex_tests::{Guarded, eventually};
use futures::StreamExt as _;
use schemas::{
    ErrorCode,
    agent::OutputChunk,
    task::{Outcome, TaskSpec, Verdict},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    CHILD_CONFIG, SOON,
    plane::NODE,
    stage::{Stage, shell},
};

const GUIDE: &str = include_str!("../../../../../docs/credentials.md");
const TOKEN: &str = "tok-5f0c9a7be1d24";

/// A shell line that asks for credentials.
fn with(names: &[&str], line: &str) -> TaskSpec {
    let credentials = names.iter().map(|name| (*name).to_owned()).collect();
    TaskSpec { credentials, ..shell(line) }
}

/// The stage's node, with credentials in its manifest.
pub(crate) fn config(stage: &Stage, credentials: &[(&str, String)]) -> NodeConfig {
    let credentials: serde_json::Map<_, _> =
        credentials.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
    let manifest = json!({
        "id": NODE, "name": NODE, "role": "worker",
        "capabilities": { "tools": ["shell.exec"] },
        "credentials": credentials,
    });
    let manifest = serde_json::from_value(manifest).unwrap();
    let mut config = stage.config();
    config.manifest = Some(ManifestSource::Inline(Box::new(manifest)));
    config
}

/// A file with the token, and the reference to it.
fn file(stage: &Stage, name: &str, mode: u32) -> String {
    let path = stage.folder.path().join(name);
    fs::write(&path, format!("{TOKEN}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    format!("file:{}", path.display())
}

pub(crate) fn stdout(outcome: &Outcome) -> String {
    let inline = outcome.stdout.inline.as_ref().map(|inline| STANDARD.decode(inline).unwrap());
    String::from_utf8(inline.unwrap_or_default()).unwrap()
}

/// A node in a process of its own, and the folder in memory that it has to itself.
struct Process {
    node: Guarded,
    memory: TempDir,
}

/// Starts a node as a process of its own, with these variables.
async fn process(stage: &Stage, config: &NodeConfig, variables: &[String]) -> Result<Process> {
    let memory = tempfile::tempdir_in("/dev/shm")?;
    let node = process_in(stage, config, &memory, variables).await?;
    Ok(Process { node, memory })
}

async fn process_in(
    stage: &Stage,
    config: &NodeConfig,
    memory: &TempDir,
    variables: &[String],
) -> Result<Guarded> {
    let path = stage.folder.path().join("node.toml");
    fs::write(&path, toml::to_string(config)?)?;
    let before = stage.plane.registered().len();
    let guard = stage.folder.path().join("guard");
    fs::create_dir_all(&guard)?;
    let settings = format!("{CHILD_CONFIG}={}", path.display());
    let exe = std::env::current_exe()?;
    let exe = exe.to_str().context("the path of the test is text")?;
    let node = [exe, "--exact", "child_that_is_a_node", "--nocapture"].map(str::to_owned);
    let memory = format!("XDG_RUNTIME_DIR={}", memory.path().display());
    let args = [&[settings, memory], variables, &node[..]].concat();
    let log = stage.folder.path().join("node.log");
    let node = Guarded::spawn(Path::new("/usr/bin/env"), args, &guard, &log)?;
    stage.registered(before).await?;
    Ok(node)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_finds_what_it_asked_for_in_files_and_what_it_prints_of_them_is_masked() -> Result<()>
{
    let stage = Stage::set().await?;
    let config = config(
        &stage,
        &[("token", file(&stage, "token", 0o600)), ("other", file(&stage, "other", 0o600))],
    );
    let node = stage.node_with(config).await?;
    let line =
        "cd $CREDENTIALS_DIRECTORY && ls && stat -c %a . token && wc -c < token && cat token";
    let task = stage.plane.submit(&with(&["token"], line)).await?;
    let outcome = stage.plane.outcome(&task).await?;
    assert_eq!(stdout(&outcome), "token\n700\n400\n18\n[credential token]\n", "{outcome:?}");
    let expected = u64::try_from(stdout(&outcome).len())?;
    assert_eq!((outcome.stdout.bytes, outcome.stdout.dropped), (expected, 0));
    let without = stage.plane.submit(&shell("echo ${CREDENTIALS_DIRECTORY-none}")).await?;
    assert_eq!(stdout(&stage.plane.outcome(&without).await?), "none\n");
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_slowly_or_at_length_is_masked_as_well() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node_with(config(&stage, &[("t", file(&stage, "token", 0o600))])).await?;
    let mut chunks = stage.plane.client().nats().subscribe("cortex.out.n1.*").await?;
    stage.plane.client().nats().flush().await?;
    let (begin, end) = TOKEN.split_at(9);
    let line = format!(
        "printf {begin}; sleep 0.1; printf {end}; seq 1 3000; for i in $(seq 1 500); do \
         cat $CREDENTIALS_DIRECTORY/t; done"
    );
    let task = stage.plane.submit(&with(&["t"], &line)).await?;
    let (mut all, mut ended) = (Vec::new(), false);
    while !ended {
        let message = tokio::time::timeout(SOON, chunks.next()).await?.context("no message")?;
        let chunk: OutputChunk = serde_json::from_slice(&message.payload)?;
        assert_eq!(chunk.offset, u64::try_from(all.len())?);
        all.extend(STANDARD.decode(&chunk.data)?);
        ended = chunk.end;
    }
    let numbers: String = (1..=3000).map(|number| format!("{number}\n")).collect();
    let tag = "[credential t]";
    let expected = format!("{tag}{numbers}{}", format!("{tag}\n").repeat(500));
    assert!(String::from_utf8(all)? == expected);
    let outcome = stage.plane.outcome(&task).await?;
    assert_eq!((outcome.stdout.dropped, outcome.stdout.inline), (0, None));
    assert_eq!(outcome.stdout.bytes, u64::try_from(expected.len())?);
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_all_that_it_asked_for_a_task_does_not_run() -> Result<()> {
    let stage = Stage::set().await?;
    let config = config(
        &stage,
        &[("token", file(&stage, "token", 0o600)), ("open", file(&stage, "open", 0o644))],
    );
    let node = stage.node_with(config).await?;
    let ran = stage.folder.path().join("ran");
    let line = format!("touch {}", ran.display());
    for (names, code, message) in [
        (["token", "foreign"], ErrorCode::CredentialUnknown, "names no credential foreign"),
        (["token", "open"], ErrorCode::CredentialUnavailable, "credential open (file:PATH)"),
    ] {
        let task = stage.plane.submit(&with(&names, &line)).await?;
        let outcome = stage.plane.outcome(&task).await?;
        let fault = outcome.fault.context("no fault")?;
        assert_eq!((outcome.verdict, fault.code), (Verdict::Failed, code));
        assert!(fault.message.contains(message), "{fault}");
    }
    assert!(!ran.exists());
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn however_a_run_ends_its_credentials_are_gone_with_it() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node_with(config(&stage, &[("t", file(&stage, "token", 0o600))])).await?;
    let seen = stage.folder.path().join("seen");
    let tell = format!("echo $CREDENTIALS_DIRECTORY > {}", seen.display());
    let folder = || PathBuf::from(fs::read_to_string(&seen).unwrap_or_default().trim());
    for (line, verdict) in [
        ("true", Verdict::Succeeded),
        ("exit 3", Verdict::Failed),
        ("kill -9 $$", Verdict::Failed),
        ("sleep 600", Verdict::TimedOut),
        ("(setsid sleep 600 &) ; sleep 600", Verdict::Cancelled),
    ] {
        fs::write(&seen, "")?;
        let mut spec = with(&["t"], &format!("{tell}; {line}"));
        spec.time_limit_ms = (verdict == Verdict::TimedOut).then_some(500);
        let task = stage.plane.submit(&spec).await?;
        eventually(SOON, || async { folder().is_absolute() }).await?;
        if verdict == Verdict::Cancelled {
            assert!(folder().join("t").exists());
            stage.plane.cancel(&task).await?;
        }
        assert_eq!(stage.plane.outcome(&task).await?.verdict, verdict, "{line}");
        assert!(!folder().exists(), "{line}");
        assert!(folder().parent().is_some_and(Path::exists), "{line}");
    }
    node.stop().await?;
    assert!(!folder().parent().is_some_and(Path::exists));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_node_left_is_gone_after_its_next_start() -> Result<()> {
    let stage = Stage::set().await?;
    let config = config(&stage, &[("t", file(&stage, "token", 0o600))]);
    let Process { node, memory } = process(&stage, &config, &[]).await?;
    let seen = stage.folder.path().join("seen");
    let line = format!("echo $CREDENTIALS_DIRECTORY > {}; sleep 600", seen.display());
    stage.plane.submit(&with(&["t"], &line)).await?;
    let folder = || PathBuf::from(fs::read_to_string(&seen).unwrap_or_default().trim());
    eventually(SOON, || async { folder().join("t").exists() && folder().is_absolute() }).await?;
    node.kill()?;
    assert!(folder().starts_with(memory.path()) && folder().join("t").exists());
    drop(node);
    let again = process_in(&stage, &config, &memory, &[]).await?;
    assert!(!folder().parent().is_some_and(Path::exists));
    drop(again);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_own_variables_and_unit_are_for_runs_that_ask() -> Result<()> {
    let stage = Stage::set().await?;
    let unit = stage.folder.path().join("unit");
    fs::create_dir(&unit)?;
    fs::write(unit.join("db"), "from systemd")?;
    let references = [
        ("v", "env:API_TOKEN".to_owned()),
        ("l", "env:LANG".to_owned()),
        ("s", "systemd-cred:db".to_owned()),
    ];
    let variables = [
        format!("API_TOKEN={TOKEN}"),
        "LANG=not-a-language".to_owned(),
        format!("CREDENTIALS_DIRECTORY={}", unit.display()),
    ];
    let node = process(&stage, &config(&stage, &references), &variables).await?;
    let line = "cd $CREDENTIALS_DIRECTORY; cat v; echo; cat l; echo; cat s; echo; \
                env | grep -c -e tok -e not-a -e API -e LANG";
    let task = stage.plane.submit(&with(&["v", "l", "s"], line)).await?;
    let outcome = stage.plane.outcome(&task).await?;
    let expected = "[credential v]\n[credential l]\n[credential s]\n0\n";
    assert_eq!(stdout(&outcome), expected, "{outcome:?}");
    drop(node);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_node_nor_a_run_leaves_a_core_dump() -> Result<()> {
    let stage = Stage::set().await?;
    let config = config(&stage, &[("t", file(&stage, "token", 0o600))]);
    let node = process(&stage, &config, &[]).await?;
    let line = "ulimit -Hc; ulimit -c unlimited 2>/dev/null && echo raised; \
                sh -c 'kill -SEGV $$'; ls";
    let task = stage.plane.submit(&with(&["t"], line)).await?;
    let outcome = stage.plane.outcome(&task).await?;
    assert_eq!(stdout(&outcome), "0\n", "{outcome:?}");
    let pid = node.node.pid().context("the node is gone")?;
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let words: Vec<_> = core.context("no limit")?.split_whitespace().collect();
    assert_eq!(words[4..6], ["1", "1"], "{words:?}");
    drop(node);
    Ok(())
}

/// The code blocks of the guide in one language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let block = |rest: &'static str| rest.split_once("```").map_or(rest, |(block, _)| block);
    GUIDE.split(&fence).skip(1).map(block).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_example_works() -> Result<()> {
    let stage = Stage::set().await?;
    let folder = stage.folder.path().join("srv");
    fs::create_dir(&folder)?;
    let install = blocks("sh").concat();
    let made =
        std::process::Command::new("sh").args(["-ec", &install]).current_dir(&folder).status()?;
    assert!(made.success());
    let settings = blocks("toml").concat().replace("id = \"builder\"", "id = \"n1\"");
    let settings = settings.replace("/srv/builder", folder.to_str().context("it is text")?);
    let guide: NodeConfig = toml::from_str(&settings)?;
    guide.check()?;
    let mut config = stage.config();
    (config.manifest, config.credential_sources) = (guide.manifest, guide.credential_sources);
    let node = stage.node_with(config).await?;
    let task = stage.plane.submit(&serde_json::from_str(&blocks("json").concat())?).await?;
    let outcome = stage.plane.outcome(&task).await?;
    assert_eq!(stdout(&outcome), blocks("text").concat().trim_end(), "{outcome:?}");
    node.stop().await
}
