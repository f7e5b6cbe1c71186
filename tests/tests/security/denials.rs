//! Whatever the broker forbids is recorded with who, what and how often, for those who may read it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client::{Client, ConnectOptions, Credentials};
use cortex_tests::{Installation, Process, eventually, eventually_some};
use schemas::ErrorCode;
use schemas::feed::FeedEvent;
use schemas::registry::{
    DeniedAction, GetAgentsAnswer, GetAgentsRequest, RegistryEvent, ReportDenialsAnswer,
    ReportDenialsRequest, verb,
};
use schemas::subject::ServiceName;
use tempfile::TempDir;
use tokio::process::Command;

use crate::stage::id;
use crate::trial::{Trial, check_denied};

const DEADLINE: Duration = Duration::from_secs(30);
/// How much a hostile client tries, and on how many subjects.
const FLOOD: usize = 5_000;
const FLOOD_SUBJECTS: usize = 100;
/// Most events that the flood may leave: some reports of some things each.
const FLOOD_EVENTS_MAX: usize = 100;

/// What is recorded of one thing: how often, in how many events.
type Recorded = BTreeMap<(Option<String>, DeniedAction, String), (u32, usize)>;

async fn connect(cortex: &Installation, name: &str) -> Result<Client> {
    let creds = cortex.home().join(format!("config/creds/{name}.creds"));
    connect_with(cortex, name, creds).await
}

async fn connect_with(cortex: &Installation, name: &str, creds: PathBuf) -> Result<Client> {
    let credentials = Credentials::CredsFile(creds);
    let options = ConnectOptions { credentials, ..ConnectOptions::new(cortex.url()?, id(name)) };
    Ok(Client::connect(options).await?)
}

/// What `cortex events registry` shows of denials, and how many more there were.
async fn recorded(mut events: Command) -> Result<(Recorded, u64)> {
    let output = events.args(["events", "registry", "-o", "json"]).output().await?;
    ensure!(output.status.success(), "{output:?}");
    let (mut all, mut suppressed) = (Recorded::new(), 0);
    for line in String::from_utf8(output.stdout)?.lines() {
        let event: FeedEvent = serde_json::from_str(line)?;
        let event: RegistryEvent = serde_json::from_str(event.event.get())?;
        if let RegistryEvent::AccessDenied { principal, action, subject, count, .. } = event {
            let principal = principal.map(|principal| principal.to_string());
            let known = all.entry((principal, action, subject)).or_insert((0, 0));
            *known = (known.0 + count, known.1 + 1);
        } else if let RegistryEvent::DenialsSuppressed { count, .. } = event {
            suppressed += count;
        }
    }
    Ok((all, suppressed))
}

fn by(principal: &str, trial: &Trial) -> (Option<String>, DeniedAction, String) {
    let action = match trial {
        Trial::Publish(_) => DeniedAction::Publish,
        Trial::Subscribe(_) | Trial::Join(_) => DeniedAction::Subscribe,
    };
    (Some(principal.to_owned()), action, trial.subject().to_owned())
}

/// Tries what is forbidden.
async fn publish(client: &Client, subject: &str, times: usize) -> Result<()> {
    for _ in 0..times {
        client.nats().publish(subject.to_owned(), "x".into()).await?;
    }
    Ok(client.nats().flush().await?)
}

/// A user who was invited, with a home of their own.
struct User {
    home: TempDir,
    creds: PathBuf,
}

impl User {
    async fn invite(cortex: &Installation, name: &str) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let invited = ["invite", "--name", name, "--role", "user", "-o", "json"];
        let invited: serde_json::Value = cortex.cortex(&invited).await?.json()?;
        let line = invited["line"].as_str().context("no line")?;
        let words = ["login", line, "--name", "guest"];
        let login = cortex.command(&words).env("CORTEX_HOME", home.path()).output().await?;
        ensure!(login.status.success(), "{login:?}");
        let context = fs::read_to_string(home.path().join("config/contexts/guest.toml"))?;
        let context: toml::Table = context.parse()?;
        let creds = context["creds"].as_str().context("no creds")?;
        let creds = Path::new(creds).to_owned();
        Ok(Self { home, creds })
    }

    fn command(&self, cortex: &Installation) -> Command {
        let mut command = cortex.command::<&str>(&[]);
        command.env("CORTEX_HOME", self.home.path());
        command
    }
}

#[tokio::test]
async fn a_denial_is_recorded_for_admins_and_for_whoever_was_denied() -> Result<()> {
    let cortex = Installation::start().await?;
    let owner = cortex.login()?.principal;
    let (node, person) = (connect(&cortex, "local").await?, connect(&cortex, &owner).await?);
    let user = User::invite(&cortex, "guest").await?;
    let guest = connect_with(&cortex, "guest", user.creds.clone()).await?;
    let theirs = Trial::Publish("cortex.cmd.registry.registry.register".to_owned());
    let quoted = Trial::Publish("a\"b\\c\",Subject\"d".to_owned());
    let inbox = Trial::Join(format!("_INBOX.{owner}.>"));
    let stream = Trial::Subscribe("cortex.ev.>".to_owned());
    check_denied(&node, &[theirs.clone(), inbox.clone()]).await?;
    check_denied(&person, std::slice::from_ref(&stream)).await?;
    publish(&person, quoted.subject(), 1).await?;
    check_denied(&guest, std::slice::from_ref(&stream)).await?;
    let refused = async_nats::connect(cortex.url()?).await;
    ensure!(refused.is_err(), "somebody without credentials came in");

    let login = (None, DeniedAction::Login, "127.0.0.1".to_owned());
    let mut tried = vec![by("local", &theirs), by("local", &inbox), by(&owner, &stream)];
    tried.extend([by(&owner, &quoted), by("guest", &stream), login]);
    let all = || async {
        let (known, _) = recorded(cortex.command::<&str>(&[])).await.ok()?;
        tried.iter().all(|deed| known.get(deed) == Some(&(1, 1))).then_some(())
    };
    let seen = eventually_some(DEADLINE, all).await;
    seen.with_context(|| format!("up said:\n{}", cortex.log()))?;

    let shown = cortex.cortex(&["--context", "admin", "events", "registry"]).await?.stdout;
    let words = format!("denied: local may not publish to {} (once since 20", theirs.subject());
    ensure!(shown.contains(&words), "{shown}");
    let (known, suppressed) = recorded(user.command(&cortex)).await?;
    ensure!(known.contains_key(&by("guest", &stream)) && suppressed == 0, "{known:?}");
    let others: Vec<_> = known.keys().filter(|(who, ..)| who.as_deref() != Some("guest")).collect();
    ensure!(others.is_empty(), "an ordinary user reads {others:?}");
    for client in [&guest, &person, &node] {
        let request = ReportDenialsRequest { denials: Vec::new(), suppressed: 1 };
        let answer: Result<ReportDenialsAnswer, _> =
            client.request(ServiceName::Registry, verb::REPORT_DENIALS, &request).await;
        assert_eq!(answer.map_err(|fault| fault.code), Err(ErrorCode::NotAllowed));
    }
    Ok(())
}

#[tokio::test]
async fn a_flood_is_counted_in_few_events_and_hides_nobody_else() -> Result<()> {
    let cortex = Installation::start_with(&["--no-node"]).await?;
    let owner = cortex.login()?.principal;
    let (hostile, person) = (connect(&cortex, "local").await?, connect(&cortex, &owner).await?);
    let flood = async {
        for number in 0..FLOOD {
            let subject = format!("flood.{}", number % FLOOD_SUBJECTS);
            hostile.nats().publish(subject, "x".into()).await?;
        }
        Ok::<(), anyhow::Error>(hostile.nats().flush().await?)
    };
    let asking = async {
        for turn in 0..20 {
            publish(&person, "somebody.else", 1).await?;
            let request = GetAgentsRequest::default();
            let answer: Result<GetAgentsAnswer, _> =
                person.request(ServiceName::Registry, verb::GET_AGENTS, &request).await;
            answer.with_context(|| format!("turn {turn}"))?;
        }
        Ok::<(), anyhow::Error>(())
    };
    tokio::try_join!(flood, asking)?;

    let total = |(known, suppressed): &(Recorded, u64)| {
        known.values().map(|(count, _)| u64::from(*count)).sum::<u64>() + suppressed
    };
    let expected = u64::try_from(FLOOD)? + 20;
    let told = || async {
        let told = recorded(cortex.command::<&str>(&[])).await.ok()?;
        (total(&told) == expected).then_some(told)
    };
    let told = eventually_some(DEADLINE, told).await;
    let (known, suppressed) = told.with_context(|| format!("up said:\n{}", cortex.log()))?;
    ensure!(0 < suppressed, "everything was told of: {known:?}");
    let events: usize = known.values().map(|(_, events)| events).sum();
    ensure!(events <= FLOOD_EVENTS_MAX, "{events} events: {known:?}");
    let deed = by(&owner, &Trial::Publish("somebody.else".to_owned()));
    assert_eq!(known.get(&deed).map(|(count, _)| *count), Some(20), "{known:?}");
    let each = u32::try_from(FLOOD / FLOOD_SUBJECTS)?;
    for ((who, _, subject), (count, _)) in known.iter().filter(|(known, _)| **known != deed) {
        ensure!(who.as_deref() == Some("local") && *count <= each, "{subject}: {count}");
    }
    let shown = cortex.log().matches("Publish Violation").count();
    ensure!(shown <= FLOOD_EVENTS_MAX, "up showed {shown} of them");
    let kept = cortex.log_of(Process::NatsGuard).matches("Publish Violation").count();
    ensure!(kept == FLOOD + 20, "the broker's log keeps {kept}");
    Ok(())
}

#[tokio::test]
async fn what_is_forbidden_while_the_registry_is_away_or_at_the_very_end_is_recorded() -> Result<()>
{
    let cortex = Installation::start_with(&["--no-node"]).await?;
    let hostile = connect(&cortex, "local").await?;
    let once = |subject: &str| by("local", &Trial::Publish(subject.to_owned()));
    ensure!(cortex.kill9(Process::Registry).await?, "there is no registry");
    publish(&hostile, "while.away", 1).await?;
    let told = |subject: &'static str| {
        let cortex = &cortex;
        move || async move {
            let told = recorded(cortex.command::<&str>(&[])).await;
            told.is_ok_and(|(known, _)| known.get(&once(subject)) == Some(&(1, 1)))
        }
    };
    eventually(DEADLINE, told("while.away")).await?;
    publish(&hostile, "at.the.end", 1).await?;
    cortex.down().await?;
    cortex.up_again().await?;
    ensure!(told("at.the.end")().await && told("while.away")().await, "{}", cortex.log());
    Ok(())
}
