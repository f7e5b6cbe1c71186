//! Specifications that are signed well and make no sense, and tasks that nobody may or can run.

use anyhow::Result;
use cortex_tests::{Login, eventually_some};
use schemas::ErrorCode::{self, NoSuchNode, SpecInvalid, TaskNotPermitted};
use schemas::protocol::SPEC_BYTES_MAX;
use serde_json::json;

use crate::cose::{self, Key};
use crate::people::{ALICE, TRENT};
use crate::stage::{ASKER, Ask, DEADLINE, Stage, check, no, registration, registry, scheduler};

/// A request that is signed and handed in by `login`.
fn submit(stage: &Stage, login: &Login, (audience, spec): (&str, &str)) -> Result<Ask> {
    let envelope = Key::owner(login)?.request(&cose::request(login, audience, spec));
    Ok(scheduler("submit", stage.submission(login, &envelope)?).by(&login.principal))
}

async fn refused(
    stage: &Stage,
    (audience, spec): (&str, &str),
    (code, says): (ErrorCode, &'static str),
) -> Result<()> {
    let ask = submit(stage, &stage.login, (audience, spec))?;
    check(stage, ask, no(code, says)).await.map(drop)
}

#[tokio::test]
async fn a_specification_that_makes_no_sense_is_named() -> Result<()> {
    let stage = Stage::enter().await?;
    let command = |rest: &str| format!(r#"{{"work":{{"kind":"command",{rest}}}}}"#);
    let echo = |rest: &str| format!(r#"{{"work":{{"kind":"echo"}},{rest}}}"#);
    let text = "x".repeat(SPEC_BYTES_MAX);
    for (spec, says) in [
        ("", "missing field `work`"),
        ("{", "EOF while parsing"),
        ("[]", "an array is no message"),
        ("{}", "missing field `work`"),
        (r#"{"work":{"kind":"teleport"}}"#, "unknown variant `teleport`"),
        (r#"{"work":["echo","hi"]}"#, "sequence"),
        (r#"{"work":{"argv":["true"]}}"#, "missing field `kind`"),
        (r#"{"work":{"kind":"echo","text":7}}"#, "integer `7`"),
        (r#"{"work":{"kind":"echo"},"works":1}"#, "unknown field `works`"),
        (r#"{"work":{"kind":"echo"},"work":{"kind":"echo"}}"#, "duplicate field `work`"),
        (r#"{"work":{"kind":"echo","text":"a","text":"b"}}"#, "text"),
        (&command(r#""argv":[]"#), "argv names no program"),
        (&command(r#""argv":[""]"#), "argv names no program"),
        (&command(r#""argv":["true","a\u0000b"]"#), "must not hold NUL"),
        (&command(r#""argv":["true"],"cwd":"/\u0000""#), "must not hold NUL"),
        (&command(r#""argv":["true"],"env":{"A=B":"c"}"#), "a name in env is empty or holds ="),
        (&command(r#""argv":["true"],"env":{"":"c"}"#), "a name in env is empty or holds ="),
        (&command(r#""argv":["true"],"env":{"A":"1","A":"2"}"#), "duplicate key \"A\""),
        (&command(r#""argv":"true""#), "string \"true\""),
        (&echo(r#""time_limit_ms":0"#), "time_limit_ms must be 1 to 86400000"),
        (&echo(r#""time_limit_ms":86400001"#), "time_limit_ms must be 1 to 86400000"),
        (&echo(r#""time_limit_ms":-1"#), "integer `-1`"),
        (&echo(r#""output_limit_bytes":1073741825"#), "output_limit_bytes must be at most 1 GiB"),
        (&echo(r#""properties":["magic"]"#), "unknown variant `magic`"),
        (&format!(r#"{{"work":{{"kind":"echo","text":"{text}"}}}}"#), "the limit is 16384"),
        (&format!(r#"{{"a":{}{}"#, "[".repeat(9), "]".repeat(9)), "nested deeper than 8 levels"),
    ] {
        refused(&stage, ("node:local", spec), (SpecInvalid, says)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn nobody_waits_for_a_node_that_is_not_there_or_may_not_be_asked() -> Result<()> {
    let stage = Stage::enter().await?;
    let echo = r#"{"work":{"kind":"echo"}}"#;
    refused(&stage, ("node:nowhere", echo), (NoSuchNode, "there is no node nowhere")).await?;
    // Somebody else's agent, which accepts nobody, not even those who see everything.
    stage.granted(&registry("register", registration("closed").to_string())).await?;
    let (user, auditor) = (stage.cortex.people.login(ALICE)?, stage.cortex.people.login(TRENT)?);
    let closed = ("node:closed", echo);
    // The scheduler hears of the agent a moment later.
    eventually_some(DEADLINE, || async {
        let answer = stage.send(&submit(&stage, &user, closed).ok()?).await.ok()?;
        let text = String::from_utf8_lossy(&answer.payload).into_owned();
        (!text.contains("NO_SUCH_NODE")).then_some(())
    })
    .await?;
    for (login, reason) in [
        (user, "the manifest of closed does not name alice"),
        (auditor, "the manifest of closed does not name trent"),
    ] {
        let denied = no(TaskNotPermitted, reason);
        let fault = check(&stage, submit(&stage, &login, closed)?, denied).await?;
        assert!(!format!("{fault:?}").contains(ASKER), "it says whose it is: {fault:?}");
        let can = json!({ "from": login.principal, "to": "closed" }).to_string();
        let answer = stage.granted(&registry("can-task", can)).await?;
        assert_eq!(answer["allowed"], false);
        assert!(answer["reasons"][0].as_str().unwrap_or_default().contains(reason), "{answer}");
    }
    Ok(())
}
