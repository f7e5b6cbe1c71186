//! The launcher: starts a run, bounds it, and kills its whole tree.
//!
//! Each run has a supervisor of its own: this very program executed anew, single-threaded, as the
//! parent and subreaper of all that the run starts. The supervisor keeps the time limits by itself,
//! so they hold when the node is busy, and ends everything when the node is gone.
//!
//! **Invariant:** whatever links this crate can be that supervisor: a constructor that runs before
//! `main` looks for the mark that only the launcher sets. `main` needs no call.
//! **Invariant:** a run is an argv, never a line for a shell.
//! **Invariant:** a run never waits for ever for whoever reads its output.
//! **Invariant:** `unsafe` stands in `sys` alone.

mod canary;
mod error;
mod exit;
mod gate;
mod handshake;
mod hashes;
mod inner;
mod launcher;
mod output;
mod request;
mod resolve;
mod run;
mod supervisor;
mod sys;
mod tiers;
mod tree;
mod trial;
mod wire;

pub use error::LaunchError;
pub use exit::{Exit, Leftovers, Status, StreamTotals, Verdict};
pub use launcher::{Launcher, LauncherConfig};
pub use output::{CHUNK_BYTES_MAX, Chunk, Stream};
pub use request::{RunLimits, RunRequest};
pub use run::{Canceller, Run};
pub use sandbox_policy::{Access, Mount, Quotas, SandboxSettings, Tier};

/// User, mount, process, network, IPC, name and cgroup namespaces.
const NAMESPACES_OF_A_RUN: usize = 7;
