//! The one binary: every command, every service, the supervisor.

#![forbid(unsafe_code)]

pub mod authority;
pub mod broker;
pub mod cli;
mod clock;
pub mod commands;
pub mod context;
pub mod files;
pub mod home;
mod logging;
pub mod material;
pub mod natscli;
pub mod output;
mod signals;
pub mod up;

use std::{ffi::OsString, process::ExitCode, time::Duration};

use clap::{Parser, error::ErrorKind};
use schemas::{ErrorCode, Fault};

use crate::{
    cli::{Cli, Command},
    commands::agent::AgentCommand,
    output::{Format, Printer},
};

/// How long work in the background may take after the command itself has ended.
const LAST_WORK: Duration = Duration::from_secs(2);

/// Carries out a command line and says what to leave with.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &arguments),
    };
    let printer = Printer::new(cli.globals.output);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            printer.fail(&Fault::new(ErrorCode::Internal, format!("starting: {error}")));
            return ExitCode::FAILURE;
        }
    };
    // Boxed: the future of all commands together is large.
    let ended = runtime.block_on(Box::pin(async {
        // A daemon writes about itself at length, and starts to do so on its own.
        let is_daemon =
            matches!(cli.command, Command::Serve(_) | Command::Agent(AgentCommand::Run(_)));
        if !is_daemon {
            logging::start(logging::COMMAND_FILTER);
        }
        Box::pin(commands::carry_out(cli)).await
    }));
    runtime.shutdown_timeout(LAST_WORK);
    ended.unwrap_or_else(|fault| {
        printer.fail(&fault);
        ExitCode::from(fault.code.class().exit_code())
    })
}

/// Says what is wrong with a command line, in the form that it asks for.
fn refuse(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let is_question = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let format = machine_format(arguments);
    if let (false, Some(format)) = (is_question, format) {
        let text = error.render().to_string();
        let message = text.trim().trim_start_matches("error: ");
        let fault = Fault::new(ErrorCode::InvalidValue, message).with_hint("`--help` shows how");
        Printer::new(format).fail(&fault);
    } else {
        // With the terminal gone, or a reader that has enough, there is nobody left to tell.
        drop(error.print());
    }
    let code = if is_question { 0 } else { ErrorCode::InvalidValue.class().exit_code() };
    ExitCode::from(code)
}

/// The form for machines that a command line which does not parse asks for.
fn machine_format(arguments: &[OsString]) -> Option<Format> {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let after = words.windows(2).find(|two| matches!(two, ["-o" | "--output", _]));
    let joined =
        words.iter().find_map(|word| word.strip_prefix("--output=").or(word.strip_prefix("-o")));
    match after.and_then(|two| two.last().copied()).or(joined) {
        Some("json") => Some(Format::Json),
        Some("yaml") => Some(Format::Yaml),
        Some(_) | None => None,
    }
}
