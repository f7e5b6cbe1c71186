//! Command lines that make no sense, and what a command says when Cortex says no.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context, Result, ensure};
use schemas::ErrorCode::{
    self, AgentNotFound, ConfigInvalid, EnvelopeMalformed, InvalidId, InvalidValue, KeyNotValid,
    MalformedJson, NoSuchNode, NotRunning, PermissionDenied, SpecInvalid, TaskNotFound, TooLarge,
    UnknownField, Unreachable, Unsigned,
};
use schemas::Fault;
use serde_json::Value;

use crate::stage::{Refusal, Stage, no};

/// The broker lets nobody hear the answers of somebody else.
const EVE: &str = "the broker does not let eve use _INBOX.eve.";

/// Words of a command line.
type Words<'a> = &'a [&'a str];

/// The one check of this promise on the command line: code, message and hint on standard error, as
/// text and as JSON; nothing on standard output; the exit code of the sort of failure.
async fn check(stage: &Stage, words: Words<'_>, expected: Refusal) -> Result<()> {
    let Refusal { code, says, hint } = expected;
    let exit = i32::from(code.class().exit_code());
    let text = stage.run(words).await?;
    let shown = format!("cortex {words:?}: {text:?}");
    ensure!(text.code == exit && text.stdout.is_empty(), "{shown}\nexpected exit {exit}");
    let lines: Vec<&str> = text.stderr.lines().collect();
    ensure!(text.stderr.contains(says), "{shown}\nexpected {says:?}");
    ensure!(text.stderr.starts_with(&format!("error {code}: ")), "{shown}\nexpected {code}");
    ensure!(
        lines.get(1..) == Some(&[format!("hint: {hint}").as_str()]),
        "{shown}\nexpected {hint:?}"
    );
    let fault = as_json(stage, words, exit).await?;
    ensure!(fault.code == code && fault.message.contains(says), "{shown}\nas JSON {fault:?}");
    ensure!(fault.hint == hint, "{shown}\nas JSON {fault:?}");
    Ok(())
}

/// As [`check`], for a command line that does not parse: its text is that of every such tool.
async fn check_usage(stage: &Stage, words: Words<'_>, says: &str) -> Result<()> {
    let text = stage.run(words).await?;
    let shown = format!("cortex {words:?}: {text:?}");
    ensure!(text.code == 2 && text.stdout.is_empty(), "{shown}\nexpected exit 2");
    ensure!(text.stderr.starts_with("error: ") && text.stderr.contains(says), "{shown}\n{says:?}");
    ensure!(text.stderr.contains("try '--help'"), "{shown}\nnothing is proposed");
    let fault = as_json(stage, words, 2).await?;
    ensure!(fault.code == InvalidValue && fault.message.contains(says), "{shown}\n{fault:?}");
    ensure!(fault.hint == "`--help` shows how", "{shown}\n{fault:?}");
    Ok(())
}

async fn as_json(stage: &Stage, words: Words<'_>, exit: i32) -> Result<Fault> {
    let words = [&["-o", "json"], words].concat();
    let json = stage.run(&words).await?;
    ensure!(json.code == exit && json.stdout.is_empty(), "cortex {words:?}: {json:?}");
    let mut said: Value = serde_json::from_str(&json.stderr)
        .with_context(|| format!("cortex {words:?} does not fail in JSON: {json:?}"))?;
    Ok(serde_json::from_value(said["error"].take())?)
}

#[tokio::test]
async fn a_command_line_that_does_not_parse_says_where() -> Result<()> {
    let stage = Stage::enter().await?;
    let cases: [(Words<'_>, &str); 26] = [
        (&["frobnicate"], "unrecognized subcommand 'frobnicate'"),
        (&["agent", "frobnicate"], "unrecognized subcommand 'frobnicate'"),
        (&["agent", "ls", "--frob"], "unexpected argument '--frob' found"),
        (&["agent", "ls", "extra"], "unexpected argument 'extra' found"),
        (&["agent", "show"], "required arguments were not provided"),
        (&["run", "--on"], "a value is required for '--on <NODE>'"),
        (&["run", "--on", "local"], "required arguments were not provided"),
        (&["run", "--on", "local", "--"], "required arguments were not provided"),
        (&["run", "--", "true"], "--on <NODE>"),
        (&["run", "--on", "local", "--can", "a.b", "--", "true"], "cannot be used with"),
        (&["run", "--on", "a.b", "--", "true"], "\"a.b\" is not an id"),
        (&["run", "--can", "a b", "--", "true"], "\"a b\" is not a capability"),
        (&["run", "--on", "local", "--timeout", "5x", "--", "true"], "\"5x\" is no duration"),
        (&["run", "--on", "local", "--timeout", "5", "--", "true"], "\"5\" is no duration"),
        (&["run", "--on", "local", "--timeout=-1s", "--", "true"], "\"-1s\" is no duration"),
        (
            &["run", "--on", "local", "--timeout", "99999999999999999999s", "--", "true"],
            "is no duration: write for example 500ms, 30s, 5m, 2h or 1d",
        ),
        (&["run", "--on", "local", "-e", "NAME", "--", "true"], "\"NAME\" is no KEY=VALUE"),
        (&["run", "--on", "local", "--require", "magic", "--", "true"], "unknown variant `magic`"),
        (&["task", "ls", "--state", "asleep"], "unknown variant `asleep`"),
        (&["task", "ls", "--limit", "0"], "0 is not in 1.."),
        (&["task", "logs", "0", "--stream", "stdin"], "it is stdout or stderr"),
        (&["task", "cancel"], "required arguments were not provided"),
        (&["task", "cancel", "0", "--all"], "cannot be used with"),
        (&["who-can", ""], "\"\" is not a capability"),
        (&["--as", "*", "agent", "ls"], "\"*\" is not an id: only a-z, 0-9 and - may occur"),
        (&["up", "--nats-port", "65536"], "65536 is not in 0..=65535"),
    ];
    for (words, says) in cases {
        check_usage(&stage, words, says).await?;
    }
    let form = stage.run(&["-o", "xml", "agent", "ls"]).await?;
    assert!(form.code == 2 && form.stderr.contains("table, wide, json, yaml, name"), "{form:?}");
    stage.still_serves().await
}

#[tokio::test]
async fn what_cortex_refuses_has_code_message_and_hint() -> Result<()> {
    let stage = Stage::enter().await?;
    let own = |code: ErrorCode, says| no(code, says);
    let buckets = "there are cortex_agents, cortex_principals, cortex_tasks, cortex_envelopes";
    let owner = stage.login.principal.clone();
    let cases: [(Words<'_>, Refusal); 16] = [
        (&["run", "--on", "nowhere", "--", "true"], own(NoSuchNode, "there is no node nowhere")),
        (&["run", "--on", "local", "--", ""], own(SpecInvalid, "argv names no program")),
        (
            &["run", "--on", "local", "--timeout", "25h", "--", "true"],
            own(SpecInvalid, "time_limit_ms must be 1 to 86400000"),
        ),
        (
            &["run", "--on", "local", "--timeout", "0s", "--", "true"],
            own(SpecInvalid, "time_limit_ms must be 1 to 86400000"),
        ),
        (
            &["run", "--on", "local", "--expires-in", "31d", "--", "true"],
            own(ErrorCode::LifetimeTooLong, "the limit is 2592000 s"),
        ),
        (
            &["run", "--on", "local", "-e", "A=1", "-e", "A=2", "--", "true"],
            own(InvalidValue, "A is given twice"),
        ),
        (&["--as", "eve", "run", "--on", "local", "--", "true"], own(PermissionDenied, EVE)),
        (&["task", "show", "ffffffffffff"], own(TaskNotFound, "begins with ffffffffffff")),
        (&["task", "show", "a*"], own(InvalidId, "\"a*\" is not an id")),
        (&["task", "cancel", "ffffffffffff"], own(TaskNotFound, "begins with ffffffffffff")),
        (&["agent", "show", "nobody"], own(AgentNotFound, "nobody is not registered")),
        (&["can-task", &owner, "nobody"], own(AgentNotFound, "nobody is not registered")),
        (
            &["rebuild", "cortex_nothing"],
            own(InvalidValue, "no bucket \"cortex_nothing\"").with_hint(buckets),
        ),
        (
            &["explain", "NOPE"],
            own(InvalidValue, "no error code \"NOPE\"").with_hint("`cortex explain` lists them"),
        ),
        (&["--as", "eve", "agent", "rm", "local"], own(PermissionDenied, EVE)),
        (&["ctx", "add", "a.b", "--url", "nats://h"], own(InvalidId, "the name of a context")),
    ];
    let heads = stage.heads().await?;
    for (words, expected) in cases {
        check(&stage, words, expected).await?;
    }
    for principal in [owner.as_str(), "eve"] {
        let recorded = stage.recorded(heads, principal).await?;
        assert!(recorded.is_empty(), "{recorded:?}");
    }
    stage.still_serves().await
}

#[tokio::test]
async fn contexts_addresses_and_keys_that_are_wrong_are_named() -> Result<()> {
    let stage = Stage::enter().await?;
    let places = tempfile::tempdir()?;
    let file = |name: &str, text: &str| -> Result<String> {
        let path = places.path().join(name);
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let (empty, broken) = (file("empty", "")?, file("broken", "{ \"format\": 7 }")?);
    let plane = stage.cortex.home().join("config/keys/scheduler.key").display().to_string();
    let missing = places.path().join("missing").display().to_string();
    let contexts = stage.cortex.home().join("config/contexts");
    fs::write(contexts.join("torn.toml"), "url = \"nats://h\"\npasswrd = \"hunter2\"\n")?;
    fs::write(contexts.join("torn-too.toml"), "password = \"hunter2")?;
    for (name, key) in
        [("k-empty", &empty), ("k-broken", &broken), ("k-plane", &plane), ("k-missing", &missing)]
    {
        let url = stage.login.url.as_str();
        let added = ["ctx", "add", name, "--url", url, "--cluster", "c", "--key", key];
        assert_eq!(stage.run(&added).await?.code, 0);
    }
    let remake = "restore it, or remove it to have a new one made";
    let paths = "check that the path exists and that you may use it";
    let others = "`cortex ctx ls` shows them; `cortex up` makes one named local";
    let sign = |context| ["--context", context, "task", "sign", "--on", "local", "--", "true"];
    let cases: [(Words<'_>, Refusal); 14] = [
        (&["--context", "nope", "agent", "ls"], bad("there is no context nope").with_hint(others)),
        (&["--context", "../x", "agent", "ls"], no(InvalidId, "\"../x\" is not an id")),
        (&["ctx", "select", "nope"], bad("there is no context nope").with_hint(others)),
        (&["ctx", "show", "nope"], bad("there is no context nope").with_hint(others)),
        (&["--context", "torn", "agent", "ls"], bad("unknown field `passwrd`")),
        (&["--context", "torn-too", "agent", "ls"], bad("torn-too.toml does not parse")),
        (&["--url", "foo://x y", "agent", "ls"], bad("is no address of a broker")),
        (&["--url", "", "agent", "ls"], bad("is no address of a broker")),
        (&["--url", "nats://127.0.0.1:65536", "agent", "ls"], bad("invalid port number")),
        (&["--url", "nats://[::1", "agent", "ls"], bad("is no address of a broker")),
        (&sign("k-empty"), bad("not a cortex-secret-key-v1 file").with_hint(remake)),
        (&sign("k-broken"), bad("line 1, column").with_hint(remake)),
        (&sign("k-missing"), bad("No such file or directory").with_hint(paths)),
        (&sign("k-plane"), no(KeyNotValid, "a scheduler key cannot sign")),
    ];
    for (words, expected) in cases {
        check(&stage, words, expected).await?;
        let said = stage.run(words).await?;
        assert!(!said.stderr.contains("hunter2"), "{said:?}");
    }
    Ok(())
}

fn bad(says: &'static str) -> Refusal {
    no(ConfigInvalid, says)
}

#[tokio::test]
async fn a_file_that_is_no_request_is_refused_before_it_is_sent() -> Result<()> {
    let stage = Stage::enter().await?;
    let places = tempfile::tempdir()?;
    let large = format!("{{\"envelope\":\"{}\"}}", "A".repeat(70_000));
    let paths = "check that the path exists and that you may use it";
    for (text, expected) in [
        ("", no(Unsigned, "the request has no envelope")),
        ("{", no(MalformedJson, "EOF while parsing an object")),
        ("[]", no(MalformedJson, "an array is no message")),
        ("{\"envelop\":1}", no(UnknownField, "unknown field `envelop`")),
        ("{}", no(Unsigned, "the request has no envelope")),
        ("{\"envelope\":\"?\"}", no(EnvelopeMalformed, "the envelope is not base64")),
        ("{\"envelope\":\"0oRD\"}", no(EnvelopeMalformed, "strict form of CBOR")),
        (&large, no(TooLarge, "the limit is 65536")),
    ] {
        let path = places.path().join("request");
        fs::write(&path, text)?;
        check(&stage, &["task", "submit", &path.display().to_string()], expected).await?;
    }
    let directory = places.path().display().to_string();
    check(&stage, &["task", "submit", "/nonexistent"], bad("No such file").with_hint(paths))
        .await?;
    check(&stage, &["task", "submit", &directory], bad("Is a directory").with_hint(paths)).await?;
    stage.still_serves().await
}

/// Nobody waits long for a broker that is not there.
#[tokio::test]
async fn a_broker_that_is_down_is_one_line_and_exit_code_5() -> Result<()> {
    let stage = Stage::enter().await?;
    let refused = no(Unreachable, "no broker answers at nats://127.0.0.1:1: ");
    for words in [&["agent", "ls"][..], &["run", "--on", "local", "--", "true"]] {
        let words = [&["--url", "nats://127.0.0.1:1"], words].concat();
        check(&stage, &words, refused).await?;
    }
    let elsewhere = tempfile::tempdir()?;
    let mut command = stage.cortex.command(&["agent", "ls"]);
    let output = command.env("CORTEX_HOME", elsewhere.path()).output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(
        said.starts_with(&format!("error {NotRunning}: there is no context yet\nhint: ")),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn a_home_that_cannot_be_used_is_named() -> Result<()> {
    let stage = Stage::enter().await?;
    let places = tempfile::tempdir()?;
    let file = places.path().join("file");
    fs::write(&file, "")?;
    let mut permissions = fs::metadata(&file)?.permissions();
    permissions.set_mode(0o400);
    fs::set_permissions(&file, permissions)?;
    for (home, words) in [
        (file.as_os_str(), &["up", "--no-node", "--nats-port", "0"][..]),
        (file.as_os_str(), &["ctx", "add", "x", "--url", "nats://h"]),
        ("relative/home".as_ref(), &["agent", "ls"]),
        ("".as_ref(), &["ctx", "show", "nope"]),
    ] {
        let mut command = stage.cortex.command(words);
        let output = command.env("CORTEX_HOME", home).env("HOME", places.path()).output().await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code();
        assert!(
            matches!(code, Some(2 | 5)) && said.starts_with("error "),
            "{words:?} {code:?}: {said}"
        );
        assert!(!said.contains("panicked"), "{said}");
    }
    Ok(())
}
