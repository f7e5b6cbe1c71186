//! What an event leaves in `cortex_tasks` and `cortex_envelopes`, and how the live feed names it.

use runtime::Row;
use scheduler_core::State;
use schemas::{
    TaskId,
    scheduler::{EnvelopeRow, SchedulerEvent},
    subject::Bucket,
};

/// What every event of the scheduler is about.
const KIND: &str = "task";

/// The rows that an event changes, and those of the tasks that it drives out.
pub(crate) fn project(state: &State, event: &SchedulerEvent) -> Vec<Row> {
    let id = event.task();
    let changed = state.task(id).map(|task| Row::put(Bucket::Tasks, id.as_str(), &task.view));
    let signed = envelope_row(event);
    let evicted = state.evicted_by_last_event().iter().flat_map(deleted);
    changed.into_iter().chain(signed).chain(evicted).collect()
}

/// What an event is about.
pub(crate) fn about(event: &SchedulerEvent) -> (&'static str, &str) {
    (KIND, event.task().as_str())
}

fn envelope_row(event: &SchedulerEvent) -> Option<Row> {
    match event {
        SchedulerEvent::TaskSubmitted { task, envelope, envelope_hash, certificates, .. } => {
            let (envelope, certificates) = (envelope.clone(), certificates.clone());
            let envelope_hash = *envelope_hash;
            let row = EnvelopeRow { task: task.clone(), envelope, envelope_hash, certificates };
            Some(Row::put(Bucket::Envelopes, task.as_str(), &row))
        }
        SchedulerEvent::TaskQueued { .. }
        | SchedulerEvent::TaskAssigned { .. }
        | SchedulerEvent::AssignmentExpired { .. }
        | SchedulerEvent::TaskRefused { .. }
        | SchedulerEvent::TaskStarted { .. }
        | SchedulerEvent::TaskCancelRequested { .. }
        | SchedulerEvent::TaskFinished { .. }
        | SchedulerEvent::TaskLost { .. } => None,
    }
}

fn deleted(task: &TaskId) -> [Row; 2] {
    [Bucket::Tasks, Bucket::Envelopes].map(|bucket| Row::deleted(bucket, task.as_str()))
}
