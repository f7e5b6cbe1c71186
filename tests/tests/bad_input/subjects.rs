//! Subjects that name no verb or no principal, and answers that are aimed at somebody else.

use std::time::Duration;

use anyhow::Result;
use futures::StreamExt;
use schemas::ErrorCode::{InvalidId, UnknownVerb};
use tokio::time::timeout;

use crate::stage::{Ask, Stage, check, no, registration};

#[tokio::test]
async fn an_unknown_verb_is_answered_with_those_that_are_known() -> Result<()> {
    let stage = Stage::enter().await?;
    for (subject, says) in [
        ("cortex.cmd.mallory.registry.destroy", "registry has no verb \"destroy\""),
        ("cortex.cmd.mallory.registry.Register", "registry has no verb \"Register\""),
        ("cortex.cmd.mallory.registry.register.twice", "no verb \"register.twice\""),
        ("cortex.cmd.mallory.registry.*", "registry has no verb \"*\""),
        ("cortex.cmd.mallory.registry.>", "registry has no verb \">\""),
        ("cortex.cmd.mallory.registry.submit", "registry has no verb \"submit\""),
        ("cortex.cmd.mallory.scheduler.register", "scheduler has no verb \"register\""),
        ("cortex.cmd.mallory.scheduler.r\u{435}port", "scheduler has no verb"),
    ] {
        let fault = check(&stage, Ask::new(subject, "{}"), no(UnknownVerb, says)).await?;
        let verbs = fault.details["verbs"].as_array().cloned().unwrap_or_default();
        assert!(verbs.contains(&"events".into()), "{fault:?}");
    }
    let long = format!("cortex.cmd.mallory.registry.{}", "v".repeat(3000));
    check(&stage, Ask::new(&long, "{}"), no(UnknownVerb, "vvvv\"")).await?;
    Ok(())
}

#[tokio::test]
async fn a_principal_in_a_subject_must_be_an_id() -> Result<()> {
    let stage = Stage::enter().await?;
    let long = "a".repeat(64);
    for token in
        ["*", ">", "Mallory", "mal_lory", "-mallory", "m\u{430}llory", "a\u{1}b", "$JS", &long]
    {
        for (service, verb, body) in [
            ("registry", "register", registration("subject").to_string()),
            ("scheduler", "cancel", r#"{"select":{}}"#.to_owned()),
        ] {
            let ask = Ask::new(&format!("cortex.cmd.{token}.{service}.{verb}"), body);
            check(&stage, ask, no(InvalidId, "in the subject is not a principal")).await?;
        }
    }
    Ok(())
}

/// The broker delivers an answer wherever the asker says, with the service's rights.
#[tokio::test]
async fn an_answer_goes_to_an_inbox_or_nowhere() -> Result<()> {
    let stage = Stage::enter().await?;
    for target in [
        "cortex.cmd.scheduler.registry.deregister",
        "cortex.evt.registry.0.1",
        "cortex.node.local.task",
        "$JS.API.STREAM.INFO.CORTEX_BLOBS",
        "_INBOXES",
        "inbox.mallory",
    ] {
        let heads = stage.heads().await?;
        let mut heard = stage.nats.subscribe(target).await?;
        for (service, verb, body) in [
            ("registry", "register", registration("aimed").to_string()),
            ("registry", "who-can", "{".to_owned()),
            ("scheduler", "no-verb", String::new()),
        ] {
            let subject = format!("cortex.cmd.mallory.{service}.{verb}");
            stage.nats.publish_with_reply(subject, target, body.into()).await?;
        }
        // Services answer in order, so after these answers nothing is on its way to the target.
        stage.still_serves().await?;
        stage.nats.flush().await?;
        let stray = timeout(Duration::ZERO, heard.next()).await.ok().flatten();
        assert!(stray.is_none(), "{target} got {stray:?}");
        let recorded = stage.recorded(heads, "mallory").await?;
        assert!(recorded.is_empty(), "{target}: carried out, and yet unanswered: {recorded:?}");
    }
    Ok(())
}
