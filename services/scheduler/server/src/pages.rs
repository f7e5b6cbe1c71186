//! What has left the state is read from its bucket, and lists are cut to what one message holds.
//!
//! **Invariant:** a page that was cut says where to go on.

use runtime::RowReader;
use scheduler_core::{Answer, Kept, PageKey, TaskPage};
use schemas::{ErrorCode, Fault, subject::Bucket, task::TaskView};
use tokio::task::JoinSet;

/// Largest list of tasks that is sent, in bytes; the broker takes messages of 1 MiB.
const PAGE_BYTES_MAX: usize = 768 * 1024;
/// Rows that are read at the same time.
const READS_MAX: usize = 32;

/// Reads the record of a task that has left the state.
pub(crate) async fn record(rows: &RowReader, kept: &Kept) -> Result<Answer, Fault> {
    Ok(Answer::Task(Box::new(record_of(rows, kept).await?)))
}

/// Fills a page with the records of those tasks that have left the state.
pub(crate) async fn fill(rows: &RowReader, mut page: TaskPage) -> Result<Answer, Fault> {
    let missing = std::mem::take(&mut page.missing);
    let found = read_all(rows, missing).await?;
    insert(&mut page.answer.tasks, found);
    fit(&mut page);
    Ok(Answer::Tasks(page))
}

async fn record_of(rows: &RowReader, kept: &Kept) -> Result<TaskView, Fault> {
    read(rows, kept).await?.ok_or_else(|| {
        let message = format!("the record of task {} is not in its bucket yet", kept.id);
        let fault = Fault::new(ErrorCode::Unreachable, message);
        fault.with_hint("ask again in a moment; `cortex rebuild cortex_tasks` makes it anew")
    })
}

async fn read(rows: &RowReader, kept: &Kept) -> Result<Option<TaskView>, Fault> {
    let row = rows.get(Bucket::Tasks, kept.id.as_str()).await?;
    let broken = |error: serde_json::Error| {
        let message = format!("the record of task {} cannot be read: {error}", kept.id);
        Fault::new(ErrorCode::ProjectionRefused, message)
    };
    row.map(|row| serde_json::from_str(row.get())).transpose().map_err(broken)
}

/// The records with their places, in ascending order; one that is not there is left out.
pub(crate) async fn read_all(
    rows: &RowReader,
    missing: Vec<(usize, Kept)>,
) -> Result<Vec<(usize, TaskView)>, Fault> {
    let mut found = Vec::with_capacity(missing.len());
    let mut reads = JoinSet::new();
    for (place, kept) in missing {
        if reads.len() == READS_MAX {
            found.extend(joined(reads.join_next().await)?);
        }
        let rows = rows.clone();
        reads.spawn(async move { read(&rows, &kept).await.map(|view| (place, view)) });
    }
    while !reads.is_empty() {
        found.extend(joined(reads.join_next().await)?);
    }
    found.sort_by_key(|(place, _)| *place);
    Ok(found)
}

type Read = Result<(usize, Option<TaskView>), Fault>;

fn joined(
    read: Option<Result<Read, tokio::task::JoinError>>,
) -> Result<Option<(usize, TaskView)>, Fault> {
    let Some(joined) = read else { return Ok(None) };
    let ended = |error: tokio::task::JoinError| {
        Fault::new(ErrorCode::Internal, format!("reading a record ended early: {error}"))
    };
    let (place, view) = joined.map_err(ended)??;
    Ok(view.map(|view| (place, view)))
}

/// Puts each record at its place among those that are there already.
pub(crate) fn insert(tasks: &mut Vec<TaskView>, found: Vec<(usize, TaskView)>) {
    for (place, view) in found {
        tasks.insert(place.min(tasks.len()), view);
    }
}

/// Cuts a page after the last task that fits. One always does: a submission is smaller.
pub(crate) fn fit(page: &mut TaskPage) {
    let mut bytes = 0;
    let fitting = page.answer.tasks.iter().take_while(|view| {
        let encoded = serde_json::to_vec(view).expect("views are plain structs with text keys");
        bytes += encoded.len();
        bytes <= PAGE_BYTES_MAX
    });
    let fitting = fitting.count().max(1);
    if fitting < page.answer.tasks.len() {
        page.answer.tasks.truncate(fitting);
        let last = page.answer.tasks.last();
        page.answer.next = last.map(|last| {
            let (submitted_at, task) = (last.submitted_at, last.id.clone());
            PageKey { submitted_at, task }.to_string()
        });
    }
}
