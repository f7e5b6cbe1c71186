//! The daemon on a node: dials out, records, runs, reports.
//!
//! [`run`] is all of it. The rules are in `agent-core`; here are the socket, the journal, the
//! processes and the clocks that they need.
//!
//! **Invariant:** the node only ever dials out; it listens on no port.
//! **Invariant:** whatever ends the process, the next start reports every run that was begun.

#![forbid(unsafe_code)]

mod clock;
mod config;
mod crash;
mod credentials;
mod daemon;
pub mod delegate;
mod error;
mod heartbeat;
mod incoming;
mod join;
mod journal;
mod keeper;
mod measure;
mod membership;
mod outlet;
mod output;
mod private;
mod registrar;
mod renewal;
mod requests;
mod roster;
mod run;
mod start;
mod timings;

pub use config::{ConfigError, ManifestSource, NodeConfig};
pub use credentials::CredentialSources;
pub use error::NodeError;
pub use join::{
    InvalidLine, InviteLine, JoinError, JoinOptions, JoinStep, Joined, JoinedPerson, RootKey, join,
    join_as_person,
};
pub use journal::JournalError;
pub use membership::{Papers, PapersError};
pub use start::run;
