//! What both ends of a conversation must agree on: version, headers, limits.

use std::time::Duration;

use crate::{ErrorCode, Fault};

/// Version of all messages together; ends that differ refuse each other by name.
pub const PROTOCOL_VERSION: u32 = 1;

/// Header: [`PROTOCOL_VERSION`] of the sender. Absent from plain tools, which then get the current one.
pub const HEADER_PROTOCOL: &str = "Cortex-Protocol";
/// Header: the command's id, for safe repetition.
pub const HEADER_COMMAND_ID: &str = "Cortex-Command-Id";
/// Header: milliseconds since the Unix epoch after which the command must not be decided.
pub const HEADER_NOT_AFTER: &str = "Cortex-Not-After";
/// Header: W3C trace context.
pub const HEADER_TRACE: &str = "traceparent";

/// Largest body of a command, in bytes.
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;
/// Largest specification of a task, in bytes.
pub const SPEC_BYTES_MAX: usize = 16 * 1024;
/// Deepest nesting of arrays and objects in any message.
pub const DEPTH_MAX: usize = 8;
/// Furthest a command's not-after may lie ahead.
pub const NOT_AFTER_AHEAD_MAX: Duration = Duration::from_secs(300);
/// How long a recorded answer outlives its command's not-after.
pub const ANSWER_KEPT_AFTER: Duration = Duration::from_secs(30);
/// How often a node beats when its manifest does not say.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// Missed heartbeats after which a node counts as offline.
pub const HEARTBEATS_MISSED_MAX: u32 = 3;
/// How long what runs may stay silent before it counts as lost.
pub const LEASE_TTL: Duration = Duration::from_secs(30);
/// How long an assignment may wait to be started.
pub const ASSIGNMENT_TTL: Duration = Duration::from_secs(120);
/// How long after sending its request a node may act on a go.
pub const GO_TTL: Duration = Duration::from_secs(10);
/// Longest that a request for a task's output may wait; within one attempt of a client.
pub const OUTPUT_WAIT_MAX: Duration = Duration::from_millis(1_500);
/// Output that travels inside the result, in bytes a stream.
pub const INLINE_OUTPUT_BYTES_MAX: usize = 8 * 1024;

/// Checks a `traceparent` as W3C writes it: `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`.
///
/// # Errors
///
/// `INVALID_VALUE`: what is no trace context would lead nowhere, for as long as the log is kept.
pub fn check_trace(text: &str) -> Result<(), Fault> {
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    if lengths == [2, 32, 16, 2] && text.split('-').all(hex) {
        return Ok(());
    }
    let message = format!("header {HEADER_TRACE} is no trace context");
    Err(Fault::new(ErrorCode::InvalidValue, message)
        .with_hint("leave it out, or write it as W3C Trace Context says: 00-TRACE-PARENT-FLAGS"))
}

/// Compares the other end's version with ours.
///
/// # Errors
///
/// `PROTOCOL_MISMATCH`, naming both.
pub fn check_version(theirs: u32) -> Result<(), Fault> {
    if theirs == PROTOCOL_VERSION {
        return Ok(());
    }
    let message = format!("they speak protocol {theirs}, this side speaks {PROTOCOL_VERSION}");
    Err(Fault::new(ErrorCode::ProtocolMismatch, message))
}
