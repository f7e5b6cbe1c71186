//! Who is in stays in, through renewals, sleep and upgrades; who was put out stays out, through
//! restarts of the broker and of everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use client::{Client, ConnectError, ConnectOptions, Credentials, LinkState};
use cortex_tests::{Installation, Process, Signal, eventually};
use schemas::PrincipalId;
use schemas::claims::OrderClaims;
use schemas::enrolment::{OrderAnswer, OrderRequest};
use schemas::registry::verb;
use schemas::subject::ServiceName;
use serde_json::Value;
use tokio::time::timeout;
use trust::nats::Creds;
use trust::{Anchor, ClusterName, Order, SecretKey, TrustAnchors};

use crate::stage::{id, now_s};

const DEADLINE: Duration = Duration::from_secs(60);
/// How long a revoked user may stay.
const REVOKED_WITHIN: Duration = Duration::from_secs(2);
/// How long what everybody logs in with counts, in seconds.
const LIFETIME_S: u64 = 4;
/// How often everybody is renewed before the tests are content.
const RENEWALS: usize = 3;

fn creds_file(cortex: &Installation, name: &str) -> PathBuf {
    cortex.home().join(format!("config/creds/{name}.creds"))
}

fn end_s(cortex: &Installation, name: &str) -> Result<u64> {
    creds(cortex, name)?.summary().expires_at_s.with_context(|| format!("{name} never ends"))
}

/// Who is renewed on this machine.
fn renewed(cortex: &Installation) -> Result<Vec<String>> {
    let owner = cortex.login()?.principal;
    Ok([owner.as_str(), "admin", "system", "registry", "scheduler"].map(str::to_owned).into())
}

async fn short_lived() -> Result<Installation> {
    Installation::start_with(&["--login-lifetime-s", &LIFETIME_S.to_string()]).await
}

async fn run(cortex: &Installation, script: &str) -> Result<String> {
    let ran = cortex.cortex(&["run", "--on", "local", "--", "sh", "-c", script]).await?;
    ensure!(ran.code == 0, "{script}: {ran:?}\nup said:\n{}", cortex.log());
    Ok(ran.stdout)
}

/// Runs task after task until `enough`, and says how many.
async fn run_until(cortex: &Installation, enough: impl Fn() -> bool) -> Result<usize> {
    let mut count = 0;
    while !enough() {
        let word = format!("turn {count}");
        ensure!(run(cortex, &format!("echo {word}")).await? == format!("{word}\n"));
        count += 1;
    }
    Ok(count)
}

#[tokio::test]
async fn nothing_is_lost_over_several_renewals() -> Result<()> {
    let cortex = short_lived().await?;
    let names = renewed(&cortex)?;
    let seen = std::sync::Mutex::new(BTreeMap::<String, BTreeSet<u64>>::new());
    let enough = || {
        let mut seen = seen.lock().unwrap();
        for name in &names {
            let end_s = end_s(&cortex, name).unwrap();
            seen.entry(name.clone()).or_default().insert(end_s);
        }
        seen.values().all(|ends| RENEWALS < ends.len())
    };
    // One that outlives every login that there is when it begins.
    let long = format!("for i in $(seq {}); do echo $i; sleep 1; done", 2 * LIFETIME_S);
    let (long, count) = tokio::join!(run(&cortex, &long), run_until(&cortex, enough));
    let lines = (1..=2 * LIFETIME_S).map(|line| format!("{line}\n")).collect::<String>();
    assert_eq!(long?, lines);
    let list = ["task", "ls", "--limit", "10000", "-o", "json"];
    let listed: Vec<Value> = cortex.cortex(&list).await?.json()?;
    // These, the long one, and the one that `up` itself starts with.
    assert_eq!(listed.len(), count? + 2);
    assert!(listed.iter().all(|task| task["state"] == "succeeded"), "{listed:?}");
    for process in [Process::NatsGuard, Process::Registry, Process::Scheduler, Process::Node] {
        assert_eq!(cortex.restarts(process)?, 0, "{process}: {}", cortex.log_of(process));
    }
    Ok(())
}

#[tokio::test]
async fn a_machine_that_slept_locks_nobody_out() -> Result<()> {
    let cortex = short_lived().await?;
    for process in Process::ALL {
        cortex.signal(process, Signal::Stop)?;
    }
    let ends =
        renewed(&cortex)?.iter().map(|name| end_s(&cortex, name)).collect::<Result<Vec<_>>>();
    let last_s = ends?.into_iter().max().context("nobody logs in")?;
    eventually(DEADLINE, async || last_s < now_s()).await?;
    for process in Process::ALL.into_iter().rev() {
        cortex.signal(process, Signal::Continue)?;
    }
    assert_eq!(run(&cortex, "echo awake").await?, "awake\n");
    Ok(())
}

#[tokio::test]
async fn who_was_put_out_stays_out_after_every_restart() -> Result<()> {
    let cortex = Installation::start().await?;
    let local = creds(&cortex, "local")?;
    let inside = connect(&cortex, &local).await?;
    let mut changes = inside.on_change();
    let began = Instant::now();
    evict(&cortex, "local").await?;
    timeout(DEADLINE, changes.wait_for(|state| *state != LinkState::Connected)).await??;
    assert!(began.elapsed() < REVOKED_WITHIN, "{:?}", began.elapsed());
    check_out(&cortex, &local).await?;

    cortex.kill9(Process::Nats).await?;
    let owner = cortex.login()?.principal;
    let owner = creds(&cortex, &owner)?;
    Box::pin(eventually(DEADLINE, async || connect(&cortex, &owner).await.is_ok())).await?;
    check_out(&cortex, &local).await?;

    cortex.kill9_all().await?;
    // Twice, for what is signed at one start must not be forgotten at the next.
    for life in ["second", "third"] {
        cortex.up_again().await?;
        check_out(&cortex, &local).await?;
        // By the very first account that the broker is given, before the registry says anything.
        assert!(told_at_start(&cortex)?.contains(&local.summary().subject), "{life}");
        assert!(cortex.log().contains("local was put out"), "{}", cortex.log());
        let listed: Vec<Value> = cortex.cortex(&["task", "ls", "-o", "json"]).await?.json()?;
        assert_eq!(listed.len(), 1, "{listed:?}");
        cortex.down().await?;
    }
    Ok(())
}

fn creds(cortex: &Installation, name: &str) -> Result<Creds> {
    Ok(Creds::from_file(&fs::read_to_string(creds_file(cortex, name))?)?)
}

async fn connect(cortex: &Installation, creds: &Creds) -> Result<Client, ConnectError> {
    let credentials = Credentials::Creds(Box::new(creds.clone()));
    let url = cortex.url().unwrap();
    let options =
        ConnectOptions { credentials, ..ConnectOptions::new(url, id(&creds.summary().name)) };
    Client::connect(options).await
}

async fn check_out(cortex: &Installation, creds: &Creds) -> Result<()> {
    match connect(cortex, creds).await.err() {
        Some(ConnectError::Refused { .. }) => Ok(()),
        other => anyhow::bail!("{} was not refused: {other:?}", creds.summary().name),
    }
}

/// Puts somebody out, as the person who owns it all.
async fn evict(cortex: &Installation, name: &str) -> Result<()> {
    let login = cortex.login()?;
    let order = schemas::enrolment::Order::Evict { principal: id(name), reason: "a test".into() };
    let claims = OrderClaims {
        issuer: id(&login.principal),
        service: id("registry"),
        issued_at_s: now_s(),
        expires_at_s: now_s() + 60,
        nonce: rand::random(),
        order_json: serde_json::to_string(&order)?,
    };
    let key = SecretKey::from_file(&fs::read_to_string(&login.key)?)?;
    let envelope = trust::sign::<Order>(&claims, &ClusterName::parse(&login.cluster)?, &key)?;
    let envelope = Some(STANDARD.encode(envelope));
    let request = OrderRequest { envelope, certificates: login.chain()? };
    let owner = connect(cortex, &creds(cortex, &login.principal)?).await?;
    let answer: OrderAnswer = owner.request(ServiceName::Registry, verb::ORDER, &request).await?;
    ensure!(answer == OrderAnswer::Done {}, "{answer:?}");
    Ok(())
}

/// Keys that are revoked by the account that the broker's configuration has.
fn told_at_start(cortex: &Installation) -> Result<BTreeSet<String>> {
    let config = fs::read_to_string(cortex.home().join("state/run/nats.conf"))?;
    let mut revoked = BTreeSet::new();
    for jwt in config.split_whitespace().filter(|word| word.matches('.').count() == 2) {
        let Some(claims) = jwt.split('.').nth(1) else { continue };
        let Ok(claims) = URL_SAFE_NO_PAD.decode(claims) else { continue };
        let claims: Value = serde_json::from_slice(&claims)?;
        let keys = claims["nats"]["revocations"].as_object();
        revoked.extend(keys.into_iter().flatten().map(|(key, _)| key.clone()));
    }
    Ok(revoked)
}

#[tokio::test]
async fn a_home_whose_keys_were_pinned_one_by_one_goes_on() -> Result<()> {
    let cortex = Installation::start().await?;
    run(&cortex, "echo before").await?;
    cortex.down().await?;
    let owner = cortex.login()?;
    let config = cortex.home().join("config");
    make_earlier(&config, &owner.cluster, &id(&owner.principal))?;
    cortex.up_again().await?;
    assert_eq!(run(&cortex, "echo after").await?, "after\n");
    let listed: Vec<Value> = cortex.cortex(&["task", "ls", "-o", "json"]).await?.json()?;
    assert_eq!(listed.len(), 4, "{listed:?}");
    let found = cortex.cortex(&["doctor"]).await?;
    assert_eq!(found.code, 0, "{found:?}");
    Ok(())
}

/// Makes a home what an earlier version would have made of it.
fn make_earlier(config: &Path, cluster: &str, owner: &PrincipalId) -> Result<()> {
    let keys = config.join("keys");
    let mut anchors = TrustAnchors::new(ClusterName::parse(cluster)?);
    for (name, principal) in [("owner", owner), ("scheduler", &id("scheduler"))] {
        let path = keys.join(format!("{name}.json"));
        fs::rename(keys.join(format!("{name}.key")), &path)?;
        let anchor = Anchor {
            key: SecretKey::from_file(&fs::read_to_string(&path)?)?.public().clone(),
            principal: principal.clone(),
            not_before_s: now_s() - 3600,
            not_after_s: now_s() + 3600,
            revoked_at_s: None,
            acts_for: BTreeSet::new(),
        };
        anchors.add(anchor)?;
    }
    fs::write(config.join("anchors.json"), anchors.to_file())?;
    for entry in fs::read_dir(&keys)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|it| it.to_str());
        if matches!(ending, Some("key" | "certs")) || path.ends_with("issuing.toml") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
