//! One `cortex up` from its first file to its last child's end.

use std::{fs, path::PathBuf, process::ExitCode, time::Instant};

use schemas::{ErrorCode, Fault, subject::ServiceName};
use tokio::sync::watch;

use super::{
    UpArgs,
    denials::Denials,
    launch::Ground,
    logins::Logins,
    port, ready,
    record::Record,
    stale,
    supervise::{Board, Crew},
};
use crate::{
    authority::OperatorPlace,
    broker::Search,
    cli::Globals,
    commands::{Outcome, printer, serve::chain},
    context::{ADMIN, Contexts, LOCAL},
    files::{FileError, make_private_dir},
    home::{HOME_VARIABLE, Home},
    material::{Material, Member},
    output::{Column, Listing, Row, note},
    signals::{self, Supervision},
};

/// A home, and what becomes of it at the end.
#[derive(Debug)]
pub(crate) struct HomeOfUp {
    pub(crate) home: Home,
    /// The directory that is removed at the end.
    pub(crate) remove: Option<PathBuf>,
}

impl std::ops::Deref for HomeOfUp {
    type Target = Home;
    fn deref(&self) -> &Home {
        &self.home
    }
}

/// A home in a new directory.
pub(crate) fn ephemeral() -> Result<HomeOfUp, Fault> {
    let root = std::env::temp_dir().join(format!("cortex-{:016x}", rand::random::<u64>()));
    make_private_dir(&root)?;
    Ok(HomeOfUp { home: Home::at(&root), remove: Some(root) })
}

/// The home that the environment names.
pub(crate) fn permanent(remove: bool) -> Result<HomeOfUp, Fault> {
    let home = Home::from_environment()?;
    let root = std::env::var_os(HOME_VARIABLE).map(PathBuf::from);
    Ok(HomeOfUp { home, remove: root.filter(|_| remove) })
}

/// Starts everything, keeps it running until a signal or a hopeless child, and stops everything.
pub(crate) async fn run(globals: &Globals, args: &UpArgs, home: &HomeOfUp) -> Outcome {
    let ended = run_in(globals, args, home).await;
    if let Some(root) = &home.remove
        && let Err(error) = fs::remove_dir_all(root)
    {
        note(&Fault::from(FileError::new("removing", root, error)).message);
    }
    ended
}

async fn run_in(globals: &Globals, args: &UpArgs, home: &HomeOfUp) -> Outcome {
    let began = Instant::now();
    let mut stop = signals::stop(Supervision::of(args.supervised))?;
    stale::end_all(home).await?;
    let material = Material::ensure(home, OperatorPlace::Here)?;
    let broker = find_broker().await?;
    let port = port::choose(args.nats_port)?;
    let ground = Ground {
        home,
        material: &material,
        broker,
        port,
        slots: args.slots,
        share: &args.share,
        login_lifetime_s: args.login_lifetime_s,
    };
    let record = Record {
        pid: std::process::id(),
        url: ground.url(),
        context: LOCAL.to_owned(),
        ready: false,
        processes: Vec::new(),
    };
    record.write(home)?;
    keep_context(&ground)?;
    let board = Board::new(home, record);
    let logins = Logins::open(home, &material, args.login_lifetime_s)?;
    let renewals = tokio::spawn(logins.clone().keep());
    let denials = Denials::default();
    let reporter = denials.report(ground.admin());
    let mut crew = Crew::new(board.clone(), logins, denials);
    let started = start_all(&ground, args, &mut crew, &mut stop).await;
    let ended = match started {
        Ok(Progress::Stopped) => Ok(()),
        Err(fault) => Err(fault),
        Ok(Progress::Ready) => {
            board.change(|record| record.ready = true);
            announce(globals, home, (&board.now(), began))?;
            tokio::select! {
                fault = crew.given_up() => Err(fault),
                () = signals::wait(&mut stop) => Ok(()),
            }
        }
    };
    if ended.is_ok() {
        note("stopping");
    }
    let stopped = async {
        reporter.finish().await;
        crew.stop().await;
    };
    tokio::select! {
        () = stopped => (),
        _ = tokio::signal::ctrl_c() => {
            note("leaving at once; what still runs ends by itself within seconds");
        }
    }
    renewals.abort();
    ended.map(|()| ExitCode::SUCCESS)
}

enum Progress {
    Ready,
    Stopped,
}

async fn start_all(
    ground: &Ground<'_>,
    args: &UpArgs,
    crew: &mut Crew,
    stop: &mut watch::Receiver<bool>,
) -> Result<Progress, Fault> {
    let context = ground.context();
    let mut client = None;
    let steps = [Step::Broker, Step::Service(ServiceName::Registry)].into_iter();
    let steps = steps.chain([Step::Service(ServiceName::Scheduler), Step::Node]);
    // One that was put out would only be refused, again and again.
    let node = crew.lets_in(&ground.material.identities.principal(Member::Node)) && !args.no_node;
    for step in steps.filter(|step| node || *step != Step::Node) {
        crew.start(step.program(ground)?);
        let ready = async {
            match (&client, step) {
                (None, _) | (_, Step::Broker) => {
                    ready::streams(&ground.admin()).await?;
                    client = Some(ready::broker(&context).await?);
                }
                (Some(client), Step::Service(service)) => ready::service(client, service).await?,
                (Some(client), Step::Node) => {
                    ready::node(client).await?;
                    ready::first_task(client, &context).await?;
                }
            }
            Ok::<(), Fault>(())
        };
        tokio::select! {
            ready = ready => ready?,
            fault = crew.given_up() => return Err(fault),
            () = signals::wait(stop) => return Ok(Progress::Stopped),
        }
    }
    Ok(Progress::Ready)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Broker,
    Service(ServiceName),
    Node,
}

impl Step {
    fn program(self, ground: &Ground<'_>) -> Result<super::child::Program, Fault> {
        match self {
            Self::Broker => ground.broker(),
            Self::Service(service) => ground.service(service),
            Self::Node => ground.node(),
        }
    }
}

async fn find_broker() -> Result<PathBuf, Fault> {
    let found = tokio::task::spawn_blocking(|| Search::from_environment().find(note)).await;
    let found = found.map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
    found.map_err(|error| {
        Fault::new(ErrorCode::ConfigInvalid, chain(&error)).with_hint(error.hint())
    })
}

/// Lets every command on this machine find the way.
fn keep_context(ground: &Ground<'_>) -> Result<(), Fault> {
    let contexts = Contexts::new(ground.home);
    contexts.write(LOCAL, &ground.context())?;
    contexts.write(ADMIN, &ground.admin())?;
    match contexts.selected()? {
        Some(_) => Ok(()),
        None => contexts.select(LOCAL),
    }
}

/// Says that everything is ready, where, and what to do next.
pub(crate) fn announce(
    globals: &Globals,
    home: &HomeOfUp,
    (record, began): (&Record, Instant),
) -> Result<(), Fault> {
    let printer = printer(globals);
    if printer.is_for_machines() {
        let row = Row::new(vec![record.url.clone()]);
        return printer.show(record, &Listing::new(&[Column::Usual("URL")], [row]));
    }
    let elapsed = began.elapsed().as_secs_f32();
    note(&format!("\nCortex is up after {elapsed:.1} s.\n"));
    note(&format!("  broker   {}", record.url));
    note(&format!("  context  {}", record.context));
    note(&format!("  logs     {}", home.logs().display()));
    if let Some(root) = &home.remove {
        note(&format!("\nIn other terminals:\n  export {HOME_VARIABLE}={}", root.display()));
    }
    note("\nTry:\n  cortex agent ls\n  cortex run --on local -- uname -a\n  cortex task ls\n");
    note("With the plain nats command:");
    note("  eval \"$(cortex ctx env)\"; nats micro ls");
    note("  eval \"$(cortex ctx env admin)\"; nats sub 'cortex.ev.>'\n");
    Ok(())
}
