//! Promise: what the log acknowledges it keeps, once and in order, whatever happens to the broker.
//!
//! One suite for the log in memory, one server and three; then the interleavings that only real
//! servers show, and what is kept beside the log: rows, blobs, streams and their settings.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail as the tests themselves do")]

mod blobs;
mod broker;
mod cluster;
mod one_server;
mod promises;
mod rows;
mod streams;
mod suite;
mod support;
