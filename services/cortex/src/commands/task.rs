//! `cortex task`: hand in, watch and end tasks.

mod list;

use std::{io::Read, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use client::Client;
use schemas::{
    ErrorCode, Fault, PrincipalId, TaskId,
    agent::OutputStream,
    protocol::COMMAND_BYTES_MAX,
    scheduler::{
        CancelAnswer, CancelRequest, SubmitAnswer, SubmitRequest, TaskRequest, TaskSelection,
        WhyAnswer, verb,
    },
    strict,
    subject::ServiceName::Scheduler,
    task::{TaskState, TaskView},
};
use tokio::time::timeout;

use super::{
    Outcome, Session, chain, parse,
    run::{WorkArgs, verdict},
    sign::sign_order,
    tail::{Show, Tail},
};
use crate::{
    cli::Globals,
    files,
    output::{Column, Listing, Row, note},
};

pub(super) use list::describe;
use list::{LsArgs, list, listing, resolve};

const SIGN_HELP: &str = "\
Examples:
  cortex task sign --on local -- uname -a | cortex task submit -
  eval \"$(cortex ctx env)\"
  nats req cortex.cmd.$ME.scheduler.submit \"$(cortex task sign --on local -- uname -a)\"";

/// What can be done with tasks.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// List tasks, newest first.
    Ls(LsArgs),
    /// Show one task.
    Show {
        /// Which; the beginning of its id will do.
        id: String,
    },
    /// Show a task's output.
    Logs(LogsArgs),
    /// Why a task is where it is: every node with what excludes it.
    Why {
        /// Which.
        id: String,
    },
    /// Which tasks asked for one another up to this one, and which it asked for.
    Chain {
        /// Which.
        id: String,
    },
    /// End tasks: those named, or all of yours that a selection names.
    Cancel(CancelArgs),
    /// Wait until a task has ended.
    Wait(WaitArgs),
    /// Settle a lost task whose node will not come back.
    ForceLost {
        /// Which.
        id: String,
    },
    /// Sign a request and print it; `cortex task submit` or `nats req` hands it in.
    #[command(after_help = SIGN_HELP)]
    Sign(Box<WorkArgs>),
    /// Hand in a request that was signed before.
    Submit {
        /// The request's file; - for standard input.
        file: PathBuf,
    },
}

/// Whose output, and which.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Which task.
    id: String,
    /// Go on until the task has ended.
    #[arg(long, short)]
    follow: bool,
    /// Only stdout or stderr.
    #[arg(long, value_parser = stream)]
    stream: Option<OutputStream>,
    /// Go on after so many bytes of that stream.
    #[arg(long, requires = "stream", default_value_t = 0)]
    offset: u64,
}

/// Which tasks to end.
#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = true)]
pub struct CancelArgs {
    /// These.
    #[arg(group = "which", conflicts_with_all = ["state", "node", "all"])]
    ids: Vec<String>,
    /// All in this state.
    #[arg(long, group = "which", value_parser = parse::task_state)]
    state: Option<TaskState>,
    /// All on this node.
    #[arg(long, group = "which")]
    node: Option<PrincipalId>,
    /// All.
    #[arg(long, group = "which")]
    all: bool,
}

/// What to wait for.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Which task.
    id: String,
    /// Until it is in this state; until it has ended when absent.
    #[arg(long = "for", value_parser = parse::task_state, value_name = "STATE")]
    state: Option<TaskState>,
    /// At most so long.
    #[arg(long, value_parser = parse::duration)]
    timeout: Option<Duration>,
}

fn stream(word: &str) -> Result<OutputStream, String> {
    match word {
        "stdout" => Ok(OutputStream::Stdout),
        "stderr" => Ok(OutputStream::Stderr),
        _ => Err("it is stdout or stderr".to_owned()),
    }
}

pub(super) async fn carry_out(globals: &Globals, command: TaskCommand) -> Outcome {
    let session = Session::open(globals)?;
    // Signing needs no broker.
    if let TaskCommand::Sign(work) = command {
        let signed = sign_order(&session.context, work.into_order()?)?;
        note(&format!("task {}", signed.task));
        let text = serde_json::to_string(&signed.request)
            .map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
        crate::output::print(format!("{text}\n").as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let client = session.connect().await?;
    let code = carry_out_connected(&session, &client, command).await?;
    client.close().await;
    Ok(code)
}

async fn carry_out_connected(session: &Session, client: &Client, command: TaskCommand) -> Outcome {
    match command {
        TaskCommand::Ls(args) => list(session, client, args).await?,
        TaskCommand::Show { id } => {
            let view = get(client, resolve(client, &id).await?).await?;
            session.printer.show(&view, &describe(&view))?;
        }
        TaskCommand::Logs(args) => logs(client, args).await?,
        TaskCommand::Why { id } => why(session, client, &id).await?,
        TaskCommand::Chain { id } => {
            chain::show(session, client, resolve(client, &id).await?).await?;
        }
        TaskCommand::Cancel(args) => cancel(session, client, args).await?,
        TaskCommand::Wait(args) => return wait(session, client, args).await,
        TaskCommand::ForceLost { id } => {
            let request = TaskRequest { id: resolve(client, &id).await? };
            let view: TaskView = client.request(Scheduler, verb::FORCE_LOST, &request).await?;
            session.printer.show(&view, &listing(std::slice::from_ref(&view)))?;
        }
        TaskCommand::Submit { file } => submit(session, client, &file).await?,
        TaskCommand::Sign(_) => (),
    }
    Ok(ExitCode::SUCCESS)
}

async fn get(client: &Client, id: TaskId) -> Result<TaskView, Fault> {
    client.request(Scheduler, verb::GET_TASK, &TaskRequest { id }).await
}

async fn logs(client: &Client, args: LogsArgs) -> Result<(), Fault> {
    let LogsArgs { id, follow, stream, offset } = args;
    let show = stream.map_or(Show::Both, |stream| Show::One(stream, offset));
    let task = resolve(client, &id).await?;
    let mut tail = Tail::new(client, &task, show);
    let view = tail.view().await?;
    let ended = view.state.is_final() || view.state == TaskState::Lost;
    if !ended || !is_inline(&view) {
        tail.catch_up().await?;
    }
    if ended || follow {
        let view = tail.until_end().await?;
        if let (_, Some(fault)) = verdict(&view) {
            note(&format!("{}: {}", fault.code, fault.message));
        }
    }
    Ok(())
}

/// Whether the result holds all of the output.
fn is_inline(view: &TaskView) -> bool {
    view.outcome.as_ref().is_some_and(|outcome| {
        let holds =
            |summary: &schemas::task::OutputSummary| summary.inline.is_some() || summary.bytes == 0;
        holds(&outcome.stdout) && holds(&outcome.stderr)
    })
}

async fn why(session: &Session, client: &Client, id: &str) -> Result<(), Fault> {
    let request = TaskRequest { id: resolve(client, id).await? };
    let answer: WhyAnswer = client.request(Scheduler, verb::WHY, &request).await?;
    if !session.printer.is_for_machines() {
        note(&format!("{}: {}", answer.state.as_str(), answer.summary));
    }
    let rows = answer.nodes.iter().flat_map(|node| {
        let name = node.node.to_string();
        let able = || ("-".to_owned(), "nothing: it could take the task".to_owned());
        let mut reasons: Vec<(String, String)> = node
            .excluded_by
            .iter()
            .map(|exclusion| (filter_word(exclusion.filter), exclusion.detail.clone()))
            .collect();
        if reasons.is_empty() {
            reasons.push(able());
        }
        reasons
            .into_iter()
            .map(move |(filter, detail)| Row::new(vec![name.clone(), filter, detail]))
    });
    let columns = [Column::Usual("NODE"), Column::Usual("EXCLUDED BY"), Column::Usual("DETAIL")];
    session.printer.show(&answer, &Listing::new(&columns, rows.collect::<Vec<_>>()))
}

fn filter_word(filter: schemas::scheduler::Filter) -> String {
    let word = serde_json::to_value(filter).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

async fn cancel(session: &Session, client: &Client, args: CancelArgs) -> Result<(), Fault> {
    let CancelArgs { ids, state, node, all: _ } = args;
    let mut total = CancelAnswer { cancelled: Vec::new(), stopping: Vec::new(), more: false };
    let mut requests = Vec::new();
    for id in &ids {
        requests.push(CancelRequest { id: Some(resolve(client, id).await?), select: None });
    }
    if ids.is_empty() {
        let select = TaskSelection { state, node, issuer: None };
        requests.push(CancelRequest { id: None, select: Some(select) });
    }
    for request in requests {
        loop {
            let answer: CancelAnswer = client.request(Scheduler, verb::CANCEL, &request).await?;
            let progress = answer.cancelled.len() + answer.stopping.len();
            total.cancelled.extend(answer.cancelled);
            total.stopping.extend(answer.stopping);
            if !answer.more || progress == 0 {
                break;
            }
        }
    }
    let row = |task: &TaskId, word: &str| Row::new(vec![task.to_string(), word.to_owned()]);
    let cancelled = total.cancelled.iter().map(|task| row(task, "cancelled"));
    let stopping = total.stopping.iter().map(|task| row(task, "stopping"));
    let columns = [Column::Usual("ID"), Column::Usual("RESULT")];
    session.printer.show(&total, &Listing::new(&columns, cancelled.chain(stopping)))
}

async fn wait(session: &Session, client: &Client, args: WaitArgs) -> Outcome {
    let WaitArgs { id, state, timeout: patience } = args;
    let task = resolve(client, &id).await?;
    let waiting = async {
        match state {
            None => Tail::new(client, &task, Show::Nothing).until_end().await,
            Some(state) => until(client, &task, state).await,
        }
    };
    let view = match patience {
        None => waiting.await?,
        Some(patience) => timeout(patience, waiting).await.map_err(|_| {
            Fault::new(ErrorCode::TimedOut, format!("task {task} took longer than {patience:?}"))
                .with_hint("`cortex task why` tells what it waits for")
        })??,
    };
    session.printer.show(&view, &listing(std::slice::from_ref(&view)))?;
    let (code, _) = if state.is_some() { (0, None) } else { verdict(&view) };
    Ok(ExitCode::from(code))
}

/// Waits for a state on the way, or fails when the task has gone past it.
async fn until(client: &Client, task: &TaskId, state: TaskState) -> Result<TaskView, Fault> {
    let mut events = client.events(Scheduler, client::StartAt::Head);
    loop {
        let view = get(client, task.clone()).await?;
        if view.state == state {
            return Ok(view);
        }
        if view.state.is_final() {
            let message = format!("task {task} ended as {}", view.state.as_str());
            return Err(Fault::new(ErrorCode::TaskFinished, message));
        }
        if let Some(Err(fault)) = events.next().await {
            return Err(fault);
        }
    }
}

async fn submit(session: &Session, client: &Client, file: &std::path::Path) -> Result<(), Fault> {
    let text = if file.as_os_str() == "-" {
        let limit = u64::try_from(COMMAND_BYTES_MAX).unwrap_or(u64::MAX);
        let mut text = String::new();
        std::io::stdin().lock().take(limit + 1).read_to_string(&mut text).map_err(|error| {
            Fault::new(ErrorCode::MalformedJson, format!("standard input: {error}"))
        })?;
        text
    } else {
        files::read(file)?
    };
    let request: SubmitRequest = strict::parse(text.as_bytes())?;
    let answer: SubmitAnswer = client.request(Scheduler, verb::SUBMIT, &request).await?;
    let properties = vec![
        ("id", answer.task.to_string()),
        ("state", answer.state.as_str().to_owned()),
        ("node", answer.node.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("waiting for", answer.waiting_for.clone().unwrap_or_default()),
    ];
    session.printer.show(&answer, &Listing::of_one(answer.task.as_str(), properties))
}
