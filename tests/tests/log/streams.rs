//! Streams and buckets are data: made, compared, changed, and never lost by the way.

use std::path::PathBuf;
use std::process::Command;

use async_nats::jetstream;
use cortex_tests::{NatsCluster, NatsServer, nats_cli};
use jetstream_config::streams::{self, Replicas, Wanted};
use jetstream_config::{
    Applied, ApplyError, Destructive, EventLog, JetStreamLog, apply, buckets, plan, read_settings,
};
use schemas::subject::Bucket;
use serde_json::{Value, json};

use crate::support::{connect, log_name, wanted_log, write};

/// Everything that an installation needs, within the disk of a test's broker.
fn everything(replicas: Replicas) -> Vec<Wanted> {
    let small = |wanted: Wanted| wanted.with_max_bytes(16 * 1024 * 1024);
    streams::all(replicas).into_iter().map(small).collect()
}

async fn check_made_once(client: &async_nats::Client, replicas: Replicas) {
    let wanted = everything(replicas);
    let names: Vec<_> = wanted.iter().map(|wanted| wanted.name().to_owned()).collect();
    let applied = apply(client, &wanted, Destructive::Withheld).await.unwrap();
    assert_eq!(applied, Applied { created: names.clone(), ..Applied::default() });
    let actual = read_settings(client, names.iter().map(String::as_str)).await.unwrap();
    assert_eq!(plan(&wanted, &actual), [], "what was made is what was wanted");
    let applied = apply(client, &wanted, Destructive::Withheld).await.unwrap();
    assert_eq!(applied, Applied::default(), "a second time changes nothing");
}

#[tokio::test]
async fn everything_is_made_once_on_one_server() {
    let server = NatsServer::start().await.unwrap();
    check_made_once(&connect(&server.url()).await, Replicas::One).await;
}

#[tokio::test]
async fn everything_is_made_once_on_three_servers() {
    let cluster = NatsCluster::start().await.unwrap();
    check_made_once(&connect(&cluster.urls()).await, Replicas::Three).await;
}

#[tokio::test]
async fn what_one_makes_another_finds_made() {
    let server = NatsServer::start().await.unwrap();
    let making = (0..4).map(async |_| {
        let client = connect(&server.url()).await;
        apply(&client, &everything(Replicas::One), Destructive::Withheld).await.unwrap()
    });
    let client = connect(&server.url()).await;
    futures::future::join_all(making).await;
    let applied = apply(&client, &everything(Replicas::One), Destructive::Withheld).await.unwrap();
    assert_eq!(applied, Applied::default());
}

#[tokio::test]
async fn a_record_that_drifted_is_named_with_every_setting_and_nothing_is_changed() {
    let server = NatsServer::start().await.unwrap();
    let client = connect(&server.url()).await;
    let wanted = wanted_log(log_name(0), Replicas::One);
    let mut drifted = wanted.clone();
    for (setting, value) in [
        ("max_age", json!(3_600_000_000_000_u64)),
        ("deny_purge", json!(false)),
        ("discard", json!("old")),
    ] {
        drifted.settings.insert(setting.to_owned(), value);
    }
    apply(&client, &[drifted], Destructive::Withheld).await.unwrap();
    let both = [wanted.clone(), wanted_log(log_name(1), Replicas::One)];
    for destructive in [Destructive::Withheld, Destructive::Allowed] {
        let refused = apply(&client, &both, destructive).await.unwrap_err();
        assert!(matches!(refused, ApplyError::Drift(_)), "{refused}");
        let fault = refused.fault();
        assert_eq!(fault.code, schemas::ErrorCode::StreamDrift);
        let settings = fault.details[wanted.name()].to_string();
        for setting in ["max_age", "deny_purge", "discard"] {
            assert!(settings.contains(setting), "{setting} in {settings}");
        }
    }
    let found = read_settings(&client, both.iter().map(Wanted::name)).await.unwrap();
    assert_eq!(found.len(), 1, "the other log is not made before this is settled");
}

#[tokio::test]
async fn a_log_is_given_room_at_once_and_loses_it_only_by_permission() {
    let server = NatsServer::start().await.unwrap();
    let client = connect(&server.url()).await;
    let name = log_name(0);
    let sized = |bytes| [wanted_log(name, Replicas::One).with_max_bytes(bytes)];
    apply(&client, &sized(1_000_000), Destructive::Withheld).await.unwrap();
    let log = JetStreamLog::new(client.clone(), name);
    write(&log, 0, "a").await.unwrap();

    let applied = apply(&client, &sized(2_000_000), Destructive::Withheld).await.unwrap();
    assert_eq!(applied.updated, [name.stream()]);
    let applied = apply(&client, &sized(1_000_000), Destructive::Withheld).await.unwrap();
    assert_eq!(applied.withheld.keys().collect::<Vec<_>>(), [&name.stream()]);
    assert_eq!(applied.withheld[&name.stream()][0].setting, "max_bytes");
    let applied = apply(&client, &sized(1_000_000), Destructive::Allowed).await.unwrap();
    assert_eq!(applied.destroyed, [name.stream()]);
    let settings = read_settings(&client, [name.stream().as_str()]).await.unwrap();
    assert_eq!(settings[&name.stream()]["max_bytes"], 1_000_000);
    assert_eq!(log.last_sequence().await.unwrap(), 1);
}

#[tokio::test]
async fn a_bucket_that_cannot_be_mended_is_made_anew_only_by_permission() {
    let server = NatsServer::start().await.unwrap();
    let client = connect(&server.url()).await;
    let wanted = buckets::bucket(Bucket::Agents, Replicas::One).with_max_bytes(1_000_000);
    let mut synced = wanted.clone();
    synced.settings.remove("persist_mode");
    apply(&client, &[synced], Destructive::Withheld).await.unwrap();
    let context = jetstream::new(client.clone());
    let plain = context.get_key_value("cortex_agents").await.unwrap();
    plain.put("a", "x".into()).await.unwrap();

    let wanted = [wanted];
    let refused = apply(&client, &wanted, Destructive::Withheld).await.unwrap_err();
    assert!(refused.to_string().contains("persist_mode"), "{refused}");
    assert!(plain.get("a").await.unwrap().is_some());
    let applied = apply(&client, &wanted, Destructive::Allowed).await.unwrap();
    assert_eq!(applied.destroyed, ["KV_cortex_agents"]);
    assert!(plain.get("a").await.unwrap().is_none());
}

#[tokio::test]
async fn nobody_can_take_a_frame_out_of_a_log() {
    let server = NatsServer::start().await.unwrap();
    let client = connect(&server.url()).await;
    let name = log_name(0);
    apply(&client, &[wanted_log(name, Replicas::One)], Destructive::Withheld).await.unwrap();
    let log = JetStreamLog::new(client.clone(), name);
    write(&log, 0, "a").await.unwrap();
    let stream = jetstream::new(client).get_stream(name.stream()).await.unwrap();
    assert!(stream.delete_message(1).await.is_err());
    assert!(stream.purge().await.is_err());
    assert_eq!(log.last_sequence().await.unwrap(), 1);
}

/// The files are what the documentation says: input of the plain `nats` command.
#[test]
fn the_data_files_are_input_of_the_plain_nats_command() {
    let cli = match nats_cli() {
        Ok(cli) => cli,
        Err(error) => {
            println!("skipped, the nats command cannot be had: {error:#}");
            return;
        }
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(NatsServer::start()).unwrap();
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../jetstream-config"));
    let mut made = 0;
    for folder in ["streams", "buckets"] {
        for file in root.join(folder).read_dir().unwrap() {
            let file = file.unwrap().path();
            // A test's disk holds less than the files ask for.
            let mut settings: Value =
                serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            settings["max_bytes"] = json!(1_000_000);
            let copy = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(copy.path(), settings.to_string()).unwrap();
            let output = Command::new(&cli)
                .args(["--server", &server.url(), "stream", "add", "--config"])
                .arg(copy.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{}: {said}", file.display());
            made += 1;
        }
    }
    let client = runtime.block_on(connect(&server.url()));
    let wanted = everything(Replicas::One);
    let actual = read_settings(&client, wanted.iter().map(Wanted::name));
    let actual = runtime.block_on(actual).unwrap();
    assert_eq!(actual.len(), made, "what the command made is what Cortex looks for");
    let small = |wanted: Wanted| wanted.with_max_bytes(1_000_000);
    let wanted: Vec<_> = wanted.into_iter().map(small).collect();
    let changes = plan(&wanted, &actual);
    let missing = wanted.len() - made;
    assert_eq!(changes.len(), missing, "only what has no file of its own is missing: {changes:?}");
}
