//! What can be asked; nothing here changes anything.

use std::ops::Bound;

use schemas::{
    Cursor, PrincipalId, TaskId,
    scheduler::{GetTasksAnswer, OutputRequest, TaskSelection, WhyAnswer},
    task::{TaskState, TaskView},
};

use crate::{
    command::{Answer, OutputSource, PageKey, Query, Rejection, TaskPage},
    facts::Facts,
    limits::{PAGE_MAX, PAGE_SCAN_MAX},
    placement::{self, Candidate, World},
    state::{Kept, Known, State, Task},
};

/// Answers a query.
pub(crate) fn answer(state: &State, query: &Query, facts: &Facts) -> Result<Answer, Rejection> {
    match query {
        Query::GetTask(id) => get_task(state, id),
        Query::GetTasks { select, after, limit } => {
            Ok(Answer::Tasks(get_tasks(state, select, after.as_ref(), *limit)))
        }
        Query::Output(request) => output(state, request),
        Query::Why(id) => why(state, id, facts),
    }
}

fn output(state: &State, request: &OutputRequest) -> Result<Answer, Rejection> {
    let (node, now, waiting_for) = match state.known(&request.id) {
        Some(Known::Whole(task)) => {
            let view = &task.view;
            (view.node.clone(), view.state, view.waiting_for.clone())
        }
        Some(Known::Kept(kept)) => (kept.node.clone(), kept.state, None),
        Some(Known::Spent(_)) | None => return Err(Rejection::NoSuchTask(request.id.clone())),
    };
    let request = request.clone();
    Ok(Answer::Output(Box::new(OutputSource { request, node, state: now, waiting_for })))
}

fn get_task(state: &State, id: &TaskId) -> Result<Answer, Rejection> {
    match state.known(id) {
        Some(Known::Whole(task)) => Ok(Answer::Task(Box::new(task.view.clone()))),
        Some(Known::Kept(kept)) => Ok(Answer::Kept(Box::new(kept.clone()))),
        Some(Known::Spent(_)) | None => Err(Rejection::NoSuchTask(id.clone())),
    }
}

/// Whether a selection names a task in this state, with this node and issuer.
pub(crate) fn selects(
    selection: &TaskSelection,
    state: TaskState,
    (node, issuer): (Option<&PrincipalId>, &PrincipalId),
) -> bool {
    selection.state.is_none_or(|wanted| wanted == state)
        && selection.node.as_ref().is_none_or(|wanted| Some(wanted) == node)
        && selection.issuer.as_ref().is_none_or(|wanted| wanted == issuer)
}

fn get_tasks(
    state: &State,
    select: &TaskSelection,
    after: Option<&PageKey>,
    limit: usize,
) -> TaskPage {
    let end = after.map_or(Bound::Unbounded, Bound::Excluded);
    let (mut tasks, mut missing, mut last): (Vec<TaskView>, Vec<(usize, Kept)>, _) =
        (Vec::new(), Vec::new(), None);
    let limit = limit.clamp(1, PAGE_MAX);
    let mut is_last_page = true;
    let newest_first = state.index.pages.range((Bound::Unbounded, end)).rev();
    for (scanned, key) in newest_first.enumerate() {
        let found = tasks.len() + missing.len();
        if found == limit || scanned == PAGE_SCAN_MAX {
            is_last_page = false;
            break;
        }
        last = Some(key);
        if let Some(task) = state.tasks.get(&key.task) {
            let view = &task.view;
            if selects(select, view.state, (view.node.as_ref(), &view.issuer)) {
                tasks.push(view.clone());
            }
        } else if let Some(kept) = state.history.get(&key.task)
            && selects(select, kept.state, (kept.node.as_ref(), &kept.issuer))
        {
            missing.push((found, kept.clone()));
        }
    }
    let next = last.filter(|_| !is_last_page).map(ToString::to_string);
    TaskPage { answer: GetTasksAnswer { tasks, next, cursor: Cursor::default() }, missing }
}

fn why(state: &State, id: &TaskId, facts: &Facts) -> Result<Answer, Rejection> {
    let known = state.known(id).ok_or_else(|| Rejection::NoSuchTask(id.clone()))?;
    let (mut summary, mut nodes) =
        (format!("it has ended: {}", known.state().as_str()), Vec::new());
    if let Known::Whole(task) = known {
        summary = summarize(task);
        if task.view.state == TaskState::Queued {
            let demand = task.demand();
            let candidate = Candidate { id, demand: &demand, task: Some(task) };
            let (verdicts, left_out) = placement::explain(World::of(state, facts), candidate);
            if 0 < left_out {
                summary.push_str(&format!("; {left_out} more nodes are not listed"));
            }
            nodes = verdicts;
        }
    }
    Ok(Answer::Why(WhyAnswer { task: id.clone(), state: known.state(), summary, nodes }))
}

fn summarize(task: &Task) -> String {
    let view = &task.view;
    let node = view.node.as_ref().map_or("nobody", PrincipalId::as_str);
    match view.state {
        TaskState::Queued => {
            let reason = view.waiting_for.as_deref().unwrap_or("nobody has looked at it yet");
            format!("it waits: {reason}")
        }
        TaskState::Assigned => format!("{node} was given it and has not asked to start"),
        TaskState::Started if view.cancelled_by.is_some() => {
            format!("{node} was told to run it, and then to end it")
        }
        TaskState::Started => format!("{node} runs it"),
        TaskState::Lost => format!("{node} ran it and went silent; only it can tell the outcome"),
        TaskState::Succeeded
        | TaskState::Failed
        | TaskState::TimedOut
        | TaskState::Cancelled
        | TaskState::Expired => format!("it has ended: {}", view.state.as_str()),
    }
}
