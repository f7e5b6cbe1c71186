//! A service refuses to start on a broker that could not keep its promises.
//!
//! A broker that is too old is refused by `check_broker`; the pinned one is new enough, so that is
//! shown by that function's own tests over what old ones answer.

use anyhow::Result;
use cortex_tests::NatsServer;
use jetstream_config::{broker::DurabilityProof, streams::Replicas};
use runtime::HostConfig;
use schemas::ErrorCode;
use tempfile::TempDir;

use crate::hosted::{Asker, Hosted, broker, config, name, roomy};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_went_back_is_noticed_at_the_start() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    asker.add("a", 1).await?;
    hosted.stop().await?;
    server.kill()?;
    let saved = server.save_store()?;
    server.restart().await?;
    let hosted = Hosted::start(&server.url(), &state).await?;
    asker.add("a", 2).await?;
    hosted.stop().await?;
    server.kill()?;
    server.restore_store(&saved)?;
    server.restart().await?;
    let refused = Hosted::begin(config(&server.url(), state.path(), Replicas::One));
    assert_eq!(refused.failure().await?.code, ErrorCode::LogRegressed);
    assert_eq!(asker.amounts().await?, [1], "nothing was written");
    Ok(())
}

/// The same under a writer that lives on: it must not fill the gap with other frames.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_went_back_under_a_writer_ends_it() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    asker.add("a", 1).await?;
    server.kill()?;
    let saved = server.save_store()?;
    server.restart().await?;
    asker.add("a", 2).await?;
    server.kill()?;
    server.restore_store(&saved)?;
    server.restart().await?;
    let adding = tokio::spawn({
        let asker = asker.clone();
        async move { asker.add("a", 4).await }
    });
    assert_eq!(hosted.failure().await?.code, ErrorCode::LogRegressed);
    assert_eq!(asker.amounts().await?, [1]);
    adding.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_settings_were_changed_is_refused() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    Hosted::start(&server.url(), &state).await?.stop().await?;
    let jetstream = async_nats::jetstream::new(server.connect().await?);
    let mut settings = jetstream.get_stream(name().stream()).await?.cached_info().config.clone();
    settings.max_messages = 1_000_000;
    jetstream.update_stream(settings).await?;
    let refused = Hosted::begin(config(&server.url(), state.path(), Replicas::One));
    let fault = refused.failure().await?;
    assert_eq!(fault.code, ErrorCode::StreamDrift);
    assert!(fault.message.contains("max_msgs"), "{fault}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_sync_or_does_not_tell_is_refused() -> Result<()> {
    let tells = "accounts {\n\
         SYS { users: [{ user: sys, password: sys }], exports: [\
           { service: \"$SYS.REQ.SERVER.PING.JSZ\", response_type: stream }] }\n\
         APP { jetstream: enabled, users: [{ user: app, password: app }], imports: [\
           { service: { account: SYS, subject: \"$SYS.REQ.SERVER.PING.JSZ\" }, \
             to: \"cortex.broker.jetstream\" }] }\n\
         }\nsystem_account: SYS\nno_auth_user: app\n";
    for (sync, extra, expected) in [
        ("always", "", Some("does not tell")),
        ("\"2m\"", tells, Some("before they are on disk")),
        ("always", tells, None),
    ] {
        let mut options = roomy(Replicas::One);
        options.jetstream_extra.push_str(&format!("\nsync_interval: {sync}"));
        options.extra = extra.to_owned();
        let (server, state) = (NatsServer::start_with(options).await?, TempDir::new()?);
        let durability = DurabilityProof::Required;
        let config =
            HostConfig { durability, ..config(&server.url(), state.path(), Replicas::One) };
        let hosted = Hosted::begin(config);
        match expected {
            Some(words) => {
                let fault = hosted.failure().await?;
                assert_eq!(fault.code, ErrorCode::BrokerNotDurable, "{fault}");
                assert!(fault.message.contains(words), "{fault}");
            }
            None => {
                crate::hosted::wait_until_served(&server.url()).await?;
                hosted.stop().await?;
            }
        }
    }
    Ok(())
}
