//! What `cortex up` starts: everybody logs in as themselves, and nobody is made to speak for others.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client::{Client, ConnectOptions, Credentials};
use cortex_tests::{Installation, eventually_some};
use futures::StreamExt as _;
use schemas::registry::{GetAgentsRequest, verb};
use schemas::subject::{self, LogName, ServiceName};
use serde_json::{Value, json};
use tokio::time::timeout;
use trust::nats::Creds;

use crate::stage::id;
use crate::trial::{Trial, check_denied};

const DEADLINE: Duration = Duration::from_secs(30);
/// Who logs in, by the name of their credentials file.
const MEMBERS: [&str; 4] = ["registry", "scheduler", "local", "admin"];

fn creds_file(cortex: &Installation, name: &str) -> PathBuf {
    cortex.home().join(format!("config/creds/{name}.creds"))
}

fn creds(cortex: &Installation, name: &str) -> Result<Creds> {
    Ok(Creds::from_file(&fs::read_to_string(creds_file(cortex, name))?)?)
}

async fn connect(cortex: &Installation, name: &str) -> Result<Client> {
    let credentials = Credentials::CredsFile(creds_file(cortex, name));
    let options = ConnectOptions { credentials, ..ConnectOptions::new(cortex.url()?, id(name)) };
    Ok(Client::connect(options).await?)
}

/// The person, who has the name of whoever runs the test.
async fn person(cortex: &Installation) -> Result<Client> {
    connect(cortex, &cortex.login()?.principal).await
}

#[tokio::test]
async fn every_process_logs_in_as_itself() -> Result<()> {
    let cortex = Installation::start().await?;
    let options = async_nats::ConnectOptions::with_credentials_file(creds_file(&cortex, "system"));
    let system = options.await?.connect(cortex.url()?).await?;
    let query = json!({ "auth": true }).to_string();
    let answer = system.request("$SYS.REQ.SERVER.PING.CONNZ", query.into()).await?;
    let answer: Value = serde_json::from_slice(&answer.payload)?;
    let connections = answer["data"]["connections"].as_array().context("no connections")?;
    for name in ["registry", "scheduler", "local"] {
        let key = creds(&cortex, name)?.summary().subject.clone();
        let of: Vec<_> =
            connections.iter().filter(|it| it["authorized_user"] == key.as_str()).collect();
        ensure!(of.len() == 1 && of[0]["name"] == name, "{name} has {of:?}");
    }
    let subjects: BTreeSet<String> = MEMBERS
        .into_iter()
        .chain([cortex.login()?.principal.as_str(), "system"])
        .map(|name| Ok(creds(&cortex, name)?.summary().subject.clone()))
        .collect::<Result<_>>()?;
    ensure!(subjects.len() == MEMBERS.len() + 2, "keys are shared: {subjects:?}");
    Ok(())
}

#[tokio::test]
async fn a_service_answers_nobody_but_whoever_asks() -> Result<()> {
    let cortex = Installation::start().await?;
    let (person, admin) = (person(&cortex).await?, connect(&cortex, "admin").await?);
    let mut stranger = admin.nats().subscribe("_INBOX.admin.forged").await?;
    admin.nats().flush().await?;
    let head = head_of(&admin, ServiceName::Registry).await?;
    let log = LogName::first(ServiceName::Registry).subject();
    let ask = format!("cortex.cmd.{}.registry.get-agents", person.principal());
    for (asked, reply) in [
        (ask.as_str(), "_INBOX.admin.forged"),
        (ask.as_str(), log.as_str()),
        ("cortex.writer.registry.0", log.as_str()),
        ("$SRV.PING.registry", log.as_str()),
    ] {
        let (asked, reply) = (asked.to_owned(), reply.to_owned());
        person.nats().publish_with_reply(asked, reply, "{}".into()).await?;
    }
    // Services answer in order, so by now they have answered all of that, or not.
    for _ in 0..2 {
        let request = GetAgentsRequest::default();
        let answer: Value =
            person.request(ServiceName::Registry, verb::GET_AGENTS, &request).await?;
        ensure!(answer["agents"].is_array(), "{answer}");
        person.ask("cortex.writer.registry.0", "".into(), DEADLINE).await?;
        person.ask("$SRV.PING.registry", "".into(), DEADLINE).await?;
    }
    assert_eq!(head_of(&admin, ServiceName::Registry).await?, head);
    admin.nats().flush().await?;
    let stray = timeout(Duration::ZERO, stranger.next()).await.ok().flatten();
    assert!(stray.is_none(), "{stray:?}");
    Ok(())
}

async fn head_of(admin: &Client, service: ServiceName) -> Result<u64> {
    let subject = format!("$JS.API.STREAM.INFO.{}", LogName::first(service).stream());
    let answer = admin.ask(&subject, "".into(), DEADLINE).await?;
    let info: Value = serde_json::from_slice(&answer.payload)?;
    info["state"]["last_seq"].as_u64().context("no sequence")
}

#[tokio::test]
async fn output_reaches_the_person_without_any_right_to_its_stream() -> Result<()> {
    let cortex = Installation::start().await?;
    let person = person(&cortex).await?;
    let read = format!("$JS.API.DIRECT.GET.{}", subject::OUTPUT_STREAM);
    check_denied(&person, &[Trial::Publish(read)]).await?;
    // More than what travels with the result.
    let script = "i=0; while [ $i -lt 4000 ]; do echo line $i; i=$((i+1)); done; echo end >&2";
    let run = cortex.cortex(&["run", "--on", "local", "--", "sh", "-c", script]).await?;
    assert_eq!((run.code, run.stdout.lines().count()), (0, 4000), "{}", run.stderr);
    assert_eq!(run.stdout.lines().last(), Some("line 3999"));
    assert_eq!(run.stderr, "end\n");
    let listed = cortex.cortex(&["task", "ls", "-o", "json"]).await?;
    let tasks: Value = listed.json()?;
    let task = tasks[0]["id"].as_str().or(tasks["tasks"][0]["id"].as_str()).context("no task")?;
    let logs = cortex.cortex(&["task", "logs", task, "--stream", "stdout"]).await?;
    assert_eq!((logs.code, logs.stdout == run.stdout), (0, true), "{}", logs.stderr);
    Ok(())
}

#[tokio::test]
async fn following_sees_output_as_it_appears() -> Result<()> {
    let shared = tempfile::tempdir()?;
    let share = ["--share".as_ref(), shared.path().as_os_str()];
    let cortex = Installation::start_with(&share).await?;
    let gate = shared.path().join("gate");
    let script =
        format!("echo first; until [ -e {} ]; do sleep 0.05; done; echo last", gate.display());
    let seen = cortex.home().join("seen");
    let mut command = cortex.command(&["run", "--on", "local", "--", "sh", "-c", &script]);
    let mut run = command.stdout(fs::File::create(&seen)?).spawn()?;
    let text = || fs::read_to_string(&seen).unwrap_or_default();
    eventually_some(DEADLINE, || async { (text() == "first\n").then_some(()) }).await?;
    fs::write(gate, "")?;
    assert!(timeout(DEADLINE, run.wait()).await??.success());
    assert_eq!(text(), "first\nlast\n");
    Ok(())
}

#[tokio::test]
async fn seeds_stand_in_private_files_and_nowhere_else() -> Result<()> {
    let cortex = Installation::start().await?;
    cortex.cortex(&["doctor"]).await?;
    let shown = cortex.cortex(&["ctx", "show", "admin", "-o", "json"]).await?;
    let config = cortex.home().join("config");
    let seeds = seeds_in(&config)?;
    ensure!(10 < seeds.len(), "only {} seeds were found", seeds.len());
    for path in files_below(cortex.home())? {
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        let held = seeds.iter().any(|seed| text.contains(seed.as_str()));
        let private =
            path.starts_with(config.join("keys")) || path.starts_with(config.join("creds"));
        ensure!(!held || private, "{} holds a seed", path.display());
        let mode = fs::metadata(&path)?.permissions().mode();
        ensure!(!held || mode & 0o077 == 0, "{} is {mode:o}", path.display());
    }
    ensure!(!seeds.iter().any(|seed| shown.stdout.contains(seed.as_str())), "{shown:?}");
    Ok(())
}

/// Every word that looks like the seed of an nkey.
fn seeds_in(directory: &Path) -> Result<BTreeSet<String>> {
    let mut seeds = BTreeSet::new();
    for path in files_below(directory)? {
        let text = fs::read_to_string(path).unwrap_or_default();
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
        let is_seed = |word: &&str| word.len() == 58 && word.starts_with('S');
        seeds.extend(words.filter(is_seed).map(str::to_owned));
    }
    Ok(seeds)
}

fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut waiting) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.is_file() {
                files.push(path);
            }
        }
    }
    Ok(files)
}
