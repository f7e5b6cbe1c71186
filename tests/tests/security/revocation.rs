//! Who was put out is out: at once, on every wall, and after everything was started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cortex_tests::{Installation, Login, Member, Process, Signal, eventually, eventually_some};
use schemas::agent::TaskOffer;
use schemas::claims::AssignmentClaims;
use schemas::enrolment::PrincipalView;
use schemas::key::KeyPurpose;
use schemas::scheduler::{SubmitAnswer, SubmitRequest, verb};
use schemas::subject::ServiceName::Scheduler;
use schemas::{Fault, TaskId};
use serde_json::{Value, json};
use trust::{Assignment, ClusterName, SecretKey, envelope_hash, sign};

use crate::fleet::{
    DEADLINE, Shared, Watcher, check_refused, connect, creds_file, good, principal,
};
use crate::stage::{id, now_s};

static CORTEX: Shared = Shared::new();
/// From the answer to whoever puts somebody out.
const DROPPED_WITHIN: Duration = Duration::from_secs(2);

/// Puts somebody out and tells how long they stayed connected.
#[expect(clippy::print_stdout, reason = "a measurement is for whoever runs the tests to read")]
async fn put_out(cortex: &Installation, words: &[&str], login: &str) -> Result<Duration> {
    let watcher = Watcher::of(cortex).await?;
    ensure!(!watcher.connections(login).await?.is_empty(), "{words:?}: nobody is connected");
    good(cortex.cortex(words).await?)?;
    let start = Instant::now();
    let took = watcher.until_none(login, start).await?;
    println!("{}: dropped after {} ms", words.join(" "), took.as_millis());
    ensure!(took < DROPPED_WITHIN, "{words:?} took {took:?}");
    Ok(took)
}

/// Somebody who listens until they are cut off.
fn listen(person: &Member) -> Result<tokio::process::Child> {
    let mut command = person.command(&["events", "registry", "--follow"]);
    Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

async fn connected(cortex: &Installation, login: &str) -> Result<()> {
    let watcher = Watcher::of(cortex).await?;
    let there = || async { watcher.connections(login).await.is_ok_and(|it| !it.is_empty()) };
    eventually(DEADLINE, there).await
}

async fn runs(cortex: &Installation, name: &str) -> Result<()> {
    let run = cortex.cortex(&["run", "--on", name, "--", "echo", "here"]).await?;
    ensure!(run.code == 0 && run.stdout == "here\n", "{run:?}");
    Ok(())
}

#[tokio::test]
async fn attack_94_an_evicted_nodes_live_connection_drops_and_it_returns_by_a_new_line_alone()
-> Result<()> {
    let cortex = CORTEX.get().await?;
    let old = Member::node(&cortex, "evicted", (&[], &[])).await?;
    runs(&cortex, "evicted").await?;
    let before = principal(&cortex, "evicted").await?;
    put_out(&cortex, &["agent", "evict", "evicted"], &before.login).await?;
    let listed = good(cortex.cortex(&["agent", "ls"]).await?)?;
    ensure!(!listed.contains("evicted"), "{listed}");
    let run = ["run", "--on", "evicted", "--", "true"];
    check_refused(&cortex.cortex(&run).await?, "NO_SUCH_NODE")?;
    let new = Member::node(&cortex, "evicted", (&[], &[])).await?;
    runs(&cortex, "evicted").await?;
    // What the old one has is of no use although the name is in again.
    ensure!(principal(&cortex, "evicted").await?.login != before.login);
    let watcher = Watcher::of(&cortex).await?;
    ensure!(watcher.connections(&before.login).await?.is_empty());
    drop((old, new));
    Ok(())
}

#[tokio::test]
async fn attack_94_a_banned_node_is_cut_off_and_never_invited_again() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let _node = Member::node(&cortex, "banned", (&[], &[])).await?;
    let login = principal(&cortex, "banned").await?.login;
    put_out(&cortex, &["agent", "ban", "banned"], &login).await?;
    let again = cortex.cortex(&["invite", "--name", "banned"]).await?;
    check_refused(&again, "banned is banned")
}

#[tokio::test]
async fn attack_94_a_persons_live_connection_drops_and_they_are_answered_nothing_more() -> Result<()>
{
    let cortex = CORTEX.get().await?;
    for (name, verb) in [("leaver", "evict"), ("intruder", "ban")] {
        let person = Member::person(&cortex, name, "user").await?;
        good(person.cortex(&["agent", "ls"]).await?)?;
        let login = principal(&cortex, name).await?.login;
        let mut listening = listen(&person)?;
        connected(&cortex, &login).await?;
        put_out(&cortex, &["user", verb, name], &login).await?;
        let asked = person.cortex(&["agent", "ls"]).await?;
        ensure!(asked.code != 0, "{asked:?}");
        listening.kill().await?;
    }
    let _returns = Member::person(&cortex, "leaver", "user").await?;
    let again = cortex.cortex(&["invite", "--name", "intruder", "--role", "user"]).await?;
    check_refused(&again, "intruder is banned")
}

#[tokio::test]
async fn attack_94_the_evicted_and_the_banned_stay_out_when_everything_starts_again() -> Result<()>
{
    let cortex = Installation::start_with(&["--no-node"]).await?;
    let out = Member::node(&cortex, "out", (&[], &[])).await?;
    let stays = Member::node(&cortex, "stays", (&[], &[])).await?;
    let person = Member::person(&cortex, "ann", "user").await?;
    let logins = [principal(&cortex, "out").await?.login, principal(&cortex, "ann").await?.login];
    put_out(&cortex, &["agent", "evict", "out"], &logins[0]).await?;
    good(cortex.cortex(&["user", "ban", "ann"]).await?)?;
    for again in ["killed", "down"] {
        if again == "killed" {
            ensure!(cortex.kill9(Process::Nats).await?);
        } else {
            cortex.down().await?;
            cortex.up_again().await?;
        }
        // Whoever may come back does.
        let back = || async { runs(&cortex, "stays").await.is_ok() };
        eventually(DEADLINE, back).await.with_context(|| stays.node_log())?;
        ensure!(person.cortex(&["agent", "ls"]).await?.code != 0, "{again}");
        let watcher = Watcher::of(&cortex).await?;
        for login in &logins {
            ensure!(watcher.connections(login).await?.is_empty(), "{again}: {login}");
        }
    }
    drop(out);
    Ok(())
}

/// A request that somebody signed and nobody handed in yet.
async fn signed(person: &Member, node: &str) -> Result<SubmitRequest> {
    let words = ["task", "sign", "--on", node, "--", "echo", "here"];
    Ok(serde_json::from_str(&good(person.cortex(&words).await?)?)?)
}

async fn submit(cortex: &Installation, request: &SubmitRequest) -> Result<TaskId, Fault> {
    let owner = connect(cortex, "owner", creds_file(cortex, "owner")).await;
    let owner = owner.map_err(|error| {
        Fault::new(schemas::ErrorCode::Internal, format!("connecting: {error}"))
    })?;
    let answer: SubmitAnswer = owner.request(Scheduler, verb::SUBMIT, request).await?;
    Ok(answer.task)
}

fn issuer_key(of: &PrincipalView) -> Result<String> {
    let mut keys = of.keys.iter().filter(|key| key.purpose == KeyPurpose::TaskIssuer);
    Ok(keys.next().context("no key to sign with")?.id.to_string())
}

/// What a thief of the scheduler's key and login would send to a node.
async fn forge(cortex: &Installation, node: &str, request: &SubmitRequest) -> Result<TaskId> {
    let keys = cortex.home().join("config/keys");
    let key = SecretKey::from_file(&fs::read_to_string(keys.join("scheduler.key"))?)?;
    let Login { cluster, .. } = cortex.login()?;
    let envelope = STANDARD.decode(request.envelope.as_ref().context("it is signed")?)?;
    let now_s = now_s();
    let task = TaskId::parse(&schemas::hex(&rand::random::<[u8; 16]>()))?;
    let claims = AssignmentClaims {
        issuer: id("scheduler"),
        issued_at_s: now_s,
        expires_at_s: now_s + 60,
        task: task.clone(),
        request_hash: envelope_hash(&envelope),
        node: id(node),
        epoch: 1,
        attempt: 1,
        term: 1,
    };
    let assignment = sign::<Assignment>(&claims, &ClusterName::parse(&cluster)?, &key)?;
    let chain = fs::read_to_string(keys.join("scheduler.certs"))?;
    let certificates = request.certificates.iter().cloned();
    let offer = TaskOffer {
        task: task.clone(),
        epoch: 1,
        request: STANDARD.encode(&envelope),
        assignment: STANDARD.encode(assignment),
        certificates: certificates.chain(chain.lines().map(str::to_owned)).collect(),
        ancestors: Vec::new(),
    };
    let scheduler = connect(cortex, "scheduler", creds_file(cortex, "scheduler")).await?;
    let subject = format!("cortex.node.{node}.task");
    scheduler.nats().publish(subject, serde_json::to_vec(&offer)?.into()).await?;
    scheduler.nats().flush().await?;
    Ok(task)
}

#[tokio::test]
async fn attack_47_a_revoked_key_signs_nothing_that_scheduler_or_node_take() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let ann = Member::person(&cortex, "keyless", "user").await?;
    let node = Member::node(&cortex, "guarded", (&["--owner", "keyless"], &[])).await?;
    let (before, after) = (signed(&ann, "guarded").await?, signed(&ann, "guarded").await?);
    let task = submit(&cortex, &before).await.map_err(|fault| anyhow::anyhow!("{fault}"))?;
    good(cortex.cortex(&["task", "wait", task.as_str()]).await?)?;
    let key = issuer_key(&principal(&cortex, "keyless").await?)?;
    // Before, a node finds no other fault with a forged offer than that it names another task.
    forge(&cortex, "guarded", &after).await?;
    ensure!(!node.node_log().contains("KEY_REVOKED"));
    good(cortex.cortex(&["key", "revoke", &key, "--reason", "stolen"]).await?)?;
    let fault = submit(&cortex, &after).await.err().context("the scheduler took it")?;
    assert_eq!(fault.code.as_str(), "KEY_REVOKED", "{fault}");
    check_refused(&ann.cortex(&["run", "--on", "guarded", "--", "true"]).await?, "KEY_REVOKED")?;
    let version = || async { (node_roster(&node)?.contains(&key)).then_some(()) };
    eventually_some(DEADLINE, version).await.context("the node never heard of it")?;
    forge(&cortex, "guarded", &after).await?;
    let refused = || async { node.node_log().contains("KEY_REVOKED") };
    eventually(DEADLINE, refused).await.with_context(|| node.node_log())
}

/// The roster that a node keeps, as text in which keys can be found.
fn node_roster(node: &Member) -> Option<String> {
    let path = node.folder().join("state/roster.json");
    let kept: Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    let envelope = STANDARD.decode(kept["envelope"].as_str()?).ok()?;
    Some(format!("{} {}", schemas::hex(&envelope), String::from_utf8_lossy(&envelope)))
}

#[tokio::test]
async fn a_node_that_gets_no_roster_keeps_the_one_that_it_had() -> Result<()> {
    let cortex = Installation::start_with(&["--no-node"]).await?;
    let ann = Member::person(&cortex, "ann", "user").await?;
    let mut node = Member::node(&cortex, "keeper", (&["--owner", "ann"], &[])).await?;
    let request = signed(&ann, "keeper").await?;
    let key = issuer_key(&principal(&cortex, "ann").await?)?;
    good(cortex.cortex(&["key", "revoke", &key]).await?)?;
    let known = || async { node_roster(&node)?.contains(&key).then_some(()) };
    eventually_some(DEADLINE, known).await.context("the node never heard of it")?;
    node.process()?.kill()?;
    cortex.signal(Process::Registry, Signal::Stop)?;
    node.start()?;
    let up = || async { node.node_log().matches("connected").count() > 1 };
    eventually(DEADLINE, up).await.with_context(|| node.node_log())?;
    // A thief of the scheduler's keys comes before the registry is back.
    let refused = || async {
        // It may come before the node listens.
        drop(forge(&cortex, "keeper", &request).await);
        node.node_log().contains("KEY_REVOKED")
    };
    Box::pin(eventually(DEADLINE, refused)).await.with_context(|| node.node_log())?;
    ensure!(node_roster(&node).context("a roster")?.contains(&key));
    cortex.signal(Process::Registry, Signal::Continue)?;
    node.wait_online(&cortex).await?;
    runs(&cortex, "keeper").await
}

#[tokio::test]
async fn rotating_keys_under_load_loses_no_task() -> Result<()> {
    let cortex = Installation::start().await?;
    let words = ["task", "sign", "--on", "local", "--", "echo", "signed before"];
    let before: SubmitRequest = serde_json::from_str(&good(cortex.cortex(&words).await?)?)?;
    let old = principal(&cortex, "owner").await?;
    let load = async {
        let mut tasks = Vec::new();
        for count in 0..12 {
            let script = format!("sleep 0.1; echo {count}");
            let words = ["run", "--on", "local", "--", "sh", "-c", &script];
            let run = cortex.cortex(&words).await?;
            ensure!(run.code == 0 && run.stdout == format!("{count}\n"), "{count}: {run:?}");
            tasks.push(count);
        }
        anyhow::Ok(tasks.len())
    };
    let rotate = async {
        for _ in 0..3 {
            good(cortex.cortex(&["key", "rotate"]).await?)?;
        }
        anyhow::Ok(())
    };
    let (ran, rotated) = tokio::join!(load, rotate);
    rotated?;
    assert_eq!(ran?, 12);
    let new = principal(&cortex, "owner").await?;
    ensure!(new.login != old.login && old.keys.len() + 3 == new.keys.len(), "{new:?}");
    let task = submit(&cortex, &before).await.map_err(|fault| anyhow::anyhow!("{fault}"))?;
    let waited = cortex.cortex(&["task", "wait", task.as_str()]).await?;
    let logs = good(cortex.cortex(&["task", "logs", task.as_str()]).await?)?;
    assert_eq!((waited.code, logs.as_str()), (0, "signed before\n"), "{waited:?}");
    let shown: Value = cortex.cortex(&["task", "ls", "-o", "json"]).await?.json()?;
    let tasks = shown.as_array().context("a list")?;
    ensure!(tasks.iter().all(|task| task["state"] == json!("succeeded")), "{shown}");
    Ok(())
}

/// Every file below a folder.
fn files(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push((path.clone(), fs::read(&path)?));
        }
    }
    Ok(found)
}

#[tokio::test]
async fn a_rotation_whose_answer_was_lost_is_ended_by_the_next_try() -> Result<()> {
    let cortex = Installation::start().await?;
    let ann = Member::person(&cortex, "ann", "user").await?;
    let members = ann.home().join("config/members");
    let folder = fs::read_dir(members)?.next().context("no member")??.path();
    let before = files(&folder)?;
    good(ann.cortex(&["key", "rotate"]).await?)?;
    let rotated = principal(&cortex, "ann").await?;
    // As it was on disk when the registry had answered and nobody heard it.
    let (key, creds) = (folder.join("keys/issuer.key"), folder.join("login.creds"));
    let text = fs::read_to_string(&creds)?;
    let (_, seed) = text.split_once("-----BEGIN USER NKEY SEED-----").context("no seed")?;
    let seed = seed.lines().find(|line| line.starts_with('S')).context("no seed")?;
    fs::write(key.with_extension("key.pending"), fs::read(&key)?)?;
    fs::write(creds.with_extension("creds.pending"), seed)?;
    for (path, bytes) in before {
        fs::write(path, bytes)?;
    }
    good(ann.cortex(&["key", "rotate"]).await?)?;
    assert_eq!(principal(&cortex, "ann").await?.login, rotated.login);
    good(ann.cortex(&["task", "ls"]).await?)?;
    Ok(())
}
