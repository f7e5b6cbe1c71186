//! Registrations, statuses and heartbeats that make no sense or are somebody else's.

use anyhow::Result;
use schemas::ErrorCode::{
    self, AgentIdTaken, AgentNotFound, InvalidCapability, InvalidId, InvalidManifest, InvalidValue,
    NotAllowed, ProtocolMismatch, UnknownField,
};
use serde_json::{Value, json};

use crate::people::{ALICE, TRENT};
use crate::stage::{Refusal, Stage, check, no, registration, registry};

/// A registration of `agent` with `fields` added to its manifest.
fn with(fields: &Value) -> String {
    let mut body = registration("manifest");
    for (key, value) in fields.as_object().into_iter().flatten() {
        body["manifest"][key] = value.clone();
    }
    body.to_string()
}

#[tokio::test]
async fn an_invalid_manifest_is_refused_with_the_field() -> Result<()> {
    let stage = Stage::enter().await?;
    let many = |count: usize| (0..count).map(|n| (format!("k{n}"), json!("v")));
    let table = |count: usize| Value::Object(many(count).collect());
    let tools: Vec<String> = (0..513).map(|n| format!("tool-{n}")).collect();
    let people: Vec<String> = (0..129).map(|n| format!("p{n}")).collect();
    for (fields, says) in [
        (json!({ "name": "" }), "name is empty"),
        (json!({ "name": "x".repeat(257) }), "name is longer than 256 bytes"),
        (json!({ "name": "a\u{1b}[2J" }), "name holds a control character"),
        (json!({ "role": "" }), "role is empty"),
        (json!({ "role": "two words" }), "role must be one word"),
        (json!({ "location": "" }), "location is empty"),
        (json!({ "endpoint": "http://a\nb" }), "endpoint holds a control character"),
        (json!({ "heartbeat_interval": 0 }), "heartbeat_interval must be 1 to 3600 seconds"),
        (json!({ "heartbeat_interval": 3601 }), "heartbeat_interval must be 1 to 3600 seconds"),
        (json!({ "limits": { "max_tasks": 0 } }), "limits.max_tasks must be at least 1"),
        (json!({ "limits": { "cpu_percent": 0 } }), "limits.cpu_percent must be 1 to 100"),
        (json!({ "limits": { "memory_percent": 101 } }), "limits.memory_percent must be 1 to 100"),
        (json!({ "capabilities": { "tools": tools } }), "capabilities has 513 entries"),
        (json!({ "can_task": people }), "has 129 entries, the limit is 128"),
        (json!({ "labels": table(129) }), "labels has 129 entries, the limit is 128"),
        (json!({ "labels": { "": "v" } }), "labels is empty"),
        (json!({ "labels": { "a": "" } }), "labels.a is empty"),
        (json!({ "labels": { "a": "x\ty" } }), "labels.a holds a control character"),
    ] {
        check(&stage, registry("register", with(&fields)), no(InvalidManifest, says)).await?;
    }
    Ok(())
}

/// What somebody put where a reference belongs may be the secret itself.
#[tokio::test]
async fn a_secret_in_a_manifest_is_refused_and_not_repeated() -> Result<()> {
    let stage = Stage::enter().await?;
    let secret = "hunter2-hunter2";
    let body = with(&json!({ "credentials": { "token": secret } }));
    let expected = no(InvalidManifest, "credentials.token must be a reference: keychain:");
    let fault = check(&stage, registry("register", body), expected).await?;
    assert!(!format!("{fault:?}").contains(secret), "{fault:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_no_manifest_at_all_is_refused() -> Result<()> {
    let stage = Stage::enter().await?;
    let twice = r#"{"manifest":{"id":"a","name":"a","role":"r","labels":{"k":"1","k":"2"}}}"#;
    for (body, code, says) in [
        ("{}".to_owned(), InvalidValue, "missing field `manifest`"),
        (r#"{"manifest":{}}"#.to_owned(), InvalidValue, "missing field `id`"),
        (r#"{"manifest":["a","b","c"]}"#.to_owned(), InvalidValue, "sequence"),
        (twice.to_owned(), InvalidValue, "duplicate key \"k\""),
        (with(&json!({ "rôle": "x" })), UnknownField, "unknown field `rôle`"),
        (with(&json!({ "can_task": ["a.b"] })), InvalidId, "\"a.b\" is not an id or a pattern"),
        (with(&json!({ "accepts_tasks_from": ["*a"] })), InvalidId, "is not an id or a pattern"),
        (with(&json!({ "reports_to": ["*"] })), InvalidId, "only a-z, 0-9 and - may occur"),
        (
            with(&json!({ "capabilities": { "tools": ["shell exec"] } })),
            InvalidCapability,
            "\"shell exec\" is not a capability",
        ),
        (
            with(&json!({ "capabilities": { "tools": ["a.*.b"] } })),
            InvalidCapability,
            "\"a.*.b\" is not a capability",
        ),
        (with(&json!({ "limits": { "cpu_percent": 256 } })), InvalidValue, "integer `256`"),
    ] {
        check(&stage, registry("register", body), no(code, says)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn nobody_takes_or_changes_what_is_another_principals() -> Result<()> {
    let stage = Stage::enter().await?;
    stage.granted(&registry("register", registration("alices").to_string()).by(ALICE)).await?;
    let node = |protocol: u32, id: &str| {
        let mut body = registration(id);
        body["node"] = json!({
            "instance": "i-1", "protocol": protocol, "version": "1", "platform": "p", "cpus": 1,
            "memory_bytes": 1, "slots": 1, "sandbox": { "tier": "t0", "properties": {} },
        });
        body.to_string()
    };
    let status = json!({ "id": "alices", "status": "maintenance" }).to_string();
    let leave_out = "leave `node` out to register an agent without a node of its own";
    for (verb, body, expected) in [
        ("register", registration("alices").to_string(), taken("alices is somebody else's")),
        ("register", registration("local").to_string(), taken("local is somebody else's")),
        (
            "register",
            node(1, "borrowed"),
            no(NotAllowed, "mallory sent a node's report for borrowed").with_hint(leave_out),
        ),
        ("register", node(2, "mallory"), no(ProtocolMismatch, "they speak protocol 2")),
        ("update-status", status.clone(), no(AgentNotFound, "alices is not registered")),
        ("deregister", id("alices"), no(AgentNotFound, "alices is not registered")),
        ("deregister", id("local"), no(AgentNotFound, "local is not registered")),
        ("get-agent", id("alices"), no(AgentNotFound, "alices is not registered")),
        ("relationships", id("alices"), no(AgentNotFound, "alices is not registered")),
        ("heartbeat", beat("alices"), no(AgentNotFound, "alices is not registered")),
        ("deregister", id("nobody"), no(AgentNotFound, "nobody is not registered")),
        ("get-agent", id("nobody"), no(AgentNotFound, "nobody is not registered")),
        ("relationships", id("nobody"), no(AgentNotFound, "nobody is not registered")),
        ("heartbeat", beat("nobody"), no(AgentNotFound, "nobody is not registered")),
    ] {
        let fault = check(&stage, registry(verb, body), expected).await?;
        assert!(!format!("{fault:?}").contains("alice "), "it says whose it is: {fault:?}");
    }
    // Whoever sees everything is told why not.
    for (verb, body, says) in [
        ("update-status", status, "trent may not set the status of alices"),
        ("deregister", id("alices"), "trent may not deregister alices"),
        ("deregister", id("local"), "trent may not deregister local"),
        ("heartbeat", beat("alices"), "trent may not send heartbeats of alices"),
    ] {
        check(&stage, registry(verb, body).by(TRENT), no(NotAllowed, says)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn details_of_a_status_are_limited() -> Result<()> {
    let stage = Stage::enter().await?;
    stage.granted(&registry("register", registration("detailed").to_string())).await?;
    let status =
        |details: Value| json!({ "id": "detailed", "status": "degraded", "details": details });
    let many: serde_json::Map<_, _> = (0..129).map(|n| (format!("k{n}"), json!("v"))).collect();
    for (details, code, says) in [
        (Value::Object(many), InvalidValue, "details has more than 128 entries"),
        (json!({ "why": "x".repeat(257) }), InvalidValue, "longer than 256 bytes"),
        (json!({ "why": 7 }), InvalidValue, "integer `7`"),
    ] {
        let body = status(details).to_string();
        check(&stage, registry("update-status", body), no(code, says)).await?;
    }
    Ok(())
}

/// A heartbeat proves who sent it by its subject alone.
#[tokio::test]
async fn a_heartbeat_over_anothers_subject_is_not_heard() -> Result<()> {
    let stage = Stage::enter().await?;
    stage.granted(&registry("register", registration("silent").to_string())).await?;
    for (subject, body) in [
        ("cortex.hb.mallory", beat("silent")),
        ("cortex.hb.silent", "{".to_owned()),
        ("cortex.hb.silent", "[]".to_owned()),
        ("cortex.hb.silent", r#"{"node":"silent","pulse":60}"#.to_owned()),
        ("cortex.hb.silent", " ".repeat(1_000_000)),
    ] {
        stage.nats.publish(subject, body.into()).await?;
    }
    stage.nats.flush().await?;
    stage.still_serves().await?;
    let view = stage.granted(&registry("get-agent", id("silent"))).await?;
    assert!(view.get("presence").is_none(), "{view}");
    Ok(())
}

fn taken(says: &'static str) -> Refusal {
    let code: ErrorCode = AgentIdTaken;
    no(code, says)
}

fn id(id: &str) -> String {
    json!({ "id": id }).to_string()
}

fn beat(id: &str) -> String {
    json!({ "node": id }).to_string()
}
