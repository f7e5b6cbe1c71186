//! Core subjects: each role has its own, and none of another principal's.
//!
//! Every test tries what must be denied, and then what must be allowed on the same connection or,
//! with the same subjects, on the connection of the one whose they are.

use anyhow::Result;
use client::Client;
use schemas::{registry, scheduler, subject::ServiceName};
use trust::nats::Role;

use crate::stage::{REGISTRY, SCHEDULER, Stage};
use crate::trial::{Trial, check_allowed, check_denied, publish, subscribe};

/// What only those hear who watch everything.
const EVERYTHING: [&str; 9] = [
    ">",
    "*",
    "*.>",
    "cortex.>",
    "cortex.*.>",
    "_INBOX.>",
    "_INBOX.*.>",
    "$SYS.>",
    "cortex.*.*.registry.>",
];

/// What no node, person or gateway says or hears.
const INTERNAL: [&str; 11] = [
    "cortex.evt.registry.0.1",
    "cortex.evt.scheduler.0.1",
    "cortex.ev.registry.agent.alpha",
    "cortex.ev.scheduler.task.t1",
    "cortex.beat.registry.0",
    "cortex.blob.00ff",
    "cortex.audit.0",
    "$KV.cortex_agents.alpha",
    "$JS.ACK.CORTEX_OUTPUT.c.1.1.1.1.0",
    "$SYS.REQ.USER.INFO",
    "$SYS.REQ.ACCOUNT.PING.CONNZ",
];

fn commands_of(principal: &str) -> Vec<Trial> {
    let all = [
        (ServiceName::Registry, &registry::verb::ALL[..]),
        (ServiceName::Scheduler, &scheduler::verb::ALL[..]),
    ];
    let subjects = all.into_iter().flat_map(|(service, verbs)| {
        verbs.iter().map(move |verb| format!("cortex.cmd.{principal}.{service}.{verb}"))
    });
    subjects.map(Trial::Publish).collect()
}

/// What a node says in its own name.
fn said_by(node: &str) -> Vec<Trial> {
    let subjects = [format!("cortex.hb.{node}"), format!("cortex.out.{node}.t1")];
    subjects.map(Trial::Publish).into_iter().chain(commands_of(node)).collect()
}

/// What is said to a principal, and answered to it.
fn heard_by(principal: &str) -> Vec<Trial> {
    let feed = format!("cortex.node.{principal}.*");
    let task = format!("cortex.node.{principal}.task");
    let inbox = format!("_INBOX.{principal}.7f.*");
    subscribe(&[&feed, &task, &inbox])
}

fn foreign(principal: &str) -> Vec<Trial> {
    let commands = format!("cortex.cmd.{principal}.>");
    let (beat, output) = (format!("cortex.hb.{principal}"), format!("cortex.out.{principal}.*"));
    let heard = subscribe(&[&commands, &beat, &output]);
    said_by(principal).into_iter().chain(heard_by(principal)).chain(heard).collect()
}

#[tokio::test]
async fn a_node_cannot_say_or_hear_anything_of_another_node() -> Result<()> {
    let stage = Stage::open().await?;
    let (alpha, beta) = (node(&stage, "alpha").await?, node(&stage, "beta").await?);
    check_denied(&alpha, &foreign("beta")).await?;
    check_denied(&beta, &foreign("alpha")).await?;
    for (client, name) in [(&alpha, "alpha"), (&beta, "beta")] {
        check_allowed(client, &said_by(name)).await?;
        check_allowed(client, &heard_by(name)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_node_cannot_listen_to_everything_or_reach_what_is_internal() -> Result<()> {
    let stage = Stage::open().await?;
    let alpha = node(&stage, "alpha").await?;
    check_denied(&alpha, &subscribe(&EVERYTHING)).await?;
    check_denied(&alpha, &publish(&INTERNAL)).await?;
    check_denied(&alpha, &subscribe(&INTERNAL)).await?;
    let services = ["cortex.cmd.*.registry.>", "cortex.cmd.*.scheduler.submit", "cortex.cmd.>"];
    check_denied(&alpha, &subscribe(&services)).await?;
    let fleet = ["cortex.hb.*", "cortex.out.>", "cortex.out.alpha.*", "cortex.node.*.task"];
    check_denied(&alpha, &subscribe(&fleet)).await?;
    check_denied(&alpha, &subscribe(&["$SRV.PING", "$SRV.>", "cortex.writer.registry.0"])).await?;
    check_denied(&alpha, &publish(&["$SRV.PING", "cortex.node.alpha.task"])).await?;
    check_denied(&alpha, &subscribe(&["cortex.head.registry"])).await?;
    check_denied(&alpha, &publish(&["_INBOX.beta.7f.0", "_INBOX.alpha.7f.0"])).await?;
    check_denied(&alpha, &publish(&["cortex.hb.alpha.x", "cortex.hb", "cortex.out.t1"])).await?;
    check_allowed(&alpha, &said_by("alpha")).await
}

#[tokio::test]
async fn a_person_cannot_say_or_hear_anything_of_anybody_else() -> Result<()> {
    let stage = Stage::open().await?;
    let (ann, bob) = (person(&stage, "ann").await?, person(&stage, "bob").await?);
    check_denied(&ann, &foreign("bob")).await?;
    check_denied(&ann, &foreign("alpha")).await?;
    check_denied(&ann, &subscribe(&EVERYTHING)).await?;
    check_denied(&ann, &publish(&INTERNAL)).await?;
    check_denied(&ann, &subscribe(&INTERNAL)).await?;
    let fleet = ["cortex.ev.>", "cortex.ev.scheduler.task.*", "cortex.hb.*", "cortex.out.>"];
    check_denied(&ann, &subscribe(&fleet)).await?;
    check_denied(&ann, &publish(&["cortex.hb.ann", "cortex.out.ann.t1", "_INBOX.bob.1.1"])).await?;
    check_denied(&ann, &subscribe(&["cortex.node.ann.*", "cortex.cmd.ann.>"])).await?;
    for (client, name) in [(&ann, "ann"), (&bob, "bob")] {
        check_allowed(client, &commands_of(name)).await?;
        let inbox = format!("_INBOX.{name}.7f.*");
        check_allowed(client, &subscribe(&[&inbox])).await?;
    }
    check_allowed(&ann, &publish(&["$SRV.PING", "$SRV.INFO.registry", "$SRV.STATS.a.b"])).await?;
    check_denied(&ann, &publish(&["cortex.head.registry"])).await?;
    check_allowed(&ann, &subscribe(&["cortex.head.registry"])).await?;
    check_allowed(&ann, &publish(&["cortex.writer.registry.0"])).await
}

#[tokio::test]
async fn the_gateway_hears_events_and_nothing_else_that_is_not_its_own() -> Result<()> {
    let stage = Stage::open().await?;
    let gateway = stage.join(Role::Gateway, "gateway").await?;
    check_denied(&gateway, &foreign("ann")).await?;
    check_denied(&gateway, &subscribe(&EVERYTHING)).await?;
    check_denied(&gateway, &publish(&INTERNAL)).await?;
    check_denied(&gateway, &subscribe(&["cortex.out.>", "cortex.hb.*", "cortex.evt.>"])).await?;
    check_allowed(&gateway, &subscribe(&["cortex.ev.>", "_INBOX.gateway.1.*"])).await?;
    check_allowed(&gateway, &commands_of("gateway")).await
}

/// What a service says and hears as the one that it is.
fn of_service(service: ServiceName) -> Vec<Trial> {
    let said = [
        format!("cortex.ev.{service}.task.t1"),
        format!("cortex.head.{service}"),
        format!("cortex.beat.{service}.0"),
        format!("cortex.writer.{service}.0"),
        format!("cortex.cmd.{service}.scheduler.get-task"),
    ];
    let heard = [
        format!("cortex.cmd.*.{service}.>"),
        format!("cortex.beat.{service}.0"),
        format!("cortex.writer.{service}.0"),
        format!("$SRV.PING.{service}"),
        format!("$SRV.INFO.{service}.{service}-7"),
        format!("_INBOX.{service}.7f.*"),
    ];
    let heard: Vec<&str> = heard.iter().map(String::as_str).collect();
    said.map(Trial::Publish).into_iter().chain(subscribe(&heard)).collect()
}

#[tokio::test]
async fn a_service_is_limited_to_its_own() -> Result<()> {
    let stage = Stage::open().await?;
    let registry = stage.join(REGISTRY, "registry").await?;
    let scheduler = stage.join(SCHEDULER, "scheduler").await?;
    for client in [&registry, &scheduler] {
        check_denied(client, &said_by("alpha")).await?;
        check_denied(client, &heard_by("alpha")).await?;
        check_denied(client, &subscribe(&EVERYTHING)).await?;
        check_denied(client, &publish(&["$SRV.PING", "$SYS.REQ.USER.INFO", "cortex.audit.0"]))
            .await?;
        check_allowed(client, &subscribe(&["cortex.hb.*", "$SRV.PING"])).await?;
        check_allowed(client, &publish(&["_INBOX.alpha.7f.0", "_INBOX.ann.7f.1"])).await?;
    }
    check_denied(&registry, &of_service(ServiceName::Scheduler)).await?;
    check_denied(&scheduler, &of_service(ServiceName::Registry)).await?;
    check_allowed(&registry, &of_service(ServiceName::Registry)).await?;
    check_allowed(&scheduler, &of_service(ServiceName::Scheduler)).await?;

    let work = publish(&["cortex.node.alpha.task", "cortex.node.alpha.cancel"]);
    check_denied(&registry, &work).await?;
    check_allowed(&scheduler, &work).await?;
    check_denied(&scheduler, &subscribe(&["cortex.ev.registry.>"])).await?;
    let followed = subscribe(&["cortex.head.registry", "cortex.out.*.*"]);
    check_denied(&registry, &followed).await?;
    check_allowed(&scheduler, &followed).await
}

#[tokio::test]
async fn whoever_watches_everything_still_speaks_in_their_own_name_alone() -> Result<()> {
    let stage = Stage::open().await?;
    for role in [Role::Auditor, Role::Admin] {
        let watcher = stage.join(role, "olga").await?;
        check_denied(&watcher, &said_by("alpha")).await?;
        check_denied(&watcher, &subscribe(&EVERYTHING)).await?;
        check_denied(&watcher, &heard_by("ann")).await?;
        let said = ["cortex.evt.registry.0.1", "$KV.cortex_agents.alpha", "cortex.ev.registry.a.b"];
        check_denied(&watcher, &publish(&said)).await?;
        check_denied(&watcher, &publish(&["cortex.node.alpha.task", "$SYS.REQ.USER.INFO"])).await?;
        check_allowed(&watcher, &commands_of("olga")).await?;
        check_allowed(&watcher, &subscribe(&["cortex.ev.>", "cortex.hb.*", "cortex.out.>"]))
            .await?;
    }
    Ok(())
}

async fn node(stage: &Stage, name: &str) -> Result<Client> {
    stage.join(Role::Node, name).await
}

async fn person(stage: &Stage, name: &str) -> Result<Client> {
    stage.join(Role::Person, name).await
}
