//! Promise: a hosted service answers what is in its log, and its rows, events and snapshots agree
//! with it, whatever dies, pauses, fills up or goes back in time.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail as the tests themselves do")]

mod cluster;
mod events;
mod full;
mod hosted;
mod ledger;
mod refusals;
mod requests;
mod rows;
mod snapshots;
mod writers;
