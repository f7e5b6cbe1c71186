//! Promise: whatever is sent, the answer says what is wrong and what to do about it, nothing is
//! recorded, and the next good request is served.
//!
//! Against one `cortex up`, over NATS as any client could write it, and through the command line.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail as the tests themselves do")]

mod anybody;
mod arguments;
mod bodies;
mod cbor;
mod cose;
mod envelopes;
mod headers;
mod ids;
mod manifests;
mod offers;
mod people;
mod raw;
mod runners;
mod specs;
mod stage;
mod subjects;
mod terminal;
