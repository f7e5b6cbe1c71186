//! Where a command's words come from and its output goes to: readers that leave, words that are no
//! text, terminals that shall not be coloured.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use anyhow::Result;
use cortex_tests::CommandOutput;

use crate::stage::{Stage, registration, registry};

/// Runs a line of the shell in which `$CORTEX` is the command.
async fn shell(stage: &Stage, line: &str) -> Result<CommandOutput> {
    let cortex = stage.cortex.command::<&str>(&[]);
    let mut command = tokio::process::Command::new("bash");
    command.args(["-o", "pipefail", "-c", line]).env("CORTEX", cortex.as_std().get_program());
    command.env("CORTEX_HOME", stage.cortex.home()).stdin(Stdio::null());
    Ok(command.output().await?.into())
}

#[tokio::test]
async fn a_reader_that_has_enough_is_no_failure() -> Result<()> {
    let stage = Stage::enter().await?;
    for _ in 0..3 {
        let run = stage.run(&["run", "--on", "local", "--", "true"]).await?;
        assert_eq!(run.code, 0, "{run:?}");
    }
    for line in [
        "$CORTEX task ls | head -1",
        "$CORTEX explain | head -1",
        "$CORTEX completion bash | head -1",
        "$CORTEX task ls -o json | head -c 1",
        "$CORTEX --help | head -1",
        "$CORTEX events scheduler | head -1",
        "$CORTEX run --on local -- seq 200000 | head -1",
    ] {
        let output = shell(&stage, line).await?;
        assert!(!output.stderr.contains("panicked"), "{line}: {output:?}");
        assert!(matches!(output.code, 0 | 141), "{line}: {output:?}");
        assert!(output.stderr.is_empty(), "{line}: {output:?}");
    }
    Ok(())
}

#[tokio::test]
async fn closed_and_full_outputs_are_no_panic() -> Result<()> {
    let stage = Stage::enter().await?;
    for (line, code) in [
        ("$CORTEX agent ls >/dev/full", 1),
        ("$CORTEX agent show nobody 2>/dev/full", 3),
        ("$CORTEX agent show nobody 2>&-", 3),
        ("$CORTEX agent ls <&-", 0),
    ] {
        let output = shell(&stage, line).await?;
        assert_eq!(output.code, code, "{line}: {output:?}");
        assert!(!output.stderr.contains("panicked"), "{line}: {output:?}");
    }
    Ok(())
}

#[tokio::test]
async fn words_that_are_no_text_are_refused_and_shown() -> Result<()> {
    let stage = Stage::enter().await?;
    let bad = OsStr::from_bytes(b"\xff\xfe");
    for words in [
        vec!["agent".as_ref(), "show".as_ref(), bad],
        vec![bad],
        vec!["--context".as_ref(), bad, "agent".as_ref(), "ls".as_ref()],
        vec!["run".as_ref(), "--on".as_ref(), bad, "--".as_ref(), "true".as_ref()],
        vec!["run".as_ref(), "--on".as_ref(), "local".as_ref(), "--".as_ref(), bad],
        vec!["-o".as_ref(), "json".as_ref(), "agent".as_ref(), "show".as_ref(), bad],
    ] {
        let output = stage.cortex.cortex::<&OsStr>(&words).await?;
        assert_eq!(output.code, 2, "{words:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{words:?}: {output:?}");
        assert!(!output.stderr.contains("panicked"), "{words:?}: {output:?}");
    }
    Ok(())
}

#[tokio::test]
async fn colours_are_for_terminals_that_want_them() -> Result<()> {
    let stage = Stage::enter().await?;
    let listed = stage.run(&["agent", "ls"]).await?;
    assert!(!listed.stdout.contains('\u{1b}'), "{listed:?}");
    // `script` gives the command a terminal.
    let has_script = shell(&stage, "command -v script").await?.code == 0;
    if !has_script {
        println!("skipped on a terminal: there is no script(1) here");
        return Ok(());
    }
    for (variables, expected) in [("TERM=xterm", true), ("TERM=xterm NO_COLOR=1", false)] {
        let line = format!("{variables} script -qec \"$CORTEX agent ls\" /dev/null");
        let output = shell(&stage, &line).await?;
        assert_eq!(output.stdout.contains("\u{1b}["), expected, "{variables}: {output:?}");
    }
    Ok(())
}

/// Whoever names an agent or a task could otherwise write to the terminals of those who list it.
#[tokio::test]
async fn what_others_wrote_cannot_steer_a_terminal() -> Result<()> {
    let stage = Stage::enter().await?;
    stage.granted(&registry("register", registration("steering").to_string())).await?;
    let escape = "\u{1b}[2J\u{7}";
    let details = serde_json::json!({
        "id": "steering", "status": "degraded", "details": { "why": escape },
    });
    stage.granted(&registry("update-status", details.to_string())).await?;
    let echo = stage.run(&["run", "--detach", "--on", "local", "--", "echo", escape]).await?;
    assert_eq!(echo.code, 0, "{echo:?}");
    for words in [
        &["agent", "show", "steering"][..],
        &["agent", "ls", "-o", "wide"],
        &["task", "ls"],
        &["task", "show", echo.stdout.trim()],
        &["events", "registry"],
        &["agent", "show", escape],
    ] {
        let output = stage.run(words).await?;
        let both = output.stdout + &output.stderr;
        assert!(!both.contains('\u{1b}') && !both.contains('\u{7}'), "{words:?}: {both:?}");
    }
    Ok(())
}
