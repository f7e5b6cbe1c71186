//! Where it is kept: streams and buckets as data, the event log over JetStream and in memory.
//!
//! **Invariant:** the log stores bytes; what a frame means is decided by those who fold it.
//! **Invariant:** nothing here deletes or rewrites what is stored unless a caller allows it by name.

#![forbid(unsafe_code)]

mod backoff;
mod commit;
mod log;
pub mod twin;

pub use commit::{Commit, commit};
pub use log::{Append, EventLog, LogError, StoredFrame};
