//! One line lets one machine in, as whom and with what the invite says, and nobody else.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cortex_tests::{Installation, Member, eventually, eventually_some};
use schemas::registry::verb;
use schemas::subject::ServiceName;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::fleet::{DEADLINE, Shared, check_refused, connect, events, good, principal};
use crate::secrets::traces::{Secrets, Traces};
use crate::trial::{check_denied, publish, subscribe};

static CORTEX: Shared = Shared::new();
/// What a join says, step by step.
const STEPS: usize = 8;

/// What an invite line says.
fn parts(line: &str) -> Result<Value> {
    let text = line.strip_prefix("cortex-invite-1.").context("it begins differently")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text)?)?)
}

/// A manifest as a person registers it, who has no keys of the agent.
fn manifest(machine: &Member, id: &str) -> Result<String> {
    let path = machine.home().join(format!("{id}.json"));
    let manifest = json!({ "id": id, "name": id, "role": "worker", "capabilities": {} });
    fs::write(&path, manifest.to_string())?;
    Ok(path.display().to_string())
}

async fn runs_tasks(cortex: &Installation, name: &str) -> Result<()> {
    let run = cortex.cortex(&["run", "--on", name, "--", "echo", "here"]).await?;
    ensure!(run.code == 0 && run.stdout == "here\n", "{run:?}");
    Ok(())
}

#[tokio::test]
async fn a_machine_comes_in_with_one_line_and_is_the_same_member_with_it_again() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let mut machine = Member::nobody(&cortex, "one-line")?;
    let line = cortex.invite(&["--name", "one-line"]).await?;
    good(machine.join(&line, &["--can", "shell.exec"]).await?)?;
    let settings = fs::read_to_string(machine.settings())?;
    let before = principal(&cortex, "one-line").await?;
    let again = machine.join(&line, &[]).await?;
    ensure!(again.code == 0 && again.stderr.contains("had come in"), "{again:?}");
    assert_eq!(principal(&cortex, "one-line").await?, before);
    assert_eq!(fs::read_to_string(machine.settings())?, settings);
    machine.start()?;
    machine.wait_online(&cortex).await?;
    runs_tasks(&cortex, "one-line").await
}

#[tokio::test]
async fn a_node_starts_from_wherever_its_settings_are_named() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let machine = Member::machine(&cortex, "relative", (&[], &["--accept", "relative"])).await?;
    let mut command = machine.command(&["agent", "run", "--config", "node/node.toml"]);
    let log = fs::File::create(machine.home().join("node.log"))?;
    let mut node = command.current_dir(machine.home()).stderr(log).spawn()?;
    machine.wait_online(&cortex).await?;
    // With grants a run gets a socket of its node's, by its path.
    let grants = ["--grant-agent", "relative", "--grant-tasks", "1"];
    let words = [&["run", "--on", "relative"], &grants[..], &["--", "echo", "here"]].concat();
    assert_eq!(good(cortex.cortex(&words).await?)?, "here\n");
    Ok(node.kill().await?)
}

#[tokio::test]
async fn attack_91_a_join_that_is_killed_after_any_step_ends_well_the_next_time() -> Result<()> {
    let cortex = CORTEX.get().await?;
    for step in 1..=STEPS {
        let name = format!("killed-{step}");
        let mut machine = Member::nobody(&cortex, &name)?;
        let line = cortex.invite(&["--name", &name]).await?;
        let mut command = machine.command(&machine.joining(&line, &[]));
        let mut join = command.stdout(Stdio::null()).spawn()?;
        let mut said = BufReader::new(join.stderr.take().context("it is piped")?).lines();
        for _ in 0..step {
            said.next_line().await?.context("it says less")?;
        }
        join.kill().await?;
        let again = machine.join(&line, &[]).await?;
        ensure!(again.code == 0, "after {step}: {again:?}");
        if [1, 4, STEPS].contains(&step) {
            machine.start()?;
            machine.wait_online(&cortex).await?;
            runs_tasks(&cortex, &name).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn attack_89_of_two_machines_with_one_line_one_comes_in_and_the_other_is_an_alarm()
-> Result<()> {
    let cortex = CORTEX.get().await?;
    let line = cortex.invite(&["--name", "raced"]).await?;
    let (left, right) = (Member::nobody(&cortex, "raced")?, Member::nobody(&cortex, "raced")?);
    let (first, second) = tokio::join!(left.join(&line, &[]), right.join(&line, &[]));
    let (first, second) = (first?, second?);
    ensure!((first.code == 0) != (second.code == 0), "{first:?} {second:?}");
    let (mut winner, loser) = if first.code == 0 { (left, second) } else { (right, first) };
    check_refused(&loser, "INVITE_USED")?;
    let alarms = abuses(&cortex, "raced").await?;
    ensure!(alarms.len() == 1, "{alarms:?}");
    winner.start()?;
    winner.wait_online(&cortex).await?;
    runs_tasks(&cortex, "raced").await
}

/// The alarms of a name, as an admin reads them.
async fn abuses(cortex: &Installation, name: &str) -> Result<Vec<Value>> {
    let said = cortex.cortex(&["events", "registry", "-o", "json"]).await?;
    let is_alarm = |it: &Value| it["event"]["type"] == "invite-abused" && it["id"] == name;
    Ok(events(&said).into_iter().filter(is_alarm).collect())
}

#[tokio::test]
async fn attack_92_a_line_whose_machine_is_in_brings_no_other_keys_in() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let line = cortex.invite(&["--name", "taken-line"]).await?;
    let machine = Member::nobody(&cortex, "taken-line")?;
    good(machine.join(&line, &[]).await?)?;
    let before = principal(&cortex, "taken-line").await?;
    let thief = Member::nobody(&cortex, "taken-line")?;
    check_refused(&thief.join(&line, &[]).await?, "INVITE_USED")?;
    ensure!(!thief.settings().exists() && !thief.folder().join("login.creds").exists());
    assert_eq!(principal(&cortex, "taken-line").await?.login, before.login);
    let alarms = abuses(&cortex, "taken-line").await?;
    ensure!(alarms.len() == 1, "{alarms:?}");
    let stranger = Member::person(&cortex, "no-alarms", "user").await?;
    let read = stranger.cortex(&["events", "registry", "-o", "json"]).await?;
    let hears = events(&read).into_iter().any(|it| it["id"] == "taken-line");
    ensure!(!hears, "{}", read.stdout);
    Ok(())
}

#[tokio::test]
async fn attack_90_a_line_that_has_expired_lets_nobody_in() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let words = ["invite", "--name", "too-late", "--ttl", "1s", "-o", "json"];
    let invited: Value = cortex.cortex(&words).await?.json()?;
    let ends_ms = invited["expires_at"].as_u64().context("it ends")?;
    let now_ms = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    // What it logs in with ends with a whole second.
    eventually(DEADLINE, || async { u128::from(ends_ms) + 1000 < now_ms() }).await?;
    let machine = Member::nobody(&cortex, "too-late")?;
    let line = invited["line"].as_str().context("a line")?;
    let late = machine.join(line, &[]).await?;
    check_refused(&late, "INVITE_EXPIRED")?;
    let open: Value = cortex.cortex(&["invite", "ls", "-o", "json"]).await?.json()?;
    let listed = open["invites"].as_array().context("a list")?;
    ensure!(listed.iter().all(|it| it["principal"] != "too-late"), "{open}");
    // The same name with a line that lives.
    let machine = Member::nobody(&cortex, "too-late")?;
    let line = cortex.invite(&["--name", "too-late", "--ttl", "1m"]).await?;
    good(machine.join(&line, &[]).await?).map(drop)
}

#[tokio::test]
async fn what_a_line_logs_in_with_can_redeem_and_do_nothing_else() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let line = cortex.invite(&["--name", "only-redeems"]).await?;
    let parts = parts(&line)?;
    let [jwt, seed, invite] = ["jwt", "seed", "invite"].map(|part| parts[part].as_str());
    let (jwt, seed) = (jwt.context("a JWT")?, seed.context("a seed")?);
    let name = format!("invite-{}", invite.context("an invite")?);
    let folder = tempfile::tempdir()?;
    let creds = folder.path().join("line.creds");
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    fs::write(&creds, text)?;
    let client = connect(&cortex, &name, creds).await?;
    let own = |verb: &str| format!("cortex.cmd.{name}.{verb}");
    let mut tried = Vec::new();
    for verb in verb::ALL.into_iter().filter(|verb| *verb != verb::REDEEM) {
        tried.push(own(&format!("registry.{verb}")));
    }
    tried.extend(["scheduler.submit", "scheduler.get-tasks"].map(own));
    let others = ["cortex.cmd.owner.registry.redeem", "$JS.API.INFO", "cortex.roster", "cortex.x"];
    tried.extend(others.map(str::to_owned));
    let tried: Vec<&str> = tried.iter().map(String::as_str).collect();
    check_denied(&client, &publish(&tried)).await?;
    let heard = [">", "cortex.>", "cortex.ev.>", "cortex.roster", "_INBOX.>", "$SYS.>"];
    check_denied(&client, &subscribe(&heard)).await?;
    // What it may say is heard and judged by its secret.
    let keys = json!({ "login": "U", "login_proof": "", "keys": [], "proofs": [] });
    let wrong =
        json!({ "invite": parts["invite"], "secret": STANDARD.encode([0; 32]), "keys": keys });
    let answer: Result<Value, schemas::Fault> =
        client.request(ServiceName::Registry, verb::REDEEM, &wrong).await;
    let fault = answer.err().context("it was let in")?;
    ensure!(fault.code != schemas::ErrorCode::PermissionDenied, "{fault:?}");
    let machine = Member::nobody(&cortex, "only-redeems")?;
    good(machine.join(&line, &[]).await?).map(drop)
}

#[tokio::test]
async fn capabilities_beyond_the_invite_are_refused() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let allowed: &[&str] = &["--can", "shell.exec", "--can", "proxmox.vm.*"];
    let wanted: &[&str] = &["--can", "shell.exec", "--can", "proxmox.vm.start"];
    Member::node(&cortex, "within", (allowed, wanted)).await?;
    let beyond: &[&str] = &["--can", "shell.exec", "--can", "proxmox.*"];
    let mut greedy = Member::machine(&cortex, "beyond", (allowed, beyond)).await?;
    greedy.start()?;
    let refused = || async { greedy.node_log().contains("MANIFEST_EXCEEDS_INVITE") };
    eventually(DEADLINE, refused).await.with_context(|| greedy.node_log())?;
    check_refused(&cortex.cortex(&["agent", "show", "beyond"]).await?, "AGENT_NOT_FOUND")
}

#[tokio::test]
async fn attack_93_a_name_that_is_somebodys_is_neither_invited_nor_registered_again() -> Result<()>
{
    let cortex = CORTEX.get().await?;
    Member::machine(&cortex, "somebodys", (&[], &[])).await?;
    let before = principal(&cortex, "somebodys").await?;
    let ann = Member::person(&cortex, "taker", "user").await?;
    let names = ["somebodys", "owner", "registry", "scheduler", "gateway", "invite-0"];
    for name in names {
        let by_admin = cortex.cortex(&["invite", "--name", name]).await?;
        check_refused(&by_admin, "PRINCIPAL_TAKEN")?;
        check_refused(&ann.cortex(&["invite", "--name", name]).await?, "PRINCIPAL_TAKEN")?;
        let register = ["agent", "register", &manifest(&ann, name)?];
        check_refused(&ann.cortex(&register).await?, "AGENT_ID_TAKEN")?;
    }
    assert_eq!(principal(&cortex, "somebodys").await?, before);
    good(ann.cortex(&["invite", "--name", "nobodys"]).await?).map(drop)
}

#[tokio::test]
async fn attack_93_a_name_that_is_promised_is_taken_from_nobody_who_was_invited() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let ann = Member::person(&cortex, "squatter", "user").await?;
    let line = cortex.invite(&["--name", "promised"]).await?;
    check_refused(&ann.cortex(&["invite", "--name", "promised"]).await?, "PRINCIPAL_TAKEN")?;
    let register = ["agent", "register", &manifest(&ann, "promised")?];
    check_refused(&ann.cortex(&register).await?, "AGENT_ID_TAKEN")?;
    good(Member::nobody(&cortex, "promised")?.join(&line, &[]).await?)?;
    // Who was there first without keys does not keep an admin's machine out.
    good(ann.cortex(&["agent", "register", &manifest(&ann, "squatted")?]).await?)?;
    let _node = Member::node(&cortex, "squatted", (&[], &[])).await?;
    runs_tasks(&cortex, "squatted").await
}

#[tokio::test]
async fn attack_96_no_secret_of_an_invite_is_written_in_clear_anywhere() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let line = cortex.invite(&["--name", "secretive"]).await?;
    let mut machine = Member::nobody(&cortex, "secretive")?;
    good(machine.join(&line, &[]).await?)?;
    machine.start()?;
    machine.wait_online(&cortex).await?;
    // Another one, so that there is an alarm of it as well.
    let thief = Member::nobody(&cortex, "secretive")?;
    let refused = thief.join(&line, &[]).await?;
    check_refused(&refused, "INVITE_USED")?;
    let parts = parts(&line)?;
    let part = |name: &str| parts[name].as_str().map(str::to_owned).context("a part");
    let secret = STANDARD.decode(part("secret")?)?;
    let own = |file: &str| fs::read_to_string(machine.folder().join(file));
    let values = BTreeMap::from([
        ("line".to_owned(), line.clone()),
        ("secret".to_owned(), part("secret")?),
        ("secret in hex".to_owned(), schemas::hex(&secret)),
        ("seed".to_owned(), part("seed")?),
        ("seed of the login".to_owned(), own("keys/login.seed")?.trim().to_owned()),
    ]);
    let secrets = Secrets::of(values);
    let traces = Traces::collect(&cortex, &secrets).await?;
    ensure!(traces.found.is_empty(), "{:#?}", traces.found);
    ensure!(20 < traces.messages && 20 < traces.files, "{traces:?}");
    for (place, text) in [
        ("the node's log", machine.node_log()),
        ("a refusal", refused.stdout + &refused.stderr),
        ("the settings", own("node.toml")?),
        ("what is kept of the join", own("join.json")?),
    ] {
        secrets.check(place, text.as_bytes())?;
    }
    // The search finds what is there.
    ensure!(secrets.check("the login", own("login.creds")?.as_bytes()).is_err());
    Ok(())
}

#[tokio::test]
async fn whoever_is_invited_is_listed_until_they_are_in() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let line = cortex.invite(&["--name", "listed"]).await?;
    let state = || async {
        let listed = cortex.cortex(&["invite", "ls", "-o", "json"]).await.ok()?;
        let listed: Value = listed.json().ok()?;
        let of = listed["invites"].as_array()?.iter().find(|it| it["principal"] == "listed");
        Some(of.map_or(Value::Null, |it| it["state"].clone()))
    };
    assert_eq!(state().await, Some(json!("unused")));
    good(Member::nobody(&cortex, "listed")?.join(&line, &[]).await?)?;
    let gone = || async { (state().await? == Value::Null).then_some(()) };
    eventually_some(DEADLINE, gone).await
}
