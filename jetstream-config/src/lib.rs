//! Where it is kept: streams and buckets as data, the event log over JetStream and in memory.
//!
//! **Invariant:** the log stores bytes; what a frame means is decided by those who fold it.
//! **Invariant:** nothing here deletes or rewrites what is stored unless a caller allows it by name.

#![forbid(unsafe_code)]

mod apply;
mod backoff;
mod blobs;
pub mod broker;
pub mod buckets;
mod bulk;
mod commit;
mod jetstream_log;
mod kv;
mod log;
mod output;
mod plan;
mod publish;
pub mod server_config;
mod settle;
mod store;
mod stored;
pub mod streams;
pub mod twin;
mod wire;

pub use apply::{Applied, ApplyError, Destructive, apply, read_settings};
pub use blobs::BlobStore;
pub use commit::{Commit, commit};
pub use jetstream_log::JetStreamLog;
pub use kv::{KvBucket, Put, Row, RowKind, Written};
pub use log::{Append, EventLog, LogError, StoredFrame};
pub use output::{OutputLog, Printed};
pub use plan::{Change, Difference, plan};
pub use store::StoreError;
