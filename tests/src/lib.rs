//! The harness: real brokers, faulty networks, deadlines and reports, for the tests of every crate.
//!
//! **Invariant:** no process outlives the test that started it, not even when the test is killed.
//! **Invariant:** nothing waits for a fixed time; it waits for a condition, with a deadline.
//! **Invariant:** every port is free and every directory is new, so that tests run in parallel.

#![forbid(unsafe_code)]

// The product's own finder, compiled here instead of linked: a dependency on `cortex` would make
// every crate below it wait for every crate above it.
#[path = "../../services/cortex/src/broker/mod.rs"]
pub mod broker;
mod eventually;
mod guard;
mod installation;
mod machine;
mod nats;
mod nats_cli;
mod proxy;
mod report;

pub use eventually::{eventually, eventually_some};
pub use guard::{Guarded, Signal};
pub use installation::{
    CORTEX_VARIABLE, CommandOutput, Installation, Login, Member, Process, processes_of,
};
pub use machine::Machine;
pub use nats::{NatsCluster, NatsServer, SavedStore, ServerOptions, User};
pub use nats_cli::{NATS_CLI_VARIABLE, nats_cli};
pub use proxy::{Direction, Fault, FaultProxy};
pub use report::{Better, Measurement, Report, percentile};
