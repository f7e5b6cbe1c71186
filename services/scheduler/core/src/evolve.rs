//! How events change what is remembered; history is applied, not judged.

use std::collections::BTreeMap;

use decider::Recorded;
use schemas::{
    ErrorCode, Fault, PrincipalId, TaskId, Timestamp,
    scheduler::SchedulerEvent,
    task::{Outcome, OutputSummary, Refusal, TaskState, TaskView, Usage, Verdict},
};

use crate::{
    limits::{
        BUSY_PAUSE_MAX_MS, BUSY_PAUSE_MS, REFUSALS_KEPT_MAX, REFUSED_PAUSE_MAX_MS,
        REFUSED_PAUSE_MS, STRIKES_MAX, doubled,
    },
    refusal::{RefusalSort, sort},
    state::{Forebear, NodeRecord, Pause, State, Task},
};

/// Takes one event into the state.
pub(crate) fn evolve(state: &mut State, event: &SchedulerEvent, recorded: Recorded) {
    state.at_ms = state.at_ms.max(recorded.at_ms);
    state.step += 1;
    apply(state, event, recorded);
    follow_ends(state, event);
    state.retire();
}

fn apply(state: &mut State, event: &SchedulerEvent, recorded: Recorded) {
    let (step, at) = (state.step, Timestamp(recorded.at_ms));
    match event {
        SchedulerEvent::TaskSubmitted { .. } => submitted(state, event, at),
        SchedulerEvent::TaskQueued { task, waiting_for } => state.change(task, |task| {
            enqueue(task);
            task.view.waiting_for = Some(waiting_for.clone());
        }),
        SchedulerEvent::TaskAssigned { task, node, epoch, attempt, until } => {
            state.change(task, |task| {
                enqueue(task);
                task.view.state = TaskState::Assigned;
                task.view.node = Some(node.clone());
                task.view.epoch = *epoch;
                task.view.attempt = *attempt;
                task.view.assigned_at = Some(at);
                (task.until, task.step, task.term) = (*until, step, recorded.term);
            });
        }
        SchedulerEvent::AssignmentExpired { task, .. } => expired(state, task, at),
        SchedulerEvent::TaskRefused { task, epoch, node, fault } => {
            let refusal = Refusal { node: node.clone(), epoch: *epoch, fault: fault.clone(), at };
            refused(state, task, refusal);
        }
        SchedulerEvent::TaskStarted { task, node, instance, ask, .. } => {
            state.change(task, |task| {
                let again = task.view.state == TaskState::Started;
                if !again {
                    (task.view.started_at, task.step) = (Some(at), step);
                    task.runs += 1;
                }
                task.view.state = TaskState::Started;
                task.instance = Some(instance.clone());
                task.ask = *ask;
            });
            state.change_node(node, NodeRecord::has_started);
        }
        SchedulerEvent::TaskCancelRequested { task, by } => state.change(task, |task| {
            task.view.cancelled_by.get_or_insert_with(|| by.clone());
            task.step = step;
        }),
        SchedulerEvent::TaskFinished { task, state: ended, outcome, by, .. } => {
            state.change(task, |task| {
                task.view.state = *ended;
                task.view.finished_at = Some(at);
                task.view.waiting_for = None;
                task.view.outcome = outcome.as_deref().cloned();
                if let Some(by) = by {
                    task.view.cancelled_by.get_or_insert_with(|| by.clone());
                }
                task.envelope = None;
            });
            let chain = state.tasks.get_mut(task).and_then(|task| task.chain.take());
            if let Some(number) = chain {
                state.chains.drop_one(number);
            }
        }
        SchedulerEvent::TaskLost { task, epoch, node, .. } => {
            state.change(task, |task| {
                task.view.state = TaskState::Lost;
                task.lost_epoch = Some(*epoch);
            });
            state.change_node(node, NodeRecord::has_failed);
        }
    }
}

/// Remembers whose end was asked for while tasks that they asked for go on, and for how long.
fn follow_ends(state: &mut State, event: &SchedulerEvent) {
    let ended = match event {
        SchedulerEvent::TaskCancelRequested { task, .. }
        | SchedulerEvent::TaskFinished { task, by: Some(_), .. } => Some(task),
        SchedulerEvent::TaskSubmitted { .. }
        | SchedulerEvent::TaskQueued { .. }
        | SchedulerEvent::TaskAssigned { .. }
        | SchedulerEvent::AssignmentExpired { .. }
        | SchedulerEvent::TaskRefused { .. }
        | SchedulerEvent::TaskStarted { .. }
        | SchedulerEvent::TaskFinished { by: None, .. }
        | SchedulerEvent::TaskLost { .. } => None,
    };
    if let Some(task) = ended.filter(|task| state.index.going_on.contains_key(*task)) {
        state.ending.insert(task.clone());
    }
    let task = state.tasks.get(event.task());
    if let Some(parent) = task.and_then(|task| task.view.parent.as_ref())
        && !state.index.going_on.contains_key(parent)
    {
        state.ending.remove(parent);
    }
}

fn submitted(state: &mut State, event: &SchedulerEvent, at: Timestamp) {
    let SchedulerEvent::TaskSubmitted {
        task,
        envelope,
        envelope_hash,
        issuer,
        subject,
        audience,
        spec,
        certificates,
        grants,
        parent,
        key,
        expires_at,
    } = event
    else {
        return;
    };
    let view = TaskView {
        id: task.clone(),
        state: TaskState::Queued,
        issuer: issuer.clone(),
        subject: subject.clone(),
        audience: audience.clone(),
        spec: spec.as_ref().clone(),
        parent: parent.clone(),
        grants: grants.as_ref().clone(),
        node: None,
        epoch: 0,
        attempt: 0,
        submitted_at: at,
        assigned_at: None,
        started_at: None,
        finished_at: None,
        expires_at: *expires_at,
        cancelled_by: None,
        waiting_for: None,
        refusals: Vec::new(),
        outcome: None,
    };
    let tasks = 1 + u64::from(grants.tasks_max);
    let lineage = parent.as_ref().map_or_else(Vec::new, |parent| descend(state, parent, tasks));
    let record = Task {
        view,
        key: *key,
        chain: state.chains.keep(certificates, state.step),
        lineage,
        asked_for: 0,
        term: 0,
        envelope: Some(envelope.clone()),
        envelope_hash: *envelope_hash,
        runs: 0,
        seq: state.step,
        step: state.step,
        until: Timestamp::default(),
        instance: None,
        ask: 0,
        lost_epoch: None,
        pauses: BTreeMap::new(),
    };
    state.remember(record);
}

/// Counts tasks that a task asked for; returns the lineage of those.
fn descend(state: &mut State, parent: &TaskId, tasks: u64) -> Vec<Forebear> {
    let Some(parent) = state.tasks.get_mut(parent) else { return Vec::new() };
    parent.asked_for = parent.asked_for.saturating_add(tasks);
    parent.lineage.iter().cloned().chain(parent.as_forebear()).collect()
}

/// Back to waiting: nobody has it.
fn enqueue(task: &mut Task) {
    task.view.state = TaskState::Queued;
    task.view.waiting_for = None;
    task.view.assigned_at = None;
    task.view.started_at = None;
    task.instance = None;
}

fn expired(state: &mut State, id: &TaskId, at: Timestamp) {
    let node = state.tasks.get(id).and_then(|task| task.view.node.clone());
    state.change(id, |task| {
        enqueue(task);
        if let Some(node) = &node {
            pause(task, node, at);
        }
    });
    if let Some(node) = &node {
        state.change_node(node, NodeRecord::has_failed);
    }
    wake_later(state, id, node.as_ref());
}

/// Plans to look at a node again when it is asked again, for this task or at all.
fn wake_later(state: &mut State, id: &TaskId, node: Option<&PrincipalId>) {
    let Some(node) = node else { return };
    let task = state.tasks.get(id).and_then(|task| task.pauses.get(node));
    let until_ms = task.map_or(0, |pause| pause.until_ms).max(state.record_of(node).busy.until_ms);
    state.wakes.insert((until_ms, node.clone()));
}

fn refused(state: &mut State, id: &TaskId, refusal: Refusal) {
    let (node, at) = (refusal.node.clone(), refusal.at);
    let sort = sort(&refusal.fault);
    state.change(id, |task| {
        enqueue(task);
        remember_refusal(task, refusal);
        if sort != RefusalSort::Busy {
            pause(task, &node, at);
        }
    });
    match sort {
        RefusalSort::Busy => state.change_node(&node, |record| record.is_busy(at)),
        RefusalSort::Passing | RefusalSort::Lasting => {
            state.change_node(&node, NodeRecord::has_failed);
        }
    }
    wake_later(state, id, Some(&node));
}

fn remember_refusal(task: &mut Task, refusal: Refusal) {
    let refusals = &mut task.view.refusals;
    refusals.push(refusal);
    if REFUSALS_KEPT_MAX < refusals.len() {
        refusals.remove(0);
    }
}

fn pause(task: &mut Task, node: &PrincipalId, at: Timestamp) {
    let pause = task.pauses.entry(node.clone()).or_default();
    let length_ms = doubled(REFUSED_PAUSE_MS, pause.times, REFUSED_PAUSE_MAX_MS);
    *pause = Pause { until_ms: at.0.saturating_add(length_ms), times: pause.times + 1 };
}

impl NodeRecord {
    fn has_started(&mut self) {
        self.strikes = self.strikes.saturating_sub(1);
        self.busy = Pause::default();
    }

    fn has_failed(&mut self) {
        self.strikes = STRIKES_MAX.min(self.strikes + 1);
    }

    fn is_busy(&mut self, at: Timestamp) {
        let length_ms = doubled(BUSY_PAUSE_MS, self.busy.times, BUSY_PAUSE_MAX_MS);
        let until_ms = at.0.saturating_add(length_ms);
        self.busy = Pause { until_ms, times: self.busy.times + 1 };
    }
}

/// What a person's decision on a lost task is recorded as.
pub(crate) fn settled_by_hand(by: &PrincipalId, at: Timestamp) -> Outcome {
    let message = format!("its node went silent while it ran, and {by} settled it by hand");
    Outcome { fault: Some(Fault::new(ErrorCode::Unreachable, message)), ..no_run(at) }
}

/// The outcome of a task of which no run is known.
pub(crate) fn no_run(at: Timestamp) -> Outcome {
    Outcome {
        verdict: Verdict::Failed,
        exit_code: None,
        signal: None,
        fault: None,
        started_at: None,
        ended_at: at,
        usage: Usage::default(),
        stdout: OutputSummary::default(),
        stderr: OutputSummary::default(),
        sandbox: None,
    }
}
