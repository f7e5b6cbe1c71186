//! Promise: what a person is told to type works, and no crash loses or doubles a task.
//!
//! Against `cortex up` as it is, with every process of it real.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail as the tests themselves do")]

mod chaos;
mod demonstration;
mod leftovers;
mod person;
mod runs;
mod signer;
