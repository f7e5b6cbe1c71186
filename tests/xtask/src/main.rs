//! `cargo xtask up | test | bench | ci`: builds, starts, tests and measures Cortex, saying what it does.

#![forbid(unsafe_code)]

mod steps;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, starts, tests and measures Cortex.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build everything and start it: the broker, every service and one local node.
    Up {
        /// Handed to `cortex up`, such as `--ephemeral`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run every test; the broker is found or fetched first.
    Test {
        /// Handed to `cargo test`, such as `-p runtime` or `-- a_name`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Measure; prints a table and writes `target/bench/NAME.json`.
    Bench {
        /// A file in tests/benches, without `.rs`.
        name: String,
        /// Handed to the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Do what continuous integration does: `.ci/run`.
    Ci,
}

#[expect(clippy::print_stderr, reason = "the one place that reports to the terminal")]
fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Up { arguments } => steps::up(&arguments),
        Task::Test { arguments } => steps::test(&arguments),
        Task::Bench { name, arguments } => steps::bench(&name, &arguments),
        Task::Ci => steps::ci(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
