//! `cortex doctor`: checks everything that is needed, and says what is wrong and what to do.

pub(crate) mod standing;

use std::process::ExitCode;

use client::Client;
use jetstream_config::broker::{DurabilityProof, check_broker};
use schemas::{
    ErrorCode, Fault,
    registry::{AgentStatus, GetAgentsRequest},
    scheduler::{GetTasksAnswer, GetTasksRequest},
    subject::ServiceName::Scheduler,
};
use serde::Serialize;
use trust::nats::{Creds, Summary};
use zeroize::Zeroizing;

use super::{
    Outcome, Session,
    agent::all_agents,
    session::{connect, now},
};
use crate::{
    authority::Authority,
    broker,
    cli::Globals,
    context::{ADMIN, Context, Contexts},
    files,
    home::Home,
    output::{Column, Listing, Row},
};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Finding {
    fn new(what: &'static str, found: Result<String, Fault>) -> Self {
        match found {
            Ok(detail) => Self { what, ok: true, detail, hint: None },
            Err(fault) => {
                let detail = format!("{}: {}", fault.code, fault.message);
                Self { what, ok: false, detail, hint: Some(fault.hint) }
            }
        }
    }
}

pub(super) async fn examine(globals: &Globals) -> Outcome {
    let mut findings = vec![Finding::new("nats-server", find_broker().await)];
    match Session::open(globals) {
        Err(fault) => findings.push(Finding::new("context", Err(fault))),
        Ok(session) => examine_context(&session, &mut findings).await,
    }
    let rows = findings.iter().map(|finding| {
        let word = if finding.ok { "ok" } else { "FAILED" };
        let hint = finding.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        Row::new(vec![
            finding.what.to_owned(),
            word.to_owned(),
            format!("{}{hint}", finding.detail),
        ])
    });
    let columns = [Column::Usual("WHAT"), Column::Usual("STATE"), Column::Usual("DETAIL")];
    // Nothing here may be cut: the hint stands at the end.
    let listing = Listing::new(&columns, rows.collect::<Vec<_>>()).uncut();
    super::printer(globals).show(&findings, &listing)?;
    let sound = findings.iter().all(|finding| finding.ok);
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn find_broker() -> Result<String, Fault> {
    let found = tokio::task::spawn_blocking(broker::find).await;
    let found = found.map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
    found.map(|path| path.display().to_string()).map_err(|error| {
        Fault::new(ErrorCode::ConfigInvalid, super::serve::chain(&error)).with_hint(error.hint())
    })
}

async fn examine_context(session: &Session, findings: &mut Vec<Finding>) {
    let context = &session.context;
    findings.push(Finding::new("context", Ok(format!("{} as {}", context.url, context.principal))));
    findings.push(Finding::new("credentials", credentials(context)));
    findings.push(Finding::new("operator", operator(&session.home)));
    findings.push(Finding::new("logins", standing::logins(&session.home)));
    findings.push(Finding::new("root key", standing::root(&session.home)));
    findings.push(Finding::new("certificates", standing::certificates(&session.home)));
    let signing_key = standing::signing_key(context, &session.home);
    findings.push(Finding::new("signing key", signing_key));
    match session.connect().await {
        Err(fault) => findings.push(Finding::new("broker", Err(fault))),
        Ok(client) => {
            findings.push(Finding::new("broker", examine_broker(session, &client).await));
            findings.push(Finding::new("registry", examine_registry(&client).await));
            findings.push(Finding::new("scheduler", examine_scheduler(&client).await));
            findings.push(Finding::new("principals", standing::founders(&client).await));
            let roster = standing::roster(&client, &session.home).await;
            findings.push(Finding::new("roster", roster));
        }
    }
}

fn credentials(context: &Context) -> Result<String, Fault> {
    let Some(path) = &context.creds else {
        return Ok("none: the broker is asked to let anybody in".to_owned());
    };
    let unusable = |message: String| Fault::new(ErrorCode::ConfigInvalid, message);
    let creds = Creds::from_file(&Zeroizing::new(files::read(path)?)).map_err(|error| {
        unusable(format!("{} is of no use: {}", path.display(), super::serve::chain(&error)))
    })?;
    let Summary { name, expires_at_s, .. } = creds.summary();
    if name != context.principal.as_str() {
        let message = format!("{} is of {name}, not of {}", path.display(), context.principal);
        return Err(unusable(message).with_hint("name the context's own file, or ask as its owner"));
    }
    if expires_at_s.is_some_and(|end_s| end_s <= now().seconds()) {
        return Err(unusable(format!("{} has ended", path.display())));
    }
    let until = expires_at_s.map(|end_s| format!(", until {}", standing::at(end_s)));
    Ok(format!("of {name} in {}{}", path.display(), until.unwrap_or_default()))
}

fn operator(home: &Home) -> Result<String, Fault> {
    let kept = Authority::look(&home.broker_keys())?;
    Ok(kept.unwrap_or_else(|| "its keys are not kept on this machine".to_owned()))
}

/// How the servers store is shown to admins alone; others see what the broker greets them with.
async fn examine_broker(session: &Session, client: &Client) -> Result<String, Fault> {
    let contexts = Contexts::new(&session.home);
    if !contexts.names()?.iter().any(|name| name == ADMIN) {
        let server = client.nats().server_info();
        let (name, version) = (server.server_name, server.version);
        return Ok(format!("{name} {version}; only an admin sees whether it syncs every write"));
    }
    let mut admin = contexts.read(ADMIN)?;
    admin.url.clone_from(&session.context.url);
    let client = connect(&session.home, &admin).await?;
    let report = check_broker(client.nats(), DurabilityProof::Required).await;
    client.close().await;
    let report = report.map_err(|error| error.fault())?;
    let servers = report.servers.iter().map(|server| format!("{} {}", server.name, server.version));
    Ok(format!("{}, syncs every write", servers.collect::<Vec<_>>().join(", ")))
}

async fn examine_registry(client: &Client) -> Result<String, Fault> {
    let agents = all_agents(client, GetAgentsRequest::default()).await?;
    let online = agents.iter().filter(|agent| agent.status == AgentStatus::Online).count();
    Ok(format!("{} agents, {online} online", agents.len()))
}

async fn examine_scheduler(client: &Client) -> Result<String, Fault> {
    let request = GetTasksRequest { limit: Some(1), ..Default::default() };
    let verb = schemas::scheduler::verb::GET_TASKS;
    let answer: GetTasksAnswer = client.request(Scheduler, verb, &request).await?;
    Ok(format!("answers; its log ends at {}", answer.cursor))
}
