//! What is sent straight to a node, past the scheduler: nothing of it runs, and the node says why.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cortex_tests::{Process, eventually, eventually_some};
use futures::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::cbor;
use crate::cose::{
    self, AUDIENCE, Claims, EXPIRES, ISSUED, Key, NODE, REQUEST_HASH, SPEC, TASK, now_s, with,
};
use crate::stage::{DEADLINE, Stage};

const OFFERS: &str = "cortex.node.local.task";

/// A file that every run of this suite would write a line into.
struct Effect(TempDir);

impl Effect {
    fn new(stage: &Stage) -> Result<Self> {
        Ok(Self(stage.cortex.folder()?))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("effect")
    }

    fn spec(&self) -> String {
        let script = format!("echo ran >> {}", self.path().display());
        json!({ "work": { "kind": "command", "argv": ["sh", "-c", script] } }).to_string()
    }

    fn runs(&self) -> usize {
        fs::read_to_string(self.path()).unwrap_or_default().lines().count()
    }
}

/// A request that was never submitted, and what an attacker makes of it.
struct Forgery {
    owner: Key,
    plane: Key,
    stranger: Key,
    claims: Claims,
    request: Vec<u8>,
    task: String,
    certificates: Vec<String>,
}

impl Forgery {
    fn new(stage: &Stage, effect: &Effect) -> Result<Self> {
        let owner = Key::owner(&stage.login)?;
        let claims = cose::request(&stage.login, "node:local", &effect.spec());
        Ok(Self {
            plane: Key::scheduler(&stage.cortex, &stage.login)?,
            stranger: Key::unknown(&stage.login),
            request: owner.request(&claims),
            task: cose::task_id(&stage.login, &claims),
            certificates: cose::certificates(&stage.cortex, &stage.login)?,
            owner,
            claims,
        })
    }

    /// What only the scheduler could have signed.
    fn assigned(&self) -> Claims {
        cose::assignment(&self.task, &self.request, "local")
    }

    fn assigned_but(&self, key: i64, value: Vec<u8>) -> Vec<u8> {
        self.plane.assignment(&with(&self.assigned(), key, value))
    }

    /// A request of its own for each, so that each has a line of its own in the node's log.
    fn offer(&self, request: &[u8], assignment: &[u8]) -> Value {
        let (request, assignment) = (STANDARD.encode(request), STANDARD.encode(assignment));
        json!({
            "task": self.task, "epoch": 1, "request": request, "assignment": assignment,
            "certificates": self.certificates,
        })
    }
}

/// One way to forge an offer.
type Forge = fn(&Forgery) -> (Vec<u8>, Vec<u8>);

fn flipped(envelope: &[u8], place: usize) -> Vec<u8> {
    let mut changed = envelope.to_vec();
    changed[place] ^= 1;
    changed
}

#[tokio::test]
async fn a_forged_offer_does_not_run_and_the_node_says_why() -> Result<()> {
    let stage = Stage::enter().await?;
    let effect = Effect::new(&stage)?;
    let cases: [(&str, Forge); 16] = [
        ("UNSIGNED", |_| (Vec::new(), Vec::new())),
        ("UNSIGNED", |it| (it.request.clone(), Vec::new())),
        ("KEY_UNKNOWN", |it| {
            let request = it.stranger.request(&it.claims);
            let assigned = cose::assignment(&it.task, &request, "local");
            (request, it.plane.assignment(&assigned))
        }),
        ("KEY_UNKNOWN", |it| (it.request.clone(), it.stranger.assignment(&it.assigned()))),
        ("KEY_NOT_VALID", |it| (it.request.clone(), it.owner.assignment(&it.assigned()))),
        ("KEY_NOT_VALID", |it| {
            let request = it.plane.request(&it.claims);
            let assigned = cose::assignment(&it.task, &request, "local");
            (request, it.plane.assignment(&assigned))
        }),
        ("ENVELOPE_HEADER", |it| (it.request.clone(), it.request.clone())),
        ("SIGNATURE_INVALID", |it| {
            let length = it.request.len();
            (flipped(&it.request, length - 1), it.plane.assignment(&it.assigned()))
        }),
        ("SIGNATURE_INVALID", |it| {
            let assignment = it.plane.assignment(&it.assigned());
            (it.request.clone(), flipped(&assignment, assignment.len() - 1))
        }),
        ("WRONG_AUDIENCE", |it| (it.request.clone(), it.assigned_but(NODE, cbor::text("other")))),
        ("WRONG_AUDIENCE", |it| {
            let request = it.owner.request(&with(&it.claims, AUDIENCE, cbor::text("node:other")));
            let assigned = cose::assignment(&it.task, &request, "local");
            (request, it.plane.assignment(&assigned))
        }),
        ("ASSIGNMENT_MISMATCH", |it| {
            (it.request.clone(), it.assigned_but(REQUEST_HASH, cbor::bytes(&[7; 32])))
        }),
        ("ASSIGNMENT_MISMATCH", |it| (it.request.clone(), it.assigned_but(TASK, cbor::text("0")))),
        ("EXPIRED", |it| {
            let late = with(&it.assigned(), ISSUED, cbor::integer(now_s() - 150));
            let late = with(&late, EXPIRES, cbor::integer(now_s() - 40));
            (it.request.clone(), it.plane.assignment(&late))
        }),
        ("LIFETIME_TOO_LONG", |it| {
            (it.request.clone(), it.assigned_but(EXPIRES, cbor::integer(now_s() + 86_400)))
        }),
        ("SPEC_INVALID", |it| {
            let request = it.owner.request(&with(&it.claims, SPEC, cbor::text("{}")));
            let assigned = cose::assignment(&it.task, &request, "local");
            (request, it.plane.assignment(&assigned))
        }),
    ];
    for (code, forge) in cases {
        let forgery = Forgery::new(&stage, &effect)?;
        let (request, assignment) = forge(&forgery);
        tell(&stage, OFFERS, forgery.offer(&request, &assignment).to_string()).await?;
        check_said(&stage, &[&forgery.task, code]).await?;
    }
    assert_eq!(effect.runs(), 0);
    stage.still_serves().await
}

/// Both signatures are real, yet the scheduler never decided it: whoever stole its key gets no go.
#[tokio::test]
async fn an_assignment_that_is_not_in_the_log_gets_no_go() -> Result<()> {
    let stage = Stage::enter().await?;
    let effect = Effect::new(&stage)?;
    let forgery = Forgery::new(&stage, &effect)?;
    let assignment = forgery.plane.assignment(&forgery.assigned());
    tell(&stage, OFFERS, forgery.offer(&forgery.request, &assignment).to_string()).await?;
    check_said(&stage, &[&forgery.task, "TASK_NOT_FOUND"]).await?;
    assert_eq!(effect.runs(), 0);
    Ok(())
}

/// The very bytes of the scheduler, again and under another number.
#[tokio::test]
async fn a_replayed_offer_does_not_run_twice() -> Result<()> {
    let stage = Stage::enter().await?;
    let effect = Effect::new(&stage)?;
    let mut offers = stage.nats.subscribe(OFFERS).await?;
    stage.nats.flush().await?;
    let path = effect.path().display().to_string();
    let script = format!("echo ran >> {path}");
    let run = stage.run(&["run", "--on", "local", "--", "sh", "-c", &script]).await?;
    assert_eq!((run.code, effect.runs()), (0, 1), "{run:?}");
    let offer = timeout(DEADLINE, offers.next()).await?.context("no offer was heard")?.payload;
    let mut renumbered: Value = serde_json::from_slice(&offer)?;
    renumbered["epoch"] = json!(2);
    for body in [offer.to_vec(), offer.to_vec(), renumbered.to_string().into_bytes()] {
        tell(&stage, OFFERS, body).await?;
    }
    hears(&stage).await?;
    assert_eq!(effect.runs(), 1);
    // A restarted node knows what it has used up from its disk.
    assert!(stage.cortex.kill9(Process::Node).await?);
    eventually(DEADLINE, || async { hears(&stage).await.is_ok() }).await?;
    tell(&stage, OFFERS, offer).await?;
    hears(&stage).await?;
    let echo = stage.run(&["run", "--on", "local", "--", "true"]).await?;
    assert_eq!((echo.code, effect.runs()), (0, 1), "{echo:?}");
    Ok(())
}

#[tokio::test]
async fn a_node_goes_on_whatever_it_is_told() -> Result<()> {
    let stage = Stage::enter().await?;
    let task = "feedfeedfeedfeedfeedfeedfeedfeed";
    let offer = json!({ "task": task, "epoch": 1, "request": "?", "assignment": "" });
    let unknown = json!({ "task": task, "epoch": 1, "request": "", "assignment": "", "x": 1 });
    for (channel, body, says) in [
        ("task", "{".to_owned(), "MALFORMED_JSON"),
        ("task", "[]".to_owned(), "an array is no message"),
        ("task", unknown.to_string(), "UNKNOWN_FIELD: unknown field `x`"),
        ("task", offer.to_string(), "request is no base64"),
        ("task", " ".repeat(900_000), "TOO_LARGE: 900000 bytes"),
        ("task", "[".repeat(60_000), "TOO_DEEP"),
        ("cancel", "null".to_owned(), "INVALID_VALUE"),
        ("cancel", r#"{"task":"a.b","epoch":1,"by":"x"}"#.to_owned(), "INVALID_ID"),
        ("ping", "{}".to_owned(), "a ping without an inbox"),
        ("explode", "{}".to_owned(), "explode is no channel of a node"),
    ] {
        let before = stage.cortex.log_of(Process::Node).len();
        tell(&stage, &format!("cortex.node.local.{channel}"), body).await?;
        eventually(DEADLINE, || async {
            stage.cortex.log_of(Process::Node).get(before..).unwrap_or_default().contains(says)
        })
        .await
        .with_context(|| format!("the node does not say {says}"))?;
    }
    let cancel = json!({ "task": task, "epoch": 1, "by": "mallory" }).to_string();
    tell(&stage, "cortex.node.local.cancel", cancel).await?;
    hears(&stage).await?;
    let run = stage.run(&["run", "--on", "local", "--", "echo", "fine"]).await?;
    assert_eq!((run.code, run.stdout.as_str()), (0, "fine\n"), "{run:?}");
    Ok(())
}

/// The node could be made to speak where only it may.
#[tokio::test]
async fn a_ping_is_answered_into_an_inbox_or_not_at_all() -> Result<()> {
    let stage = Stage::enter().await?;
    let target = "cortex.hb.local.aimed";
    let mut heard = stage.nats.subscribe(target).await?;
    stage.nats.publish_with_reply("cortex.node.local.ping", target, "{}".into()).await?;
    hears(&stage).await?;
    let stray = timeout(Duration::ZERO, heard.next()).await.ok().flatten();
    assert!(stray.is_none(), "{stray:?}");
    Ok(())
}

async fn tell(stage: &Stage, subject: &str, body: impl Into<Vec<u8>>) -> Result<()> {
    let body: Vec<u8> = body.into();
    stage.nats.publish(subject.to_owned(), body.into()).await?;
    Ok(stage.nats.flush().await?)
}

/// The node answers a ping, so it has read everything that was sent to it before.
async fn hears(stage: &Stage) -> Result<()> {
    let pong = timeout(DEADLINE, stage.nats.request("cortex.node.local.ping", "{}".into())).await;
    pong.context("no pong")?.map(drop).context("the node does not listen")
}

/// One line of the node's log holds all `words`.
async fn check_said(stage: &Stage, words: &[&str]) -> Result<()> {
    let said = eventually_some(DEADLINE, || async {
        let log = stage.cortex.log_of(Process::Node);
        log.lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
    });
    said.await.with_context(|| {
        let log = stage.cortex.log_of(Process::Node);
        let lines: Vec<_> = log.lines().filter(|line| line.contains(words[0])).collect();
        format!("the node does not say {words:?}, but {lines:#?}")
    })
}
