//! Promise: what is said between processes does not change unnoticed.
//!
//! Messages, subjects and error codes are compared with the files of `schemas/`. After a change
//! that is meant, `UPDATE=1 cargo test -p cortex-tests --test contract` rewrites the JSON Schemas
//! and the form of the samples; the diff is then the change that others will see.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of tests may fail as the tests themselves do"
)]

mod catalogue;
mod coverage;
mod errors;
mod files;
mod golden;
mod json_schema;
mod strict_parse;
mod subjects;
