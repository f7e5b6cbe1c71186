//! Makes sure that what the tests run against is here, and prints it as `NAME=PATH` lines.
//!
//! `cargo xtask test` hands those lines to the tests as environment variables, so that they look
//! for nothing themselves.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use cortex_tests::broker::{self, BINARY_VARIABLE};
use cortex_tests::{NATS_CLI_VARIABLE, nats_cli};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal or xtask")]
fn main() -> ExitCode {
    let search = broker::Search::from_environment();
    match search.find(|step| eprintln!("prerequisites: {step}")) {
        Ok(path) => println!("{BINARY_VARIABLE}={}", path.display()),
        Err(error) => {
            let hint = error.hint();
            eprintln!("prerequisites: {:#}. {hint}", anyhow::Error::new(error));
            return ExitCode::FAILURE;
        }
    }
    match nats_cli() {
        Ok(path) => println!("{NATS_CLI_VARIABLE}={}", path.display()),
        Err(error) => eprintln!("prerequisites: no nats command, its tests will say so: {error:#}"),
    }
    ExitCode::SUCCESS
}
