//! What the launcher promises, asked of real processes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod endings;
mod environment;
mod node;
mod output;
mod refusals;
mod support;
mod tree;
mod walls;
