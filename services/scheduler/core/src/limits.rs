//! Every limit of the scheduler, with its unit.

use schemas::protocol;

/// How long what runs may stay silent before it counts as lost, in milliseconds.
pub const LEASE_TTL_MS: u64 = millis(protocol::LEASE_TTL);
/// Leases that are looked at in one tick to drop those of runs that have ended.
pub const LEASES_DROPPED_PER_TICK_MAX: usize = 2048;
/// How long an assignment may wait to be started, in milliseconds.
pub const ASSIGNMENT_TTL_MS: u64 = millis(protocol::ASSIGNMENT_TTL);
/// How long a finished task is answered from memory, in milliseconds of event time.
pub const FINISHED_KEPT_MS: u64 = 10_000;
/// Most finished tasks that are answered from memory.
pub const FINISHED_KEPT_MAX: usize = 10_000;
/// How long a finished task stays in the buckets, in milliseconds of event time (7 days).
pub const HISTORY_KEPT_MS: u64 = 7 * 24 * 3600 * 1000;
/// Most finished tasks in the buckets.
pub const HISTORY_KEPT_MAX: usize = 200_000;
/// Most tasks that one event moves out of each kind of memory; more than one event can add.
pub const RETIRED_PER_EVENT_MAX: usize = 4;
/// A request counts as long-lived when it outlives its submission by more than this: an hour, and
/// a minute for clocks that differ.
pub const LONG_LIFE_MS: u64 = 61 * 60 * 1000;
/// How long after the end of a key requests are taken that were signed with it, in milliseconds: as
/// long as a request lives by default.
pub const ENDED_KEY_COUNTS_MS: u64 = 3600 * 1000;
/// Most long-lived requests of one issuer at a time, for their ids must be remembered so long.
pub const LONG_LIVES_PER_ISSUER_MAX: usize = 10_000;
/// Most runs of an idempotent task: one that takes its nodes down must end somewhere.
pub const ATTEMPTS_MAX: u32 = 5;
/// Refusals that are kept of one task.
pub const REFUSALS_KEPT_MAX: usize = 8;
/// Most tasks that one request ends, so that the decision fits a frame.
pub const CANCELS_PER_DECISION_MAX: usize = 256;
/// Most assignments in one decision, so that it fits a frame.
pub const PLACED_PER_DECISION_MAX: usize = 128;
/// Most commands of one kind that time calls for at once.
pub const DUE_MAX: usize = 256;
/// Nodes that one decision fills; a tick names as many such decisions as it takes for
/// [`DUE_MAX`] nodes.
pub const NODES_PER_PLACING: usize = 32;
/// Most nodes that are compared with the queue at one tick.
pub const NODES_EXAMINED_PER_TICK_MAX: usize = 1024;
/// Fleets up to this size are compared whole for every task.
pub const SMALL_FLEET_MAX: usize = 64;
/// Able nodes of a larger fleet that are compared before the best is taken.
pub const CHOICES_MAX: usize = 8;
/// Places of a larger fleet that are looked at before all of it is.
pub const SAMPLES_MAX: u32 = 32;
/// Neighbours that are looked at in each of those places.
pub const SAMPLE_NEIGHBOURS: usize = 2;
/// Waiting tasks of one demand that are looked at for one node: only refused ones are skipped.
pub const QUEUE_PEEK_MAX: usize = 64;
/// Most nodes in one `why` answer, so that it fits a message.
pub const WHY_NODES_MAX: usize = 1000;
/// Most nodes whose refusal of an issuer is spelled out in one rejection.
pub const DENIALS_NAMED_MAX: usize = 3;
/// Tasks on a page when the request names no limit.
pub const PAGE_DEFAULT: usize = 100;
/// Most tasks that one task asked for in one answer.
pub const CHILDREN_LISTED_MAX: usize = 1000;
/// Largest page of tasks, in tasks.
pub const PAGE_MAX: usize = 1000;
/// Tasks that one page may look at; a page that finds few is short and says where to go on.
pub const PAGE_SCAN_MAX: usize = 20_000;
/// How long a node is left alone after it was busy, in milliseconds; doubles with each repetition.
pub const BUSY_PAUSE_MS: u64 = 200;
/// Longest pause of a busy node, in milliseconds.
pub const BUSY_PAUSE_MAX_MS: u64 = 5_000;
/// How long a node is not offered a task that it refused, in milliseconds; doubles with each.
pub const REFUSED_PAUSE_MS: u64 = 5_000;
/// Longest time that a node is not offered a task that it refused, in milliseconds.
pub const REFUSED_PAUSE_MAX_MS: u64 = 300_000;
/// How long the end of a pause is remembered, in milliseconds of event time; whoever misses it
/// waits for the node's next beat.
pub const WAKES_KEPT_MS: u64 = 60_000;
/// First repetition of an offer or a cancel, in milliseconds; doubles with each.
pub const REMIND_MS: u64 = 1_000;
/// Longest time between two repetitions, in milliseconds.
pub const REMIND_MAX_MS: u64 = 15_000;
/// Most offers and cancels that are repeated at one tick.
pub const REMINDED_PER_TICK_MAX: usize = 256;
/// Most recent failures that count against a node.
pub const STRIKES_MAX: u32 = 8;

const fn millis(duration: std::time::Duration) -> u64 {
    duration.as_secs() * 1000 + duration.subsec_millis() as u64
}

/// `first` doubled `times` times, at most `max`.
pub(crate) fn doubled(first: u64, times: u32, max: u64) -> u64 {
    first.saturating_mul(1 << times.min(32)).min(max)
}
