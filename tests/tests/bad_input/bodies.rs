//! Bodies that are no message: broken JSON, other JSON, unknown fields, too much of it.

use anyhow::Result;
use schemas::ErrorCode::{
    self, InvalidValue, MalformedJson, NotAllowed, TooDeep, TooLarge, UnknownField,
};
use schemas::protocol::COMMAND_BYTES_MAX;

use crate::stage::{Ask, Stage, check, no, registry, scheduler};

/// What can be asked for instead of a bucket that does not exist.
const BUCKETS: &str = "its buckets are cortex_agents, cortex_principals";

#[tokio::test]
async fn what_is_no_json_object_is_named_as_that() -> Result<()> {
    let stage = Stage::enter().await?;
    for (body, code, says) in [
        (&b"{"[..], MalformedJson, "EOF while parsing an object at line 1"),
        (b"who can?", MalformedJson, "expected value at line 1 column 1"),
        (b"{\"capability\":\"a\"} x", MalformedJson, "trailing characters"),
        (b"{\"capability\":\"a\"}{}", MalformedJson, "trailing characters"),
        (b"{'capability':'a'}", MalformedJson, "key must be a string"),
        (b"{\"capability\":\"a\",}", MalformedJson, "trailing comma"),
        (b"{\"capability\":\"\xff\"}", MalformedJson, "invalid unicode"),
        (b"{\"capability\":\"\\ud800\"}", MalformedJson, "hex escape"),
        (b"{\"capability\":\"a\nb\"}", MalformedJson, "control character"),
        (b"\xef\xbb\xbf{\"capability\":\"a\"}", MalformedJson, "expected value"),
        (b"\0", MalformedJson, "expected value"),
        (b"[]", MalformedJson, "an array is no message"),
        (b"[\"shell.exec\",null,1]", MalformedJson, "an array is no message"),
        (b" \n[{}]", MalformedJson, "an array is no message"),
        (b"null", InvalidValue, "null"),
        (b"true", InvalidValue, "boolean"),
        (b"7", InvalidValue, "integer"),
        (b"\"shell.exec\"", InvalidValue, "string"),
        (b"1e400", MalformedJson, "number out of range"),
        (b"", InvalidValue, "missing field `capability`"),
    ] {
        check(&stage, registry("who-can", body), no(code, says)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn wrong_fields_are_named() -> Result<()> {
    let stage = Stage::enter().await?;
    for (ask, code, says) in [
        (registry("who-can", r#"{"capabilty":"a"}"#), UnknownField, "unknown field `capabilty`"),
        (
            registry("who-can", r#"{"capability":"a","x\u001b[31m":1}"#),
            UnknownField,
            "unknown field `x\u{fffd}[31m`",
        ),
        (
            registry("who-can", r#"{"capability":"a","capability":"b"}"#),
            InvalidValue,
            "duplicate field `capability`",
        ),
        (scheduler("get-tasks", r#"{"select":[null,"local"]}"#), InvalidValue, "sequence"),
        (scheduler("report", r#"{"outcome":["succeeded",0]}"#), InvalidValue, "sequence"),
        (registry("who-can", r#"{"capability":7}"#), InvalidValue, "integer `7`"),
        (registry("who-can", r#"{"capability":null}"#), InvalidValue, "null"),
        (registry("who-can", r#"{"capability":"a","limit":-1}"#), InvalidValue, "integer `-1`"),
        (registry("who-can", r#"{"capability":"a","limit":1.5}"#), InvalidValue, "1.5"),
        (
            registry("who-can", r#"{"capability":"a","limit":4294967296}"#),
            InvalidValue,
            "integer `4294967296`",
        ),
        (registry("who-can", r#"{"capability":"a","limit":0}"#), InvalidValue, "limit"),
        (registry("who-can", r#"{"capability":"a","limit":1001}"#), InvalidValue, "limit"),
        (
            registry("get-agents", r#"{"status":"sleepy"}"#),
            InvalidValue,
            "unknown variant `sleepy`",
        ),
        (registry("get-agents", r#"{"limit":0}"#), InvalidValue, "limit"),
        (registry("get-agents", r#"{"archived":"yes"}"#), InvalidValue, "string \"yes\""),
        (registry("events", r#"{"after":"x"}"#), InvalidValue, "x"),
        (scheduler("get-tasks", r#"{"select":{"states":"queued"}}"#), UnknownField, "`states`"),
        (
            scheduler("get-tasks", r#"{"select":{"state":"x"}}"#),
            InvalidValue,
            "unknown variant `x`",
        ),
        (scheduler("get-tasks", r#"{"after":"nowhere"}"#), InvalidValue, "after"),
        (scheduler("get-tasks", r#"{"limit":100000}"#), InvalidValue, "limit: must be 1 to 1000"),
        (scheduler("cancel", "{}"), InvalidValue, "name either id or select"),
        (scheduler("cancel", r#"{"id":"a","select":{}}"#), InvalidValue, "either id or select"),
        (scheduler("submit", r#"{"envelop":""}"#), UnknownField, "unknown field `envelop`"),
        (scheduler("start", r#"{"task":"a","epoch":1}"#), InvalidValue, "missing field `instance`"),
        (scheduler("report", r#"{"outcome":{"verdict":"good"}}"#), InvalidValue, "`good`"),
    ] {
        check(&stage, ask, no(code, says)).await?;
    }
    // Whoever may have it done is told that there is no such bucket, and everybody else nothing.
    let rebuild = registry("rebuild", r#"{"bucket":"cortex_agent"}"#);
    let may_not = no(NotAllowed, "making rows anew is for admins and operators");
    check(&stage, rebuild.clone(), may_not).await?;
    let unknown = no(InvalidValue, "cortex_agent").with_hint(BUCKETS);
    check(&stage, rebuild.by(&stage.login.principal), unknown).await.map(drop)
}

#[tokio::test]
async fn an_unknown_field_is_named_for_machines_too() -> Result<()> {
    let stage = Stage::enter().await?;
    let ask = registry("who-can", r#"{"capabilty":"a"}"#);
    let fault = check(&stage, ask, no(UnknownField, "`capabilty`")).await?;
    assert_eq!(fault.details["field"], "capabilty", "{fault:?}");
    Ok(())
}

#[tokio::test]
async fn size_and_depth_are_limited_before_anything_is_parsed() -> Result<()> {
    let stage = Stage::enter().await?;
    let padded = |bytes: usize| {
        let frame = r#"{"capability":"a.b"}"#;
        format!("{frame}{}", " ".repeat(bytes - frame.len()))
    };
    stage.granted(&registry("who-can", padded(COMMAND_BYTES_MAX))).await?;
    stage.granted(&registry("who-can", r#"{"capability":"a.b","from":null}"#)).await?;
    let deep = |levels: usize| format!("{}{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    for (ask, code, says) in [
        (padded(COMMAND_BYTES_MAX + 1), TooLarge, "65537 bytes, the limit is 65536"),
        (padded(1_000_000), TooLarge, "1000000 bytes, the limit is 65536"),
        ("[".repeat(COMMAND_BYTES_MAX), TooDeep, "nested deeper than 8 levels"),
        (r#"{"a":"#.repeat(10_000), TooDeep, "nested deeper than 8 levels"),
        (deep(9), TooDeep, "nested deeper than 8 levels"),
        (deep(8), UnknownField, "unknown field `a`"),
        (format!(r#"{{"{}":1}}"#, "a".repeat(60_000)), UnknownField, "aaaa ..."),
    ] {
        check(&stage, registry("who-can", &ask), no(code, says)).await?;
        check_submit(&stage, &ask, code).await?;
    }
    Ok(())
}

/// The limits are the same for every service and verb.
async fn check_submit(stage: &Stage, body: &str, code: ErrorCode) -> Result<()> {
    let ask: Ask = scheduler("submit", body);
    let code =
        if body.starts_with(r#"{"capability"#) && code != TooLarge { UnknownField } else { code };
    check(stage, ask, no(code, "")).await.map(drop)
}
