//! Promise: the command line does what it says, with the whole of Cortex behind it.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail as the tests themselves do")]

mod bad_input;
mod crashes;
mod main_path;
mod supervisor;
mod support;
mod tasks;
