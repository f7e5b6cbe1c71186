//! The loop that every service shares: decide, commit, answer, project, follow.
//!
//! **Invariant:** one process at a time writes a partition's log; safety rests on the log's fence
//! and on nothing else.

#![forbid(unsafe_code)]

mod admin;
mod ask;
mod bucket;
mod chain;
mod clock;
mod decision;
mod door;
mod feed;
mod follow;
mod host;
mod lead;
mod mind;
mod nats_stage;
mod partition;
mod position;
mod progress;
mod projector;
mod repeats;
mod replica;
mod row_reader;
mod service;
mod snapshot;
mod stage;
mod standing;

pub use ask::{Ask, AskAbout, Said};
pub use bucket::ProjectionError;
pub use clock::wall_clock_ms;
pub use follow::FollowError;
pub use host::{HostConfig, HostContext, HostError, host};
pub use partition::{Companion, Partition, PartitionError, Role};
pub use position::{Position, PositionError, PositionFile};
pub use projector::{Projector, Rebuild, RebuildMode};
pub use replica::{FoldError, Head};
pub use row_reader::RowReader;
pub use service::{
    AnswerOf, Caller, CommandOf, EffectContext, EffectOf, EventOf, FactsOf, Look, ObservationOf,
    Observer, Request, Row, Service, SnapshotAfter, StateOf,
};
pub use snapshot::{SnapshotError, Snapshots};
pub use stage::{Beat, Committed, Lines, Stage};
