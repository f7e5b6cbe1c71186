//! Promise: a request reaches its service once and is answered, or its sender learns why not.
//!
//! Against real brokers, through restarts and bad networks.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail as the tests themselves do")]

mod events;
mod link;
mod permissions;
mod requests;
mod responder;
mod support;
