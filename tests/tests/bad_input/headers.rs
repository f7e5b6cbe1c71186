//! Headers that are wrong: another protocol, a command that is late, early, unnamed or named twice.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use schemas::ErrorCode::{
    CommandExpired, CommandIdReused, InvalidId, InvalidValue, ProtocolMismatch,
};

use crate::people::ALICE;
use crate::stage::{Ask, Stage, check, no, registration, registry, scheduler};

const PROTOCOL: &str = "Cortex-Protocol";
const COMMAND_ID: &str = "Cortex-Command-Id";
const NOT_AFTER: &str = "Cortex-Not-After";

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

fn announce(id: &str) -> Ask {
    registry("register", registration(id).to_string())
}

#[tokio::test]
async fn headers_that_make_no_sense_are_named() -> Result<()> {
    let stage = Stage::enter().await?;
    let long = "7".repeat(5000);
    let trace = no(InvalidValue, "header traceparent is no trace context")
        .with_hint("leave it out, or write it as W3C Trace Context says: 00-TRACE-PARENT-FLAGS");
    for (name, value, expected) in [
        (PROTOCOL, "2", no(ProtocolMismatch, "they speak protocol 2, this side speaks 1")),
        (PROTOCOL, "0", no(ProtocolMismatch, "they speak protocol 0")),
        (PROTOCOL, "one", no(InvalidValue, "header Cortex-Protocol is no number: \"one\"")),
        (PROTOCOL, "", no(InvalidValue, "header Cortex-Protocol is no number: \"\"")),
        (PROTOCOL, "-1", no(InvalidValue, "is no number: \"-1\"")),
        (PROTOCOL, "99999999999", no(InvalidValue, "is no number")),
        (NOT_AFTER, "soon", no(InvalidValue, "header Cortex-Not-After is no number: \"soon\"")),
        (NOT_AFTER, "1e3", no(InvalidValue, "is no number: \"1e3\"")),
        (NOT_AFTER, &long, no(InvalidValue, "is no number: \"7777")),
        (NOT_AFTER, "1000", no(CommandExpired, "register came")),
        (COMMAND_ID, "a.b", no(InvalidId, "header Cortex-Command-Id: \"a.b\" is not an id")),
        (COMMAND_ID, "", no(InvalidId, "it is empty")),
        (COMMAND_ID, "*", no(InvalidId, "only a-z, 0-9 and - may occur")),
        (COMMAND_ID, "caf\u{e9}", no(InvalidId, "only a-z, 0-9 and - may occur")),
        ("traceparent", "garbage", trace),
        ("traceparent", &long, trace),
        ("traceparent", "", trace),
    ] {
        check(&stage, announce("headers").header(name, value), expected).await?;
    }
    let (late, early) = ((now_ms() - 5000).to_string(), (now_ms() + 360_000).to_string());
    check(&stage, announce("headers").header(NOT_AFTER, late), no(CommandExpired, "not-after"))
        .await?;
    let too_far = no(InvalidValue, "not-after may lie at most 300 seconds ahead");
    check(&stage, announce("headers").header(NOT_AFTER, early), too_far).await?;
    Ok(())
}

#[tokio::test]
async fn headers_that_others_gave_a_meaning_change_nothing() -> Result<()> {
    let stage = Stage::enter().await?;
    let large = "x".repeat(100_000);
    for (name, value) in [
        ("X-Large", large.as_str()),
        ("Nats-Msg-Id", "1"),
        ("Nats-Expected-Last-Subject-Sequence", "garbage"),
        ("Nats-Rollup", "all"),
        ("Nats-Service-Error", "forged"),
        ("Cortex-Unheard-Of", "1"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ] {
        stage.granted(&announce("headers").header(name, value)).await?;
    }
    stage.granted(&announce("headers").header(PROTOCOL, "1")).await?;
    Ok(())
}

#[tokio::test]
async fn a_command_id_names_one_command() -> Result<()> {
    let stage = Stage::enter().await?;
    let first = announce("reused").header(COMMAND_ID, "reused-1");
    let answer = stage.granted(&first).await?;
    assert_eq!(stage.granted(&first).await?, answer, "the same again is the same");
    let says = "command reused-1 was another command before";
    for other in [
        announce("reused-too").header(COMMAND_ID, "reused-1"),
        registry("deregister", r#"{"id":"reused"}"#).header(COMMAND_ID, "reused-1"),
    ] {
        check(&stage, other, no(CommandIdReused, says)).await?;
    }
    // Another principal and another service have ids of their own.
    stage.granted(&announce("reused-2").by(ALICE).header(COMMAND_ID, "reused-1")).await?;
    let query = scheduler("get-tasks", "{}").header(COMMAND_ID, "reused-1");
    stage.granted(&query).await?;
    Ok(())
}
