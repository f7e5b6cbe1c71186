//! Staying a member: credentials that are renewed, and a roster that is followed.

use std::{fs, path::Path};

use agent_node::NodeConfig;
use anyhow::{Context as _, Result};
use cortex_tests::{eventually, eventually_some};
use futures::StreamExt as _;
use schemas::{
    ErrorCode, Fault,
    agent::{Heartbeat, TaskOffer},
    enrolment::AgentAccess,
    manifest::PrincipalPattern,
    subject,
    task::{Outcome, Verdict},
};
use tokio::time::timeout;
use trust::{Purpose, nats::Creds};

use crate::{
    SOON,
    cluster::Cluster,
    plane::{ISSUER, NODE, id, key, now_s},
    stage::echo,
};

/// Offers again and again, as a scheduler does, until the node has said how it ended.
async fn outcome_of(cluster: &Cluster, offer: &TaskOffer) -> Result<Outcome> {
    let look = || async {
        cluster.plane.offer(offer).await.unwrap();
        cluster.plane.known(&offer.task).reports.first().cloned()
    };
    eventually_some(SOON, look).await
}

async fn refusal_of(cluster: &Cluster, offer: &TaskOffer) -> Result<ErrorCode> {
    let look = || async {
        cluster.plane.offer(offer).await.unwrap();
        cluster.plane.known(&offer.task).refused.first().copied()
    };
    eventually_some(SOON, look).await
}

/// Waits for a heartbeat whose complaint holds `text`, or for one without any.
async fn complaint(cluster: &Cluster, text: Option<&str>) -> Result<Heartbeat> {
    let heartbeats = subject::heartbeat(&id(NODE));
    let mut heartbeats = cluster.plane.client().nats().subscribe(heartbeats).await?;
    let mut last = None;
    let heard = timeout(SOON, async {
        while let Some(message) = heartbeats.next().await {
            let heartbeat: Heartbeat = serde_json::from_slice(&message.payload).unwrap();
            let fits = match (text, &heartbeat.complaint) {
                (None, complaint) => complaint.is_none(),
                (Some(text), Some(complaint)) => complaint.contains(text),
                (Some(_), None) => false,
            };
            if fits {
                return Some(heartbeat);
            }
            last = heartbeat.complaint;
        }
        None
    });
    let heard = heard.await.ok().flatten();
    heard.with_context(|| format!("no complaint of {text:?}; the last was {last:?}"))
}

fn login(home: &Path) -> Result<Creds> {
    Ok(Creds::from_file(&fs::read_to_string(home.join("login.creds"))?)?)
}

/// A member whose heartbeats come often.
async fn member(cluster: &Cluster) -> Result<NodeConfig> {
    let mut config = cluster.join().await?;
    let Some(agent_node::ManifestSource::Inline(manifest)) = &mut config.manifest else {
        anyhow::bail!("a join writes the manifest into the settings");
    };
    manifest.heartbeat_interval = Some(1);
    Ok(config)
}

async fn run_out(home: &Path) -> Result<()> {
    let end_s = login(home)?.summary().expires_at_s.context("it ends")?;
    eventually(SOON, || async { end_s < now_s() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_97_renewing_races_with_the_end_of_a_login_and_no_task_is_lost() -> Result<()> {
    let cluster = Cluster::found().await?;
    cluster.authority.inner().login_lifetime_s = 2;
    let config = cluster.join().await?;
    let certificates = fs::read_to_string(cluster.home().join("issuer.certs"))?;
    let node = cluster.start(config).await?;
    let before = cluster.authority.inner().renewals;
    let mut ran = 0;
    while cluster.authority.inner().renewals < before + 4 {
        let offer = cluster.plane.sign(&echo("hi"), 1);
        let outcome = outcome_of(&cluster, &offer).await?;
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{outcome:?}");
        ran += 1;
    }
    assert!(10 < ran, "{ran} tasks ran meanwhile");
    let renewed = fs::read_to_string(cluster.home().join("issuer.certs"))?;
    assert_ne!(certificates, renewed, "new certificates replace the old ones");
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_slept_comes_back_with_its_renewal_credentials() -> Result<()> {
    let cluster = Cluster::found().await?;
    cluster.authority.inner().login_lifetime_s = 1;
    let config = cluster.join().await?;
    run_out(&cluster.home()).await?;
    cluster.authority.inner().login_lifetime_s = 3600;
    let before = cluster.authority.inner().renewals;
    let node = cluster.start(config).await?;
    assert_eq!(cluster.authority.inner().renewals, before + 1);
    assert!(now_s() + 3000 < login(&cluster.home())?.summary().expires_at_s.unwrap_or_default());
    node.stop().await
}

/// Nobody renews until the broker has ended the connection; then the node comes back by itself.
#[tokio::test(flavor = "multi_thread")]
async fn attack_97_a_stale_login_is_renewed_and_the_node_comes_back_by_itself() -> Result<()> {
    let cluster = Cluster::found().await?;
    cluster.authority.inner().login_lifetime_s = 3;
    let away = Fault::new(ErrorCode::Unreachable, "the registry starts");
    let config = cluster.join().await?;
    let before = cluster.authority.inner().renewals;
    cluster.authority.inner().renew_fault = Some(away);
    let node = cluster.start(config).await?;
    run_out(&cluster.home()).await?;
    {
        let mut inner = cluster.authority.inner();
        (inner.renew_fault, inner.login_lifetime_s) = (None, 3600);
    }
    let outcome = outcome_of(&cluster, &cluster.plane.sign(&echo("hi"), 1)).await?;
    assert_eq!(outcome.verdict, Verdict::Succeeded);
    eventually(SOON, || async { cluster.authority.inner().renewals == before + 1 }).await?;
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_both_credentials_have_run_out_does_not_get_in() -> Result<()> {
    let cluster = Cluster::found().await?;
    {
        let mut inner = cluster.authority.inner();
        (inner.login_lifetime_s, inner.renewal_lifetime_s) = (1, 1);
    }
    let mut config = cluster.join().await?;
    config.max_reconnects = Some(1);
    let before = cluster.authority.inner().renewals;
    run_out(&cluster.home()).await?;
    let ended = Cluster::begin(config).ended.await?;
    let error = ended.expect_err("it got in");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error:?}");
    assert_eq!(cluster.authority.inner().renewals, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_out_says_what_to_do() -> Result<()> {
    let cluster = Cluster::found().await?;
    cluster.authority.inner().login_lifetime_s = 4;
    let config = member(&cluster).await?;
    let out = Fault::new(ErrorCode::PrincipalOut, "n1 was evicted: a test");
    cluster.authority.inner().renew_fault = Some(out);
    let node = cluster.start(config).await?;
    let heartbeat = complaint(&cluster, Some("evicted")).await?;
    let said = heartbeat.complaint.unwrap_or_default();
    assert!(said.contains("PRINCIPAL_OUT") && said.contains("ask an admin"), "{said}");
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_47_a_key_that_is_revoked_while_a_run_goes_on_is_refused_and_the_run_ends_well()
-> Result<()> {
    let cluster = Cluster::found().await?;
    let config = cluster.join().await?;
    let node = cluster.start(config.clone()).await?;
    let gate = cluster.folder.path().join("gate");
    let wait = format!("until test -e {}; do sleep 0.02; done; echo ran", gate.display());
    let running = cluster.plane.sign(&crate::stage::shell(&wait), 1);
    cluster.plane.offer(&running).await?;
    let begun = |known: &crate::plane::Known| known.started_by.clone();
    cluster.plane.known_when(&running.task, begun).await?;
    let revoked = key(Purpose::TaskIssuer).public().id();
    {
        let mut inner = cluster.authority.inner();
        (inner.roster.version, inner.roster.revoked) = (2, vec![revoked]);
    }
    let asked_at = std::time::Instant::now();
    cluster.plane.announce_roster(2).await?;
    // Those that came before the roster are let pass.
    let refused = || async {
        let offer = cluster.plane.sign(&echo("hi"), 1);
        cluster.plane.offer(&offer).await.unwrap();
        let known = || cluster.plane.known(&offer.task);
        eventually(SOON, || async { !known().refused.is_empty() || !known().reports.is_empty() })
            .await
            .unwrap();
        known().refused.first().copied()
    };
    assert_eq!(eventually_some(SOON, refused).await?, ErrorCode::KeyRevoked);
    assert!(asked_at.elapsed().as_secs() < 5, "a notice is not waited for");
    fs::write(&gate, "")?;
    assert_eq!(cluster.plane.outcome(&running.task).await?.verdict, Verdict::Succeeded);
    node.stop().await?;
    restarts_behind_no_roster(&cluster, config).await
}

/// The next process start believes nothing older, and knows who is out before anybody answers.
async fn restarts_behind_no_roster(cluster: &Cluster, config: NodeConfig) -> Result<()> {
    cluster.authority.inner().roster_fault =
        Some(Fault::new(ErrorCode::Unreachable, "the registry starts"));
    let node = Cluster::begin(config);
    let offer = cluster.plane.sign(&echo("hi"), 1);
    assert_eq!(refusal_of(cluster, &offer).await?, ErrorCode::KeyRevoked);
    {
        let mut inner = cluster.authority.inner();
        inner.roster_fault = None;
        (inner.roster.version, inner.roster.revoked) = (1, Vec::new());
    }
    complaint(cluster, Some("version 1, and version 2 was seen before")).await?;
    let offer = cluster.plane.sign(&echo("hi"), 1);
    assert_eq!(refusal_of(cluster, &offer).await?, ErrorCode::KeyRevoked);
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_without_rosters_is_named_and_nothing_is_run_for_it() -> Result<()> {
    let cluster = Cluster::found().await?;
    let config = member(&cluster).await?;
    cluster.authority.inner().roster_fault =
        Some(Fault::new(ErrorCode::UnknownVerb, "the registry has no verb get-roster"));
    let node = cluster.start(config).await?;
    let heartbeat = complaint(&cluster, Some("no roster came")).await?;
    assert_eq!(heartbeat.slots_free, 0);
    let offer = cluster.plane.sign(&echo("hi"), 1);
    assert_eq!(refusal_of(&cluster, &offer).await?, ErrorCode::RosterStale);
    cluster.authority.inner().roster_fault = None;
    cluster.plane.announce_roster(1).await?;
    assert_eq!(complaint(&cluster, None).await?.slots_free, 4);
    let outcome = outcome_of(&cluster, &cluster.plane.sign(&echo("hi"), 1)).await?;
    assert_eq!(outcome.verdict, Verdict::Succeeded);
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn owner_and_shares_come_from_the_registry() -> Result<()> {
    let cluster = Cluster::found().await?;
    let config = cluster.join().await?;
    let shared = |with: &str| AgentAccess {
        agent: id(NODE),
        owner: id("olga"),
        shared_with: vec![PrincipalPattern::parse(with).unwrap()],
    };
    cluster.authority.inner().access = Some(shared("bob"));
    let node = cluster.start(config).await?;
    let offer = cluster.plane.sign(&echo("hi"), 1);
    assert_eq!(refusal_of(&cluster, &offer).await?, ErrorCode::TaskNotPermitted);
    cluster.authority.inner().access = Some(shared(ISSUER));
    cluster.plane.announce_roster(1).await?;
    let runs = || async {
        let offer = cluster.plane.sign(&echo("hi"), 1);
        cluster.plane.offer(&offer).await.unwrap();
        let known = || cluster.plane.known(&offer.task);
        eventually(SOON, || async { !known().refused.is_empty() || !known().reports.is_empty() })
            .await
            .unwrap();
        !known().reports.is_empty()
    };
    eventually(SOON, runs).await?;
    node.stop().await
}
