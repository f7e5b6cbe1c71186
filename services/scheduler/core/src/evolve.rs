//! How events change what is remembered; history is applied, not judged.

use std::collections::BTreeMap;

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
    state::{NodeRecord, Pause, State, Task},
};

/// Takes one event into the state.
pub(crate) fn evolve(state: &mut State, event: &SchedulerEvent, at: Timestamp) {
    state.at_ms = state.at_ms.max(at.0);
    state.step += 1;
    apply(state, event, at);
    state.retire();
}

fn apply(state: &mut State, event: &SchedulerEvent, at: Timestamp) {
    let step = state.step;
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
                (task.until, task.step) = (*until, step);
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

fn submitted(state: &mut State, event: &SchedulerEvent, at: Timestamp) {
    let SchedulerEvent::TaskSubmitted {
        task,
        envelope,
        envelope_hash,
        issuer,
        subject,
        audience,
        spec,
        certificates: _,
        grants: _,
        parent,
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
    let record = Task {
        view,
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
    }
}
