//! JetStream: nodes, people and the gateway have no part in it, a service has its own streams.

use anyhow::Result;
use client::Client;
use jetstream_config::{EventLog as _, JetStreamLog, KvBucket, streams};
use schemas::subject::{Bucket, LogName, ServiceName, streams_of};
use trust::nats::Role;

use crate::stage::{REGISTRY, SCHEDULER, Stage};
use crate::trial::{Trial, check_allowed, check_denied};

/// What can be asked about JetStream as a whole.
const OF_ALL: [&str; 4] = ["INFO", "STREAM.NAMES", "STREAM.LIST", "ACCOUNT.PURGE.CORTEX"];
/// What reads a stream.
const READS: [&str; 4] = ["STREAM.INFO.#", "STREAM.MSG.GET.#", "DIRECT.GET.#", "DIRECT.GET.#.a.b"];
/// What changes a stream.
const CHANGES: [&str; 9] = [
    "STREAM.CREATE.#",
    "STREAM.UPDATE.#",
    "STREAM.DELETE.#",
    "STREAM.PURGE.#",
    "STREAM.MSG.DELETE.#",
    "STREAM.SNAPSHOT.#",
    "STREAM.RESTORE.#",
    "STREAM.PEER.REMOVE.#",
    "STREAM.LEADER.STEPDOWN.#",
];
/// What makes, uses and ends consumers.
const CONSUMERS: [&str; 11] = [
    "CONSUMER.CREATE.#",
    "CONSUMER.CREATE.#.mine",
    "CONSUMER.CREATE.#.mine.cortex.out.alpha.t1",
    "CONSUMER.DURABLE.CREATE.#.mine",
    "CONSUMER.NAMES.#",
    "CONSUMER.LIST.#",
    "CONSUMER.INFO.#.mine",
    "CONSUMER.MSG.NEXT.#.mine",
    "CONSUMER.DELETE.#.mine",
    "CONSUMER.PAUSE.#.mine",
    "CONSUMER.LEADER.STEPDOWN.#.mine",
];

fn on(stream: &str, verbs: &[&str]) -> Vec<Trial> {
    let subject = |verb: &&str| format!("$JS.API.{}", verb.replace('#', stream));
    verbs.iter().map(subject).map(Trial::Publish).collect()
}

fn everything_on(stream: &str) -> Vec<Trial> {
    [on(stream, &READS), on(stream, &CHANGES), on(stream, &CONSUMERS)].concat()
}

fn all_streams() -> Vec<String> {
    streams::all(streams::Replicas::One).iter().map(|wanted| wanted.name().to_owned()).collect()
}

#[tokio::test]
async fn nodes_people_and_the_gateway_have_no_part_in_it() -> Result<()> {
    let stage = Stage::open().await?;
    let roles = [(Role::Node, "alpha"), (Role::Person, "ann"), (Role::Gateway, "gateway")];
    for (role, name) in roles {
        let client = stage.join(role, name).await?;
        check_denied(&client, &on("", &OF_ALL)).await?;
        for stream in all_streams() {
            check_denied(&client, &everything_on(&stream)).await?;
        }
    }
    // The same streams are there, and whoever may read them can.
    for stream in all_streams() {
        check_allowed(&stage.admin, &on(&stream, &["STREAM.INFO.#"])).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_service_reads_its_own_streams_and_changes_none() -> Result<()> {
    let stage = Stage::open().await?;
    for (role, service) in [(REGISTRY, ServiceName::Registry), (SCHEDULER, ServiceName::Scheduler)]
    {
        let client = stage.join(role, service.as_str()).await?;
        let own = streams_of(service);
        for stream in all_streams().iter().filter(|stream| !own.contains(stream)) {
            check_denied(&client, &everything_on(stream)).await?;
        }
        for stream in own {
            let changes: Vec<&str> =
                CHANGES.into_iter().filter(|verb| *verb != "STREAM.PURGE.#").collect();
            check_denied(&client, &on(&stream, &changes)).await?;
            check_denied(&client, &on(&stream, &CONSUMERS)).await?;
            check_allowed(&client, &on(&stream, &READS[..3])).await?;
        }
        check_allowed(&client, &on("CORTEX_BLOBS", &["STREAM.PURGE.#"])).await?;
        check_work(&client, service).await?;
    }
    Ok(())
}

/// A service's own log and rows work as they do without permissions.
async fn check_work(client: &Client, service: ServiceName) -> Result<()> {
    let log = JetStreamLog::new(client.nats().clone(), LogName::first(service));
    let last = log.last_sequence().await?;
    drop(log.append(last, "{}".into()).await);
    assert_eq!(log.last_sequence().await?, last + 1);
    assert_eq!(log.read(last, 1024).await?.len(), 1);
    for bucket in Bucket::ALL.into_iter().filter(|bucket| bucket.written_by() == service) {
        let rows = KvBucket::new(client.nats().clone(), bucket);
        let put = jetstream_config::Put {
            key: "k".to_owned(),
            expected: 0,
            kind: jetstream_config::RowKind::Value,
            bytes: "{}".into(),
        };
        rows.put(put).await?;
        assert_eq!(rows.rows().await?.len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn an_auditor_reads_every_stream_and_changes_none() -> Result<()> {
    let stage = Stage::open().await?;
    let auditor = stage.join(Role::Auditor, "olga").await?;
    for stream in all_streams() {
        check_denied(&auditor, &on(&stream, &CHANGES)).await?;
        check_allowed(&auditor, &on(&stream, &READS)).await?;
    }
    check_allowed(&auditor, &on("", &OF_ALL[..3])).await
}
