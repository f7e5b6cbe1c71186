//! Promise: the plain `nats` command works with Cortex, typed as the documentation shows it.
//!
//! Against one `cortex up`, with the real command; a test prints why it is skipped where that cannot
//! be had.

#![expect(clippy::print_stdout, reason = "a test that is skipped says why")]

mod looking;
mod requests;
mod shell;
mod tasks;
