//! `cortex agent`: who is in the fleet, and running a node.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use client::Client;
use schemas::{
    Capability, ErrorCode, Fault, Manifest, PrincipalId, Timestamp,
    registry::{
        AgentRequest, AgentStatus, AgentView, DeregisterAnswer, GetAgentsAnswer, GetAgentsRequest,
        RegisterAnswer, RegisterRequest, UpdateStatusRequest, verb,
    },
    subject::ServiceName::Registry,
};

use super::{
    Outcome, Session,
    join::{self, JoinArgs},
    parse, serve,
    session::now,
    share::ShareArgs,
    user::OutArgs,
    watch::shown,
};
use crate::{
    cli::Globals,
    files,
    output::{Column, Listing, Row, age, bytes, local_time},
};

/// What can be done with agents.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// List agents.
    Ls(LsArgs),
    /// Show one agent with its manifest and what its node enforces.
    Show {
        /// Which.
        id: PrincipalId,
    },
    /// Let somebody else see and task an agent.
    Share(ShareArgs),
    /// End that.
    Unshare(ShareArgs),
    /// Put an agent out; it may come back with a new invite.
    Evict(OutArgs),
    /// Put an agent out for good; its keys are refused for ever.
    Ban(OutArgs),
    /// Take an agent off the lists.
    Rm {
        /// Which.
        id: PrincipalId,
    },
    /// Set an agent's status by hand; `online` gives it back to presence.
    Status(StatusArgs),
    /// Register an agent without a node from a manifest in JSON.
    Register {
        /// The manifest's file.
        manifest: PathBuf,
    },
    /// Come in as a machine, with the line of an invite.
    Join(JoinArgs),
    /// Run a node on this machine in the foreground.
    Run(RunNodeArgs),
}

/// Which agents to list.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Exactly this role.
    #[arg(long)]
    role: Option<String>,
    /// Exactly this status.
    #[arg(long, value_parser = parse::agent_status)]
    status: Option<AgentStatus>,
    /// KEY=VALUE, or KEY for any value.
    #[arg(long, short = 'l')]
    label: Option<String>,
    /// Able to do this.
    #[arg(long, value_parser = Capability::parse)]
    can: Option<Capability>,
    /// Archived ones as well.
    #[arg(long, short)]
    all: bool,
    /// Show again whenever something changes.
    #[arg(long, short)]
    watch: bool,
}

/// A status and why.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Whose.
    id: PrincipalId,
    /// The status to show.
    #[arg(long, value_parser = parse::agent_status)]
    set: AgentStatus,
    /// KEY=VALUE that others should know, as often as needed.
    #[arg(long, value_parser = parse::pair)]
    detail: Vec<(String, String)>,
}

/// How to run a node.
#[derive(Debug, Args)]
pub struct RunNodeArgs {
    /// The node's settings, in TOML.
    #[arg(long, value_name = "FILE", env = "CORTEX_NODE_CONFIG")]
    pub config: PathBuf,
    /// Stop when standard input ends, as it does when whoever started the node dies.
    #[arg(long, hide = true)]
    pub supervised: bool,
}

pub(super) async fn carry_out(globals: &Globals, command: AgentCommand) -> Outcome {
    match command {
        AgentCommand::Run(args) => serve::node(args).await,
        AgentCommand::Join(args) => join::join(globals, args).await,
        AgentCommand::Share(args) => args.share(&Session::open(globals)?).await,
        AgentCommand::Unshare(args) => args.unshare(&Session::open(globals)?).await,
        AgentCommand::Evict(args) => args.evict(&Session::open(globals)?).await,
        AgentCommand::Ban(args) => args.ban(&Session::open(globals)?).await,
        AgentCommand::Ls(args) => {
            connected(globals, async |session, client| list(session, client, args).await).await
        }
        AgentCommand::Show { id } => {
            connected(globals, async |session, client| show(session, client, id).await).await
        }
        AgentCommand::Rm { id } => {
            connected(globals, async |session, client| deregister(session, client, id).await).await
        }
        AgentCommand::Status(args) => {
            connected(globals, async |session, client| set(session, client, args).await).await
        }
        AgentCommand::Register { manifest } => {
            let register = async |session: &Session, client: &Client| {
                let answer = register(client, &manifest).await?;
                let listing = listing(std::slice::from_ref(&answer.agent), now());
                session.printer.show(&answer, &listing)
            };
            connected(globals, register).await
        }
    }
}

/// Connects for as long as a command takes.
async fn connected(
    globals: &Globals,
    command: impl AsyncFnOnce(&Session, &Client) -> Result<(), Fault>,
) -> Outcome {
    let session = Session::open(globals)?;
    let client = session.connect().await?;
    command(&session, &client).await?;
    client.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn show(session: &Session, client: &Client, id: PrincipalId) -> Result<(), Fault> {
    let view: AgentView = client.request(Registry, verb::GET_AGENT, &AgentRequest { id }).await?;
    session.printer.show(&view, &describe(&view))
}

async fn deregister(session: &Session, client: &Client, id: PrincipalId) -> Result<(), Fault> {
    let answer: DeregisterAnswer =
        client.request(Registry, verb::DEREGISTER, &AgentRequest { id }).await?;
    let gone = vec![("deregistered", answer.id.to_string())];
    session.printer.show(&answer, &Listing::of_one(answer.id.as_str(), gone))
}

async fn set(session: &Session, client: &Client, args: StatusArgs) -> Result<(), Fault> {
    let StatusArgs { id, set, detail } = args;
    let details = detail.into_iter().collect();
    let request = UpdateStatusRequest { id, status: set, details };
    let view: AgentView = client.request(Registry, verb::UPDATE_STATUS, &request).await?;
    session.printer.show(&view, &listing(std::slice::from_ref(&view), now()))
}

async fn register(client: &Client, path: &std::path::Path) -> Result<RegisterAnswer, Fault> {
    let text = files::read(path)?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|error| {
        Fault::new(ErrorCode::InvalidManifest, format!("{}: {error}", path.display()))
    })?;
    let request = RegisterRequest { manifest, owner: None, node: None };
    client.request(Registry, verb::REGISTER, &request).await
}

async fn list(session: &Session, client: &Client, args: LsArgs) -> Result<(), Fault> {
    let LsArgs { role, status, label, can, all, watch } = args;
    let request = GetAgentsRequest {
        role,
        status,
        label,
        capability: can,
        archived: all,
        after: None,
        limit: None,
    };
    shown(session, (client, Registry), watch, async || {
        let agents = all_agents(client, request.clone()).await?;
        session.printer.show(&agents, &listing(&agents, now()))
    })
    .await
}

/// Every page of the list.
pub(super) async fn all_agents(
    client: &Client,
    mut request: GetAgentsRequest,
) -> Result<Vec<AgentView>, Fault> {
    let mut agents = Vec::new();
    loop {
        let answer: GetAgentsAnswer = client.request(Registry, verb::GET_AGENTS, &request).await?;
        agents.extend(answer.agents);
        match answer.next {
            Some(next) => request.after = Some(next),
            None => return Ok(agents),
        }
    }
}

fn listing(agents: &[AgentView], now: Timestamp) -> Listing {
    use Column::{Usual, Wide};
    let columns = [
        Usual("ID"),
        Usual("STATUS"),
        Usual("ROLE"),
        Usual("SLOTS"),
        Usual("CPU"),
        Usual("MEMORY"),
        Usual("SEEN"),
        Wide("OWNER"),
        Wide("PLATFORM"),
        Wide("VERSION"),
        Wide("CAPABILITIES"),
        Wide("LABELS"),
        Wide("REASON"),
    ];
    Listing::new(&columns, agents.iter().map(|agent| row(agent, now)))
}

fn row(agent: &AgentView, now: Timestamp) -> Row {
    let AgentView { manifest, node, presence, .. } = agent;
    let beat = presence.as_ref().map(|presence| &presence.heartbeat);
    let slots = match (node, beat) {
        (Some(node), Some(beat)) => format!("{}/{}", beat.slots_free, node.slots),
        (Some(node), None) => format!("-/{}", node.slots),
        (None, _) => "-".to_owned(),
    };
    let load = beat.map(|beat| &beat.load).filter(|load| 0 < load.memory_total_bytes);
    let memory = load.map(|load| {
        format!("{} of {}", bytes(load.memory_used_bytes), bytes(load.memory_total_bytes))
    });
    let capabilities: Vec<&str> = manifest.capabilities.all().map(Capability::as_str).collect();
    let labels: Vec<String> = manifest.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    Row::new(vec![
        manifest.id.to_string(),
        agent.status.as_str().to_owned(),
        manifest.role.clone(),
        slots,
        load.map(|load| format!("{}%", load.cpu_percent)).unwrap_or_else(|| "-".to_owned()),
        memory.unwrap_or_else(|| "-".to_owned()),
        presence.as_ref().map_or_else(|| "-".to_owned(), |seen| age(seen.heard_at, now)),
        agent.owner.to_string(),
        node.as_ref().map(|node| node.platform.clone()).unwrap_or_else(|| "-".to_owned()),
        node.as_ref().map(|node| node.version.clone()).unwrap_or_else(|| "-".to_owned()),
        capabilities.join(","),
        labels.join(","),
        agent.status_reason.clone().unwrap_or_default(),
    ])
}

fn describe(agent: &AgentView) -> Listing {
    let AgentView { manifest, node, presence, .. } = agent;
    let join = |words: Vec<String>| words.join(", ");
    let patterns = |patterns: &[schemas::manifest::PrincipalPattern]| {
        join(patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect())
    };
    let mut properties = vec![
        ("id", manifest.id.to_string()),
        ("name", manifest.name.clone()),
        ("status", agent.status.as_str().to_owned()),
        ("reason", agent.status_reason.clone().unwrap_or_default()),
        ("role", manifest.role.clone()),
        ("owner", agent.owner.to_string()),
        ("shared with", patterns(&agent.shared_with)),
        ("location", manifest.location.clone().unwrap_or_default()),
        ("endpoint", manifest.endpoint.clone().unwrap_or_default()),
        ("enrolled", agent.enrolled.to_string()),
        ("capabilities", join(manifest.capabilities.all().map(ToString::to_string).collect())),
        ("can task", patterns(&manifest.can_task)),
        ("accepts tasks from", patterns(&manifest.accepts_tasks_from)),
        ("reports to", join(manifest.reports_to.iter().map(ToString::to_string).collect())),
        ("labels", join(manifest.labels.iter().map(|(k, v)| format!("{k}={v}")).collect())),
        ("registered", agent.registered_at.to_string()),
        ("last heard", local_time(presence.as_ref().map(|presence| presence.heard_at))),
    ];
    if let Some(node) = node {
        properties.extend([
            ("platform", format!("{} {}", node.platform, node.kernel)),
            ("version", format!("{} (protocol {})", node.version, node.protocol)),
            ("instance", node.instance.to_string()),
            ("machine", format!("{} cpus, {} memory", node.cpus, bytes(node.memory_bytes))),
            ("tools", join(node.tools.keys().cloned().collect())),
        ]);
        for (property, report) in &node.sandbox.properties {
            let why =
                if report.why.is_empty() { String::new() } else { format!(": {}", report.why) };
            properties.push((property.as_str(), format!("{}{why}", report.level)));
        }
    }
    Listing::of_one(manifest.id.as_str(), properties)
}
