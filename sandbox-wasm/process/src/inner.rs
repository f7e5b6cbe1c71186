//! What happens between the supervisor and the program: walls go up, from the inside.
//!
//! The order is fixed: namespaces, mounts, a new root, limits, capabilities, no new privileges,
//! Landlock, filters of system calls. Landlock forbids mounting, and each later step needs less
//! than the one before.
//!
//! **Invariant:** a step that fails ends the process; no program runs with a wall missing.

mod filter;
mod first;
mod landlock;
mod leader;
mod lock;
mod root;
mod trees;

use std::os::fd::OwnedFd;

use crate::wire::Order;

pub(crate) use filter::FILTERS;
pub(crate) use first::{first, first_of_others, status_of};
pub(crate) use leader::lead;
pub(crate) use root::{DEVICES, PROGRAMS, SETTINGS, SHARED_MEMORY, TEMPORARY, own_settings};
pub(crate) use trees::{Tree, open_as_root};

/// What the inside starts with.
pub(crate) struct Inside {
    /// What to run, and behind which walls.
    pub(crate) order: Order,
    /// Standard input, output and error of the program.
    pub(crate) streams: [OwnedFd; 3],
    /// To the supervisor.
    pub(crate) gate: OwnedFd,
}
