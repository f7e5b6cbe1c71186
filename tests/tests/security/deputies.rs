//! Confused deputies: making the broker or a service say what one may not say oneself.
//!
//! A server sends what it is asked for to whatever reply subject the request names, and checks
//! nothing there. So whoever can have anything sent can have it sent anywhere.

use std::time::Duration;

use anyhow::{Context, Result};
use client::{Client, Responder, ServiceInfo};
use futures::StreamExt as _;
use jetstream_config::{EventLog as _, JetStreamLog};
use schemas::subject::{LogName, ServiceName};
use tokio::time::timeout;
use trust::nats::Role;

use crate::stage::{REGISTRY, SCHEDULER, Stage};
use crate::trial::{Trial, check_allowed, check_denied, denied};

const DEADLINE: Duration = Duration::from_secs(20);
/// How long a question waits before it is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

async fn publish_with_reply(client: &Client, subject: &str, reply: &str) -> Result<()> {
    let (subject, reply) = (subject.to_owned(), reply.to_owned());
    Ok(client.nats().publish_with_reply(subject, reply, "{}".into()).await?)
}

#[tokio::test]
async fn a_node_cannot_aim_a_stored_message_at_the_commands_of_another() -> Result<()> {
    let stage = Stage::open().await?;
    let alpha = stage.join(Role::Node, "alpha").await?;
    let read = "$JS.API.DIRECT.GET.CORTEX_OUTPUT";
    for reply in ["cortex.cmd.beta.scheduler.report", "cortex.node.beta.task", "_INBOX.beta.1.1"] {
        let faults = denied(&alpha, || publish_with_reply(&alpha, read, reply)).await?;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0].details["subject"], read);
    }
    Ok(())
}

#[tokio::test]
async fn what_a_node_prints_is_acknowledged_to_nobody() -> Result<()> {
    let stage = Stage::open().await?;
    let alpha = stage.join(Role::Node, "alpha").await?;
    let logs = ServiceName::ALL.map(LogName::first);
    for log in logs {
        publish_with_reply(&alpha, "cortex.out.alpha.t1", &log.subject()).await?;
    }
    publish_with_reply(&alpha, "cortex.out.alpha.t1", "cortex.cmd.beta.registry.get-agent").await?;
    alpha.nats().flush().await?;
    let stored = || async {
        let info: Result<_> = stage
            .admin
            .ask("$JS.API.STREAM.INFO.CORTEX_OUTPUT", "".into(), DEADLINE)
            .await
            .map_err(Into::into);
        let info: serde_json::Value = serde_json::from_slice(&info?.payload)?;
        anyhow::Ok(info["state"]["messages"].as_u64())
    };
    cortex_tests::eventually(DEADLINE, || async {
        stored().await.is_ok_and(|count| count == Some(3))
    })
    .await?;
    for log in logs {
        let log = JetStreamLog::new(stage.admin.nats().clone(), log);
        assert_eq!(log.last_sequence().await?, 0, "an acknowledgement became a part of the log");
    }
    Ok(())
}

#[tokio::test]
async fn a_node_answers_what_it_was_asked_once_and_nothing_else() -> Result<()> {
    let stage = Stage::open().await?;
    let (alpha, beta) =
        (stage.join(Role::Node, "alpha").await?, stage.join(Role::Node, "beta").await?);
    let scheduler = stage.join(SCHEDULER, "scheduler").await?;
    let mut heard = alpha.nats().subscribe("cortex.node.alpha.task").await?;
    alpha.nats().flush().await?;
    let mut answers = scheduler.nats().subscribe("_INBOX.scheduler.7f.1").await?;
    scheduler.nats().flush().await?;
    // A flush ends at the socket: the subscription may reach the server after the question.
    let question = timeout(DEADLINE, async {
        loop {
            publish_with_reply(&scheduler, "cortex.node.alpha.task", "_INBOX.scheduler.7f.1")
                .await?;
            if let Ok(question) = timeout(ASK_AGAIN, heard.next()).await {
                return question.context("closed");
            }
        }
    })
    .await??;
    let answer = Trial::Publish(question.reply.context("no reply subject")?.to_string());
    check_denied(&beta, std::slice::from_ref(&answer)).await?;
    check_allowed(&alpha, std::slice::from_ref(&answer)).await?;
    // What was asked too early was answered by the server: nobody is there.
    let answer_of_alpha = async {
        loop {
            let message = answers.next().await.context("closed")?;
            if message.status.is_none() {
                return anyhow::Ok(message.payload);
            }
        }
    };
    assert_eq!(timeout(DEADLINE, answer_of_alpha).await??, "{}");
    check_denied(&alpha, &[answer]).await
}

#[tokio::test]
async fn a_service_takes_no_command_that_the_broker_was_made_to_send() -> Result<()> {
    let stage = Stage::open().await?;
    let registry = stage.join(REGISTRY, "registry").await?;
    let info = ServiceInfo {
        name: ServiceName::Registry,
        instance: "registry-7".to_owned(),
        version: "0.1.0".to_owned(),
        description: "Answers tests.".to_owned(),
        verbs: &["register", "get-agent"],
        queue_group: "registry-7".to_owned(),
    };
    let mut service = Responder::serve(registry.nats(), info).await?;
    registry.nats().flush().await?;
    // Whoever reads streams can do this, and so only auditors and admins read them.
    let alpha = stage.join(Role::Node, "alpha").await?;
    alpha.nats().publish("cortex.out.alpha.t1", "{}".into()).await?;
    alpha.nats().flush().await?;
    let query = serde_json::json!({ "last_by_subj": "cortex.out.alpha.t1" }).to_string();
    let aimed = "cortex.cmd.beta.registry.register".to_owned();
    let read = "$JS.API.DIRECT.GET.CORTEX_OUTPUT";
    stage.admin.nats().publish_with_reply(read, aimed, query.into()).await?;
    stage.admin.nats().flush().await?;
    // What comes after it is heard after it.
    let asking = tokio::spawn(async move {
        let asked = "cortex.cmd.alpha.registry.get-agent";
        alpha.ask(asked, "{}".into(), DEADLINE).await
    });
    let request = timeout(DEADLINE, service.recv()).await?.context("closed")?;
    assert_eq!((request.principal().as_str(), request.verb()), ("alpha", "get-agent"));
    request.respond(Ok("{}".into()));
    asking.await??;
    Ok(())
}
