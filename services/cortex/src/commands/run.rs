//! `cortex run`: a command on a node as if it ran here.

use std::{collections::BTreeMap, io::Read, process::ExitCode, time::Duration};

use clap::Args;
use client::Client;
use schemas::{
    Audience, Capability, ErrorCode, Fault, FaultClass, PrincipalId, TaskId,
    grants::Grants,
    manifest::PrincipalPattern,
    protocol::SPEC_BYTES_MAX,
    sandbox::Property,
    scheduler::{CancelAnswer, CancelRequest, SubmitAnswer, verb},
    subject::ServiceName::Scheduler,
    task::{TaskSpec, TaskState, TaskView, Verdict, Work},
};
use tokio::signal::ctrl_c;

use super::{
    Outcome, Session, parse,
    sign::{Order, sign_order},
    tail::{Show, Tail},
    task::describe,
};
use crate::{
    cli::Globals,
    output::{note, print},
};

/// How long a request may wait for a node when nothing else is said.
const REQUEST_LIVES: Duration = Duration::from_secs(3600);
/// What a shell answers for a command that a signal ended: this and the signal's number.
const SIGNAL_BASE: i32 = 128;
/// What a command line leaves with when it was interrupted.
const INTERRUPTED: u8 = 130;

/// What to run, and where.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// The node that shall run it.
    #[arg(long, value_name = "NODE", required_unless_present = "can", conflicts_with = "can")]
    on: Option<PrincipalId>,
    /// Any node that can do this shall run it.
    #[arg(long, value_name = "CAPABILITY", value_parser = Capability::parse)]
    can: Option<Capability>,
    /// End it after this time, for example 30s or 5m; 1h when absent.
    #[arg(long, value_parser = parse::duration)]
    timeout: Option<Duration>,
    /// How long the request may wait for a node.
    #[arg(long, value_parser = parse::duration, value_name = "TIME")]
    expires_in: Option<Duration>,
    /// KEY=VALUE for its environment, as often as needed.
    #[arg(long, short, value_parser = parse::pair, value_name = "KEY=VALUE")]
    env: Vec<(String, String)>,
    /// Where it runs; a directory of its own when absent.
    #[arg(long)]
    cwd: Option<String>,
    /// Let it read what standard input holds.
    #[arg(long)]
    stdin: bool,
    /// It may run again when its node was lost.
    #[arg(long)]
    idempotent: bool,
    /// KEY=VALUE that the node's labels must have, as often as needed.
    #[arg(long, short, value_parser = parse::pair, value_name = "KEY=VALUE")]
    label: Vec<(String, String)>,
    /// What the node's sandbox must enforce, for example tree_kill; as often as needed.
    #[arg(long, value_parser = parse::property, value_name = "PROPERTY")]
    require: Vec<Property>,
    /// A credential of the node that the run gets, as often as needed.
    #[arg(long, value_name = "NAME")]
    credential: Vec<String>,
    #[command(flatten)]
    grants: GrantArgs,
    /// The program and its arguments; no shell is involved.
    #[arg(last = true, required = true)]
    argv: Vec<String>,
}

/// What the run may itself ask its node for; nothing when all are absent.
#[derive(Debug, Args)]
#[command(next_help_heading = "Grants")]
pub struct GrantArgs {
    /// An agent that the run may task: an id, prefix-* or *; as often as needed.
    #[arg(long, value_name = "AGENT", value_parser = parse::principals, requires = "grant_tasks")]
    grant_agent: Vec<PrincipalPattern>,
    /// A capability that the run may ask for, as often as needed.
    #[arg(long, value_name = "CAPABILITY", value_parser = Capability::parse, requires = "grant_tasks")]
    grant_can: Vec<Capability>,
    /// A credential that its tasks may use, as often as needed.
    #[arg(long, value_name = "NAME", requires = "grant_tasks")]
    grant_credential: Vec<String>,
    /// How many tasks the run may ask for, those that these ask for included.
    #[arg(long, value_name = "N")]
    grant_tasks: Option<u32>,
}

impl GrantArgs {
    fn into_grants(self) -> Grants {
        let Self { grant_agent, grant_can, grant_credential, grant_tasks } = self;
        Grants {
            agents: grant_agent,
            capabilities: grant_can,
            credentials: grant_credential,
            tasks_max: grant_tasks.unwrap_or(0),
            ..Grants::default()
        }
    }
}

/// What to run, and whether to wait for it.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    work: WorkArgs,
    /// Print the task's id and leave.
    #[arg(long, short)]
    detach: bool,
}

impl WorkArgs {
    /// How long the request may wait, in seconds, when that was said.
    pub(super) fn lives_s(&self) -> Option<u64> {
        self.expires_in.map(|lives| lives.as_secs().max(1))
    }

    /// What is asked for, as it will be signed.
    pub(super) fn into_order(self) -> Result<Order, Fault> {
        let Self {
            on,
            can,
            timeout,
            expires_in,
            env,
            cwd,
            stdin,
            idempotent,
            label,
            require,
            credential,
            grants,
            argv,
        } = self;
        let audience = match (on, can) {
            (Some(node), _) => Audience::Node(node),
            (None, Some(capability)) => Audience::Can(capability),
            (None, None) => {
                return Err(Fault::new(ErrorCode::InvalidValue, "neither --on nor --can is given"));
            }
        };
        let stdin = if stdin { Some(read_stdin()?) } else { None };
        let work = Work::Command { argv, cwd, env: unique(env)?, stdin };
        let mut spec = TaskSpec::new(work);
        spec.time_limit_ms =
            timeout.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        spec.idempotent = idempotent;
        spec.labels = unique(label)?;
        spec.properties = require;
        spec.credentials = credential;
        let grants = grants.into_grants();
        Ok(Order { audience, spec, grants, lives: expires_in.unwrap_or(REQUEST_LIVES) })
    }
}

/// Which of two values counts would depend on who reads the command line.
fn unique(pairs: Vec<(String, String)>) -> Result<BTreeMap<String, String>, Fault> {
    let mut table = BTreeMap::new();
    for (key, value) in pairs {
        if table.contains_key(&key) {
            return Err(Fault::new(ErrorCode::InvalidValue, format!("{key} is given twice")));
        }
        table.insert(key, value);
    }
    Ok(table)
}

fn read_stdin() -> Result<String, Fault> {
    let limit = u64::try_from(SPEC_BYTES_MAX).unwrap_or(u64::MAX);
    let mut text = String::new();
    let read = std::io::stdin().lock().take(limit + 1).read_to_string(&mut text);
    read.map_err(|error| {
        Fault::new(ErrorCode::InvalidValue, format!("standard input is no text: {error}"))
    })?;
    if SPEC_BYTES_MAX < text.len() {
        let message = format!("standard input is longer than {SPEC_BYTES_MAX} bytes");
        return Err(Fault::new(ErrorCode::TooLarge, message));
    }
    Ok(text)
}

pub(super) async fn run(globals: &Globals, args: RunArgs) -> Outcome {
    let session = Session::open(globals)?;
    let signed = sign_order(&session.context, args.work.into_order()?)?;
    let client = session.connect().await?;
    // Machines get the whole result at the end, and no loose output before it.
    let quiet = session.printer.is_for_machines() || args.detach;
    let show = if quiet { Show::Nothing } else { Show::Both };
    let mut tail = Tail::new(&client, &signed.task, show);
    let answer: SubmitAnswer = client.request(Scheduler, verb::SUBMIT, &signed.request).await?;
    if args.detach {
        print(format!("{}\n", answer.task).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    tail.tell_waiting(answer.waiting_for.as_deref());
    let (view, interrupted) = {
        let mut end = std::pin::pin!(tail.until_end());
        tokio::select! {
            view = &mut end => (view?, false),
            _ = ctrl_c() => {
                cancel(&client, &answer.task).await?;
                tokio::select! {
                    view = &mut end => (view?, true),
                    _ = ctrl_c() => return Ok(ExitCode::from(INTERRUPTED)),
                }
            }
        }
    };
    let (code, fault) = verdict(&view);
    match fault {
        // Machines find it in the result.
        _ if session.printer.is_for_machines() => session.printer.show(&view, &describe(&view))?,
        Some(fault) => session.printer.fail(&fault),
        None => (),
    }
    client.close().await;
    Ok(ExitCode::from(if interrupted { INTERRUPTED } else { code }))
}

async fn cancel(client: &Client, task: &TaskId) -> Result<(), Fault> {
    note("cancelling; press Ctrl-C again to leave at once");
    let request = CancelRequest { id: Some(task.clone()), select: None };
    let cancelled: Result<CancelAnswer, Fault> =
        client.request(Scheduler, verb::CANCEL, &request).await;
    match cancelled {
        Err(fault) if fault.code != ErrorCode::TaskFinished => Err(fault),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What to leave with after a task that ended like this, and what to say about it.
pub(super) fn verdict(view: &TaskView) -> (u8, Option<Fault>) {
    let with = |code: ErrorCode, message: String| {
        (code.class().exit_code(), Some(Fault::new(code, message)))
    };
    let id = &view.id;
    let Some(outcome) = &view.outcome else {
        return match view.state {
            TaskState::Expired => {
                with(ErrorCode::Expired, format!("task {id} found no node in time"))
            }
            TaskState::Cancelled => {
                (1, Some(Fault::new(ErrorCode::TaskFinished, "it was cancelled")))
            }
            TaskState::Lost => with(ErrorCode::TaskLost, lost(view)),
            TaskState::Queued
            | TaskState::Assigned
            | TaskState::Started
            | TaskState::Succeeded
            | TaskState::Failed
            | TaskState::TimedOut => (1, None),
        };
    };
    match outcome.verdict {
        Verdict::Succeeded => (0, None),
        Verdict::TimedOut => {
            let fault = Fault::new(ErrorCode::TimedOut, format!("task {id} passed its time limit"))
                .with_hint("give it more time with --timeout");
            (fault.code.class().exit_code(), Some(fault))
        }
        Verdict::Cancelled => (1, Some(Fault::new(ErrorCode::TaskFinished, "it was cancelled"))),
        Verdict::Lost => with(ErrorCode::TaskLost, lost(view)),
        Verdict::Failed => match (&outcome.fault, outcome.exit_code, outcome.signal) {
            (_, code @ Some(_), signal) | (_, code @ None, signal @ Some(_)) => {
                (exit_code(code, signal), None)
            }
            (Some(fault), None, None) => (fault.code.class().exit_code(), Some(fault.clone())),
            (None, None, None) => (FaultClass::Broken.exit_code(), None),
        },
    }
}

/// What to leave with after a process that ended by itself or by a signal, as a shell does.
pub(super) fn exit_code(code: Option<i32>, signal: Option<i32>) -> u8 {
    let status = match (code, signal) {
        (Some(code), _) => code,
        (None, Some(signal)) => SIGNAL_BASE.saturating_add(signal),
        (None, None) => 1,
    };
    u8::try_from(status & 0xff).unwrap_or(1)
}

fn lost(view: &TaskView) -> String {
    let node = view.node.as_ref().map(PrincipalId::as_str).unwrap_or("its node");
    format!("task {} is lost: {node} went silent, and how it ended is not known", view.id)
}
