//! Promise: nobody says or hears on the broker what is not theirs, and whoever tries is told so.
//!
//! Real connections of every role to a real server in operator mode.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail as the tests themselves do")]

mod delegation;
mod denials;
mod deputies;
mod enrolment;
mod fleet;
mod installation;
mod isolation;
mod jetstream;
mod login;
mod ownership;
mod revocation;
mod secrets;
mod stage;
mod standing;
mod tokens;
mod trial;
