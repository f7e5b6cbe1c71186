//! `cortex up` and `cortex down`: broker, services and a node as child processes of one supervisor.
//!
//! **Invariant:** at most one supervisor works on a home; a lock that dies with it sees to that.
//! **Invariant:** no child outlives its supervisor by more than a few seconds, however it died.

mod child;
mod denials;
mod detach;
mod guard;
mod launch;
mod log;
mod logins;
mod port;
mod ready;
pub(crate) mod record;
mod restart;
mod stale;
mod start;
mod supervise;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use schemas::{ErrorCode, Fault, enrolment::LOGIN_LIFETIME_S};
use tokio::time::{Instant, sleep};

pub(crate) use guard::guard;
use record::{Lock, Record};

use crate::{cli::Globals, commands::Outcome, home::Home, output::note};

/// How long `down` waits; longer than all deadlines of the supervisor together.
const DOWN_DEADLINE: Duration = Duration::from_secs(75);
/// Shortest life of a login: the broker counts in whole seconds, and half of it must be some.
const LOGIN_LIFETIME_S_MIN: u64 = 2;
/// Longest life of a login.
const LOGIN_LIFETIME_S_MAX: u64 = 24 * 3600;
/// How often it is looked whether a process is gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How to start.
#[derive(Clone, Debug, Args)]
pub struct UpArgs {
    /// Leave as soon as everything is ready; `cortex down` stops it.
    #[arg(long, short)]
    detach: bool,
    /// Keep nothing: everything lies in a directory that is removed at the end.
    #[arg(long)]
    ephemeral: bool,
    /// Port of the broker; 0 takes a free one.
    #[arg(long, default_value_t = 4222, value_name = "PORT", env = "CORTEX_NATS_PORT")]
    nats_port: u16,
    /// Start no node.
    #[arg(long)]
    no_node: bool,
    /// Runs at once on the local node; one a processor when absent.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=4096))]
    slots: Option<u32>,
    /// A folder that runs on the local node may read and write; may be said several times.
    #[arg(long, value_name = "FOLDER")]
    share: Vec<PathBuf>,
    /// How long what everybody logs in with counts, in seconds.
    #[arg(
        long,
        hide = true,
        env = "CORTEX_LOGIN_LIFETIME_S",
        default_value_t = LOGIN_LIFETIME_S,
        value_parser = clap::value_parser!(u64).range(LOGIN_LIFETIME_S_MIN..=LOGIN_LIFETIME_S_MAX),
    )]
    login_lifetime_s: u64,
    /// Stop when standard input ends, as it does when whoever started it dies.
    #[arg(long, hide = true, conflicts_with = "detach")]
    supervised: bool,
    /// Remove the home at the end, as whoever made it asks.
    #[arg(long, hide = true)]
    remove_home: bool,
}

pub(crate) async fn up(globals: &Globals, args: UpArgs) -> Outcome {
    let home =
        if args.ephemeral { start::ephemeral()? } else { start::permanent(args.remove_home)? };
    if args.detach {
        return detach::start(globals, &args, home).await;
    }
    let lock = Lock::take(&home)?.ok_or_else(|| already_running(&home))?;
    let ended = start::run(globals, &args, &home).await;
    drop(lock);
    ended
}

fn already_running(home: &Home) -> Fault {
    let record = Record::read(home).ok().flatten();
    let message = match &record {
        Some(record) => format!("pid {} serves {}", record.pid, record.url),
        None => "another `cortex up` works on the same home".to_owned(),
    };
    Fault::new(ErrorCode::AlreadyRunning, message).with_details(
        serde_json::json!({ "pid": record.as_ref().map(|r| r.pid), "url": record.map(|r| r.url) }),
    )
}

pub(crate) async fn down() -> Outcome {
    let home = Home::from_environment()?;
    let record = Record::read(&home)?;
    if !record::is_running(&home) {
        stale::end_all(&home).await?;
        return Err(Fault::new(ErrorCode::NotRunning, "`cortex up` does not run here"));
    }
    let pid = record.and_then(|record| Pid::from_raw(i32::try_from(record.pid).ok()?));
    let pid = pid.ok_or_else(|| {
        Fault::new(ErrorCode::NotRunning, "`cortex up` is only just starting; try again")
    })?;
    kill_process(pid, Signal::TERM).map_err(|error| {
        let message = format!("signalling pid {}: {error}", pid.as_raw_nonzero());
        Fault::new(ErrorCode::NotAllowed, message)
    })?;
    let until = Instant::now() + DOWN_DEADLINE;
    while record::is_running(&home) {
        if until <= Instant::now() {
            let message = format!("it has not stopped within {DOWN_DEADLINE:?}");
            return Err(Fault::new(ErrorCode::TimedOut, message).with_hint("its log tells why"));
        }
        sleep(LOOK_INTERVAL).await;
    }
    note("stopped");
    Ok(ExitCode::SUCCESS)
}
