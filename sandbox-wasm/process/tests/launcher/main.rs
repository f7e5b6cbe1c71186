//! What the launcher promises, asked of real processes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod crash;
mod endings;
mod environment;
mod output;
mod refusals;
mod support;
mod tree;
