//! Lists of tasks, one task in full, and finding a task by the beginning of its id.

use clap::Args;
use client::Client;
use schemas::{
    ErrorCode, Fault, PrincipalId, TaskId, Timestamp,
    scheduler::{GetTasksAnswer, GetTasksRequest, TaskSelection, verb},
    subject::ServiceName::Scheduler,
    task::{TaskState, TaskView},
};

use crate::{
    commands::{Session, parse, session::now, watch::shown},
    output::{Column, Listing, Row, age, bytes, local_time},
};

/// Tasks that are listed when no number is given.
const LIMIT: u32 = 100;
/// Digits of a whole task id.
const ID_DIGITS: usize = 32;
/// Digits of an id in the usual list; enough to name it.
const SHORT_DIGITS: usize = 12;

/// Which tasks to list.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Exactly this state.
    #[arg(long, value_parser = parse::task_state)]
    state: Option<TaskState>,
    /// Given to this node.
    #[arg(long)]
    node: Option<PrincipalId>,
    /// Signed by this principal.
    #[arg(long)]
    issuer: Option<PrincipalId>,
    /// At most so many.
    #[arg(long, default_value_t = LIMIT, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Show again whenever something changes.
    #[arg(long, short)]
    watch: bool,
}

pub(super) async fn list(session: &Session, client: &Client, args: LsArgs) -> Result<(), Fault> {
    let LsArgs { state, node, issuer, limit, watch } = args;
    let select = TaskSelection { state, node, issuer };
    shown(session, (client, Scheduler), watch, async || {
        let tasks = tasks(client, &select, limit).await?;
        session.printer.show(&tasks, &listing(&tasks))
    })
    .await
}

async fn tasks(
    client: &Client,
    select: &TaskSelection,
    limit: u32,
) -> Result<Vec<TaskView>, Fault> {
    let mut tasks: Vec<TaskView> = Vec::new();
    let mut after = None;
    loop {
        let left = limit.saturating_sub(u32::try_from(tasks.len()).unwrap_or(u32::MAX));
        let request =
            GetTasksRequest { select: select.clone(), after, limit: Some(left.min(LIMIT)) };
        let answer: GetTasksAnswer = client.request(Scheduler, verb::GET_TASKS, &request).await?;
        let found = u32::try_from(answer.tasks.len()).unwrap_or(u32::MAX);
        tasks.extend(answer.tasks);
        if answer.next.is_none() || left <= found {
            return Ok(tasks);
        }
        after = answer.next;
    }
}

/// The task whose id begins so.
pub(super) async fn resolve(client: &Client, beginning: &str) -> Result<TaskId, Fault> {
    let id = TaskId::parse(beginning)
        .map_err(|error| Fault::new(ErrorCode::InvalidId, error.to_string()))?;
    if ID_DIGITS <= beginning.len() {
        return Ok(id);
    }
    let recent = tasks(client, &TaskSelection::default(), 10 * LIMIT).await?;
    let mut matching = recent.into_iter().filter(|task| task.id.as_str().starts_with(beginning));
    match (matching.next(), matching.next()) {
        (Some(task), None) => Ok(task.id),
        (Some(_), Some(_)) => {
            let message = format!("several tasks begin with {beginning}");
            Err(Fault::new(ErrorCode::InvalidId, message).with_hint("write more of the id"))
        }
        (None, _) => {
            let message = format!("no recent task begins with {beginning}");
            Err(Fault::new(ErrorCode::TaskNotFound, message))
        }
    }
}

pub(super) fn listing(tasks: &[TaskView]) -> Listing {
    use Column::{Usual, Wide};
    let columns = [
        Usual("ID"),
        Usual("STATE"),
        Usual("NODE"),
        Usual("AGE"),
        Usual("TOOK"),
        Usual("EXIT"),
        Usual("WORK"),
        Wide("WHOLE ID"),
        Wide("ISSUER"),
        Wide("AUDIENCE"),
        Wide("EPOCH"),
        Wide("ATTEMPT"),
        Wide("WAITING FOR"),
    ];
    let now = now();
    Listing::new(&columns, tasks.iter().map(|task| row(task, now)))
}

fn row(task: &TaskView, now: Timestamp) -> Row {
    let id = task.id.as_str();
    let outcome = task.outcome.as_ref();
    let cells = vec![
        id.chars().take(SHORT_DIGITS).collect(),
        task.state.as_str().to_owned(),
        task.node.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        age(task.submitted_at, now),
        outcome.map_or_else(|| "-".to_owned(), |outcome| format!("{} ms", outcome.usage.wall_ms)),
        exit(task),
        task.spec.work.summary(),
        id.to_owned(),
        task.issuer.to_string(),
        task.audience.to_string(),
        task.epoch.to_string(),
        task.attempt.to_string(),
        task.waiting_for.clone().unwrap_or_default(),
    ];
    Row { name: id.to_owned(), cells }
}

fn exit(task: &TaskView) -> String {
    let Some(outcome) = &task.outcome else { return "-".to_owned() };
    match (outcome.exit_code, outcome.signal, &outcome.fault) {
        (Some(code), _, _) => code.to_string(),
        (None, Some(signal), _) => format!("signal {signal}"),
        (None, None, Some(fault)) => fault.code.to_string(),
        (None, None, None) => "-".to_owned(),
    }
}

/// One task in full.
pub(crate) fn describe(task: &TaskView) -> Listing {
    let mut properties = vec![
        ("id", task.id.to_string()),
        ("state", task.state.as_str().to_owned()),
        ("waiting for", task.waiting_for.clone().unwrap_or_default()),
        ("work", task.spec.work.summary()),
        ("issuer", task.issuer.to_string()),
        ("audience", task.audience.to_string()),
        ("node", task.node.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("epoch", task.epoch.to_string()),
        ("attempt", task.attempt.to_string()),
        ("submitted", task.submitted_at.to_string()),
        ("assigned", local_time(task.assigned_at)),
        ("started", local_time(task.started_at)),
        ("finished", local_time(task.finished_at)),
        ("expires", task.expires_at.to_string()),
        ("cancelled by", task.cancelled_by.as_ref().map(ToString::to_string).unwrap_or_default()),
    ];
    for refusal in &task.refusals {
        properties
            .push(("refused", format!("by {} at {}: {}", refusal.node, refusal.at, refusal.fault)));
    }
    if let Some(outcome) = &task.outcome {
        let usage = &outcome.usage;
        properties.extend([
            ("exit", exit(task)),
            ("fault", outcome.fault.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("wall time", format!("{} ms", usage.wall_ms)),
            ("processor time", format!("{} ms", usage.cpu_ms)),
            ("memory", bytes(usage.memory_peak_bytes)),
            (
                "stdout",
                format!("{} ({} dropped)", bytes(outcome.stdout.bytes), outcome.stdout.dropped),
            ),
            (
                "stderr",
                format!("{} ({} dropped)", bytes(outcome.stderr.bytes), outcome.stderr.dropped),
            ),
        ]);
    }
    Listing::of_one(task.id.as_str(), properties)
}
