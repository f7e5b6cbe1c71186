//! What can be asked; nothing here changes anything.
//!
//! **Invariant:** no answer names a task that whoever asks may not see.

use schemas::{
    Cursor, PrincipalId, TaskId,
    scheduler::{GetTasksAnswer, OutputRequest, TaskSelection, WhyAnswer},
    task::{TaskState, TaskView},
};

use crate::{
    command::{
        Answer, ChainPage, Handed, Lineage, Link, OutputSource, PageKey, Query, Question, TaskPage,
    },
    decide::{descent::running, submit::as_it_is},
    facts::Facts,
    limits::{CHILDREN_LISTED_MAX, PAGE_MAX, PAGE_SCAN_MAX},
    placement::{self, Candidate, World},
    react,
    rejection::Rejection,
    state::{Kept, Known, State, Task},
    visibility::{Viewer, check_in},
};

/// Answers a query.
pub(crate) fn answer(state: &State, query: &Query, facts: &Facts) -> Result<Answer, Rejection> {
    check_in(facts, &query.by)?;
    let desk = Desk { state, facts, viewer: Viewer::new(facts, &query.by) };
    match &query.question {
        Question::GetTask(id) => desk.get_task(id),
        Question::GetTasks { select, after, limit } => {
            desk.get_tasks(select, after.as_ref(), *limit).map(Answer::Tasks)
        }
        Question::Output(request) => desk.output(request),
        Question::Why(id) => desk.why(id),
        Question::Chain(id) => desk.chain(id),
        Question::Lineage(handed) => desk.lineage(handed),
    }
}

/// What is known, and who asks.
struct Desk<'a> {
    state: &'a State,
    facts: &'a Facts,
    viewer: Viewer<'a>,
}

/// A task that can be looked up.
#[derive(Clone, Copy)]
enum Found<'a> {
    Whole(&'a Task),
    Kept(&'a Kept),
}

impl<'a> Desk<'a> {
    /// The task, if whoever asks may see it.
    fn find(&self, id: &TaskId) -> Result<Found<'a>, Rejection> {
        let found = match self.state.known(id) {
            Some(Known::Whole(task)) => Found::Whole(task),
            Some(Known::Kept(kept)) => Found::Kept(kept),
            Some(Known::Spent(_)) | None => return Err(self.viewer.blind(id)),
        };
        let parties = match found {
            Found::Whole(task) => task.parties(),
            Found::Kept(kept) => kept.parties(),
        };
        self.viewer.check_sees(id, parties)?;
        Ok(found)
    }

    fn get_task(&self, id: &TaskId) -> Result<Answer, Rejection> {
        Ok(match self.find(id)? {
            Found::Whole(task) => Answer::Task(Box::new(task.view.clone())),
            Found::Kept(kept) => Answer::Kept(Box::new(kept.clone())),
        })
    }

    fn output(&self, request: &OutputRequest) -> Result<Answer, Rejection> {
        let (node, state, waiting_for) = match self.find(&request.id)? {
            Found::Whole(Task { view, .. }) => {
                (view.node.clone(), view.state, view.waiting_for.clone())
            }
            Found::Kept(kept) => (kept.node.clone(), kept.state, None),
        };
        let request = request.clone();
        Ok(Answer::Output(Box::new(OutputSource { request, node, state, waiting_for })))
    }

    fn get_tasks(
        &self,
        select: &TaskSelection,
        after: Option<&PageKey>,
        limit: usize,
    ) -> Result<TaskPage, Rejection> {
        let (mut tasks, mut missing, mut last): (Vec<TaskView>, Vec<(usize, Kept)>, _) =
            (Vec::new(), Vec::new(), None);
        let limit = limit.clamp(1, PAGE_MAX);
        let mut is_last_page = true;
        for (scanned, key) in self.viewer.pages(self.state, after)?.enumerate() {
            let found = tasks.len() + missing.len();
            if found == limit || scanned == PAGE_SCAN_MAX {
                is_last_page = false;
                break;
            }
            last = Some(key);
            if let Some(task) = self.state.tasks.get(&key.task) {
                let view = &task.view;
                if selects(select, view.state, (view.node.as_ref(), &view.issuer)) {
                    tasks.push(view.clone());
                }
            } else if let Some(kept) = self.state.history.get(&key.task)
                && selects(select, kept.state, (kept.node.as_ref(), &kept.issuer))
            {
                missing.push((found, kept.clone()));
            }
        }
        let next = last.filter(|_| !is_last_page).map(ToString::to_string);
        let answer = GetTasksAnswer { tasks, next, cursor: Cursor::default() };
        Ok(TaskPage { answer, missing })
    }

    fn why(&self, id: &TaskId) -> Result<Answer, Rejection> {
        let (state, summary) = match self.find(id)? {
            Found::Whole(task) if task.view.state == TaskState::Queued => {
                return Ok(Answer::Why(self.why_queued(task)));
            }
            Found::Whole(task) => (task.view.state, summarize(task)),
            Found::Kept(kept) => (kept.state, format!("it has ended: {}", kept.state.as_str())),
        };
        let (task, nodes) = (id.clone(), Vec::new());
        Ok(Answer::Why(WhyAnswer { task, state, summary, nodes, others: 0 }))
    }

    fn why_queued(&self, task: &Task) -> WhyAnswer {
        let (id, demand) = (&task.view.id, task.demand());
        let candidate = Candidate { id, demand: &demand, task: Some(task) };
        let world = World::of(self.state, self.facts);
        let (nodes, others) = placement::explain(world, candidate, self.viewer);
        let mut summary = summarize(task);
        if 0 < others {
            summary.push_str(&format!("; {others} more nodes are not listed"));
        }
        WhyAnswer { task: id.clone(), state: task.view.state, summary, nodes, others }
    }

    /// What proves the tasks that led to a request; one that was taken before is the task that it is,
    /// also when its parent has ended since.
    fn lineage(&self, handed: &Handed) -> Result<Answer, Rejection> {
        let refusal = match running(self.state, &handed.parent) {
            Ok(parent) => {
                let (handed, proofs) = (handed.clone(), react::lineage(self.state, parent));
                return Ok(Answer::Lineage(Box::new(Lineage { handed, proofs })));
            }
            Err(refusal) => refusal,
        };
        let children = self.state.index.children.get(&handed.parent).into_iter().flatten();
        let mut known = children.filter_map(|key| Some((&key.task, self.state.known(&key.task)?)));
        let same = known.find(|(_, known)| known.envelope_hash() == handed.envelope_hash);
        let (task, known) = same.ok_or(refusal)?;
        Ok(Answer::Submitted(as_it_is(task, known)))
    }

    /// The chain breaks off where somebody else's begins, or what is remembered.
    fn chain(&self, id: &TaskId) -> Result<Answer, Rejection> {
        let mut ancestors = vec![link(self.find(id)?)];
        let mut next = self.state.known(id);
        while let Some(parent) = next.and_then(Known::parent) {
            let Ok(found) = self.find(parent) else { break };
            ancestors.push(link(found));
            next = self.state.known(parent);
        }
        ancestors.reverse();
        let children = self.state.index.children.get(id).into_iter().flatten();
        let children = children.filter_map(|key| self.find(&key.task).ok().map(link));
        let children = children.take(CHILDREN_LISTED_MAX).collect();
        Ok(Answer::Chain(Box::new(ChainPage { ancestors, children })))
    }
}

fn link(found: Found<'_>) -> Link {
    match found {
        Found::Whole(task) => Link::Whole(Box::new(task.view.clone())),
        Found::Kept(kept) => Link::Kept(Box::new(kept.clone())),
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
