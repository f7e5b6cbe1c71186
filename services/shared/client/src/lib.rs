//! Typed requests and responders: the one way in for gateway, CLI, MCP, services and agents.
//!
//! **Invariant:** nothing is sent while the connection is known to be down; a request waits for it
//! within its deadline instead of being queued behind its sender's back.
//! **Invariant:** every retry of a command carries the same command id and the same not-after.
//! **Invariant:** an answer is only ever sent to an inbox.
//! **Invariant:** what the broker denies is told as that, with subject and principal, and at once.

#![forbid(unsafe_code)]

mod backoff;
mod connection;
mod follow;
mod inbox;
mod link;
mod login;
mod options;
mod request;
mod responder;
mod subjects;
mod wire;

pub use connection::Client;
pub use follow::{EventStream, StartAt};
pub use link::LinkState;
pub use login::LoginError;
pub use options::{ConnectError, ConnectOptions, Credentials};
pub use request::{Call, REQUEST_DEADLINE, new_command_id};
pub use responder::{IncomingRequest, Responder, ServeError, ServiceInfo};
pub use subjects::{Denials, Subscription};
pub use wire::{HEADER_ERROR, HEADER_ERROR_CODE};
