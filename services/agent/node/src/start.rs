//! From settings to a running node: state folder, journal, keys, connection, loop.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use agent_core::{Action, Node, Profile, ReceivedRoster};
use client::{Client, ConnectOptions};
use sandbox_process::{Launcher, LauncherConfig, SandboxSettings};
use schemas::{
    Manifest,
    agent::{FailureCounters, NodeReport},
    registry::RegisterRequest,
};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use trust::{ClusterName, Purpose, SecretKey, TrustAnchors};
use zeroize::Zeroizing;

use crate::{
    NodeConfig, NodeError, clock, crash,
    credentials::{self, Credentials},
    daemon::{Daemon, Ears},
    delegate::Desk,
    heartbeat::{Complaint, Pulse, Worry},
    incoming,
    journal::{History, Journal, JournalEvent},
    keeper::Keeper,
    measure::{self, Meter},
    membership::Papers,
    registrar,
    renewal::Renewal,
    requests::Requests,
    roster,
    run::Workshop,
    timings::Timings,
};

/// What is ready before there is a connection.
struct Prepared {
    config: NodeConfig,
    profile: Profile,
    launcher: Launcher,
    meter: Meter,
    failures: FailureCounters,
    journal: Journal,
    history: History,
    roster: Option<ReceivedRoster>,
    issuer_key: Option<SecretKey>,
    runs_dir: PathBuf,
    credentials: Credentials,
    journal_events: mpsc::UnboundedReceiver<JournalEvent>,
}

/// Runs a node until `shutdown` resolves, then drains it: what runs may end within the grace
/// period, then it is cancelled; every outcome is reported or left in the journal for the next
/// start.
///
/// Needs a multi-threaded tokio runtime. Installs a panic hook that leaves a report in the state
/// folder.
///
/// # Errors
///
/// When settings, state folder, journal or anchors cannot be used, or the connection was given up.
pub async fn run(
    config: NodeConfig,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), NodeError> {
    // The journal's lock may have to be waited for.
    let prepared = tokio::task::spawn_blocking(move || prepare(config)).await;
    let prepared = prepared.map_err(|error| NodeError::State {
        attempt: "prepare the node in",
        path: PathBuf::new(),
        source: io::Error::other(error),
    })??;
    let mut shutdown = Box::pin(shutdown);
    let options = connect_options(&prepared.config)?;
    let (worries, worried) = mpsc::unbounded_channel();
    let clients = watch::Sender::new(None);
    let client = tokio::select! {
        client = Box::pin(connect(&prepared.config, options, (&clients, &worries))) => client?,
        () = &mut shutdown => return Ok(()),
    };
    tracing::info!(node = %prepared.config.id, url = client.url(), "connected");
    clients.send_replace(Some(client.clone()));
    Box::pin(serve(prepared, Line { client, worries, worried }, shutdown)).await
}

/// The connection, and what is wrong with keeping it.
struct Line {
    client: Client,
    worries: mpsc::UnboundedSender<(Worry, Complaint)>,
    worried: mpsc::UnboundedReceiver<(Worry, Complaint)>,
}

/// Connects, with credentials that are renewed from then on where the node does so itself.
async fn connect(
    config: &NodeConfig,
    options: ConnectOptions,
    (clients, worries): (
        &watch::Sender<Option<Client>>,
        &mpsc::UnboundedSender<(Worry, Complaint)>,
    ),
) -> Result<Client, NodeError> {
    if let Some(papers) = papers(config) {
        let mut renewal = Renewal::new(papers, &options, worries.clone());
        renewal.come_back().await;
        tokio::spawn(renewal.keep(clients.subscribe()));
    }
    Ok(Client::connect(options).await?)
}

fn papers(config: &NodeConfig) -> Option<Papers> {
    let (login, renewal) = (config.creds.clone()?, config.renewal_credentials.clone()?);
    Some(Papers { login, renewal, certificates: config.certificates.clone() })
}

async fn serve(
    prepared: Prepared,
    Line { client, worries, worried }: Line,
    shutdown: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    let messages = incoming::listen(&client).await?;
    let (inputs, heard) = mpsc::unbounded_channel();
    let rosters = roster::keep(&prepared.config.state_dir, worries.clone());
    let roster_wanted = Arc::new(Notify::new());
    let ways = roster::Ways { wanted: Arc::clone(&roster_wanted), inputs: inputs.clone(), worries };
    let ready = follow_roster(&prepared.profile, &client, ways);
    let Prepared { config, mut meter, profile, .. } = prepared;
    let report = node_report(&mut meter, &config, &profile);
    let registration = RegisterRequest {
        manifest: profile.manifest.clone(),
        owner: config.owner.clone(),
        node: Some(report),
    };
    let ears = Ears {
        inputs: heard,
        journal: prepared.journal_events,
        messages,
        link: client.on_change(),
        registration: registrar::start(client.clone(), registration, ready),
        worries: worried,
    };
    let interval_s = profile.manifest.heartbeat_interval;
    let cluster = profile.anchors.cluster().clone();
    let (node, actions) = recover(profile, (prepared.history, prepared.roster));
    let mut daemon = Daemon {
        node,
        keeper: Keeper::new(prepared.journal),
        requests: Requests::new(client.clone(), inputs.clone()),
        workshop: Workshop {
            launcher: prepared.launcher,
            client: client.clone(),
            runs_dir: prepared.runs_dir,
            credentials: Arc::new(prepared.credentials),
            desk: desk(&config, prepared.issuer_key, (&client, cluster)),
        },
        pulse: Pulse::new(meter, interval_s, prepared.failures),
        timings: Timings::new(),
        stops: std::collections::BTreeMap::new(),
        client,
        inputs,
        roster_wanted,
        rosters,
    };
    daemon.carry_out(actions, std::time::Instant::now());
    daemon.run(ears, config.drain_grace(), shutdown).await
}

/// Where runs ask for tasks, on a node that can sign for them.
fn desk(
    config: &NodeConfig,
    key: Option<SecretKey>,
    (client, cluster): (&Client, ClusterName),
) -> Option<Arc<Desk>> {
    let (client, certificates) = (client.clone(), config.certificates.clone());
    key.map(|key| Arc::new(Desk { client, cluster, key, certificates }))
}

/// Follows the roster where trust rests on a root; tells when it may be said that the node is there.
fn follow_roster(profile: &Profile, client: &Client, ways: roster::Ways) -> oneshot::Receiver<()> {
    let (tell, ready) = oneshot::channel();
    if profile.rests_on_root() {
        roster::follow(client.clone(), ways, tell);
    }
    ready
}

fn recover(
    profile: Profile,
    (history, roster): (History, Option<ReceivedRoster>),
) -> (Node, Vec<Action>) {
    if let Some(trimmed) = &history.trimmed {
        tracing::warn!(
            kept = trimmed.kept,
            cut = trimmed.cut,
            problem = trimmed.problem,
            "the journal's last write was torn and is cut off; nobody was told that it is on disk"
        );
    }
    let (mut node, actions) = Node::recover(profile, history.records, &clock::facts());
    if let Some(roster) = roster
        && let Err(fault) = node.resume_roster(&roster, clock::wall())
    {
        tracing::warn!(%fault, "the roster that was kept is not believed any more");
    }
    let unfinished = node.presence().running.len();
    if 0 < unfinished {
        tracing::info!(unfinished, "an earlier process start left tasks; going on with them");
    }
    (node, actions)
}

fn prepare(config: NodeConfig) -> Result<Prepared, NodeError> {
    config.check()?;
    let manifest = config.manifest()?;
    if config.owner.is_none() && manifest.accepts_tasks_from.is_empty() {
        tracing::warn!("neither owner nor accepts_tasks_from is set, so nobody may task this node");
    }
    let anchors = read_anchors(&config)?;
    let state_dir = config.state_dir.clone();
    make_private(&state_dir)?;
    let (journal, history, journal_events) = Journal::open(&state_dir.join("journal"))?;
    // From here on this process alone has the folder.
    let failures = crash::collect(&state_dir).map_err(cannot("read", &state_dir))?;
    let instance = config.id.instance(rand::random());
    crash::write_panics(&state_dir, &instance);
    let runs = state_dir.join("runs");
    empty(&runs)?;
    let credentials = credentials(&config, &manifest)?;
    let issuer_key = config.issuer_key.as_deref().map(read_issuer_key).transpose()?;
    let roster =
        roster::read(&state_dir).map_err(|(path, source)| cannot("read", &path)(source))?;
    let launcher = Launcher::new(launcher_config(&config, &credentials))?;
    let slots = config.slots.unwrap_or_else(measure::cpus);
    let runs_dir = runs.join(instance.as_str());
    make_private(&runs_dir)?;
    let profile = Profile {
        instance,
        slots: manifest.limits.max_tasks.map_or(slots, |max_tasks| slots.min(max_tasks)),
        manifest,
        owner: config.owner.clone(),
        shared_with: Vec::new(),
        overseers: BTreeSet::new(),
        sandbox: launcher.report().clone(),
        anchors,
    };
    let meter = Meter::new();
    Ok(Prepared {
        config,
        profile,
        launcher,
        meter,
        failures,
        journal,
        history,
        roster,
        issuer_key,
        runs_dir,
        credentials,
        journal_events,
    })
}

fn credentials(config: &NodeConfig, manifest: &Manifest) -> Result<Credentials, NodeError> {
    if !manifest.credentials.is_empty() {
        let attempt = "keep credentials out of core dumps of the node in";
        credentials::keep_off_the_disk().map_err(cannot(attempt, &config.state_dir))?;
    }
    Ok(Credentials::new(manifest, config.credential_sources.clone(), &config.state_dir))
}

/// A run gets the node's environment without what is a credential in it.
fn launcher_config(node: &NodeConfig, credentials: &Credentials) -> LauncherConfig {
    let SandboxSettings { tier, mounts, quotas } = node.sandbox.clone();
    let mut config = LauncherConfig { tier, mounts, quotas, ..LauncherConfig::default() };
    for name in credentials.variables() {
        config.environment.remove(name);
    }
    config
}

fn read_anchors(config: &NodeConfig) -> Result<TrustAnchors, NodeError> {
    let path = &config.anchors;
    let text = fs::read_to_string(path).map_err(cannot("read", path))?;
    let anchors = TrustAnchors::from_file(&text)
        .map_err(|source| NodeError::Anchors { path: path.clone(), source })?;
    match config.cluster()? {
        Some(wanted) if wanted != *anchors.cluster() => {
            let found = anchors.cluster().clone();
            Err(NodeError::OtherCluster { wanted, found })
        }
        Some(_) | None => Ok(anchors),
    }
}

/// The key that signs what runs ask for.
fn read_issuer_key(path: &Path) -> Result<SecretKey, NodeError> {
    let text = fs::read_to_string(path).map(Zeroizing::new).map_err(cannot("read", path))?;
    let unusable = |problem: String| NodeError::IssuerKey { path: path.to_owned(), problem };
    let key = SecretKey::from_file(&text).map_err(|error| unusable(error.to_string()))?;
    let purpose = key.public().purpose();
    if purpose != Purpose::TaskIssuer {
        return Err(unusable(format!("it holds a {purpose} key")));
    }
    Ok(key)
}

fn node_report(meter: &mut Meter, config: &NodeConfig, profile: &Profile) -> NodeReport {
    let Profile { instance, slots, sandbox, .. } = profile;
    meter.report(instance.clone(), *slots, &config.state_dir, sandbox.clone())
}

fn connect_options(config: &NodeConfig) -> Result<ConnectOptions, NodeError> {
    let mut options = ConnectOptions::new(config.url.clone(), config.id.clone());
    options.credentials = config.credentials();
    options.ca = config.ca.clone();
    options.max_reconnects = config.max_reconnects;
    if config.max_reconnects.is_none() {
        options.connect_within = None;
    }
    Ok(options)
}

fn make_private(path: &Path) -> Result<(), NodeError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(cannot("make the folder", path))
}

/// Removes what runs of earlier process starts left; they ended with their process.
fn empty(runs: &Path) -> Result<(), NodeError> {
    match fs::remove_dir_all(runs) {
        Ok(()) => (),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (),
        // Something may still be ending in there; its directory has a name of its own.
        Err(error) => tracing::warn!(%error, ?runs, "old runs' directories stay"),
    }
    make_private(runs)
}

fn cannot(attempt: &'static str, path: &Path) -> impl Fn(io::Error) -> NodeError {
    move |source| NodeError::State { attempt, path: path.to_owned(), source }
}
