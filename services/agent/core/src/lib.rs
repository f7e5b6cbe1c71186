//! Decides what a node does with a task: verify, record, ask, run, report.
//!
//! The node's life with one assignment is a short path, each step taken only when the one before
//! is certain:
//!
//! ```text
//! offer -> verified -> `accepted` on disk -> asked to start -> go -> `started` on disk -> runs
//!       -> `ended` on disk -> reported until answered -> `settled`
//! ```
//!
//! [`Node::step`] takes what happened ([`Input`]) and returns what to do ([`Action`]); the shell
//! around it owns sockets, disk and processes and decides nothing.
//!
//! **Invariant:** nothing here reads a clock, draws randomness or performs IO.
//! **Invariant:** no run begins before its `started` record is on disk, and at most one run begins
//! for each (task, epoch).
//! **Invariant:** no outcome is reported before its `ended` record is on disk, unless the disk has
//! failed; and none is forgotten before the scheduler has answered.

#![forbid(unsafe_code)]

mod action;
mod admit;
mod backoff;
mod cancel;
mod delegate;
mod doubt;
mod drain;
mod ending;
mod facts;
mod heartbeat;
mod input;
mod node;
mod offer;
mod profile;
mod record;
mod recover;
mod refusal;
mod roster;
mod start;

pub use action::{Action, RunOrder};
pub use admit::{Admission, admit};
pub use delegate::{Asking, Budget, Delegation, Spent, Wanted};
pub use facts::Facts;
pub use heartbeat::Presence;
pub use input::{Input, ReceivedAncestor, ReceivedOffer, ReceivedRoster};
pub use node::Node;
pub use profile::Profile;
pub use record::{Accepted, Record, RecordKind, Started};
pub use schemas::agent::RunningTask as RunKey;

#[cfg(test)]
mod tests;
