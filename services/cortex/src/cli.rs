//! The command line: what can be written, and which command it means.

use std::ffi::OsString;

use clap::{Args, CommandFactory, Parser, Subcommand};
use schemas::PrincipalId;

use crate::{
    commands::{
        agent::AgentCommand, can::CanTaskArgs, can::WhoCanArgs, ctx::CtxCommand,
        delegate::DelegateArgs, events::EventsArgs, init::InitArgs, invite::InviteArgs,
        key::KeyCommand, login::LoginArgs, rebuild::RebuildArgs, run::RunArgs, serve::ServeArgs,
        task::TaskCommand, token::TokenCommand, user::UserCommand,
    },
    output::Format,
    up::UpArgs,
};

const EXAMPLES: &str = "\
Examples:
  cortex up                                 start everything on this machine
  cortex run --on local -- uname -a         run a command on a node
  cortex run --can shell.exec -- sh -c 'echo hello'
  cortex agent ls                           who is there
  cortex task ls -o json                    what ran, for machines
  cortex who-can shell.exec                 who could run something";

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (protocol 1)");

/// Control plane for fleets of agents.
#[derive(Debug, Parser)]
#[command(name = "cortex", version = VERSION, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
pub struct Globals {
    /// Context to use instead of the selected one.
    #[arg(long, global = true, env = "CORTEX_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Broker to use instead of the context's.
    #[arg(long, global = true, env = "CORTEX_URL", value_name = "URL")]
    pub url: Option<String>,
    /// Principal to act as instead of the context's.
    #[arg(long = "as", global = true, env = "CORTEX_PRINCIPAL", value_name = "PRINCIPAL")]
    pub principal: Option<PrincipalId>,
    /// Form of what is printed.
    #[arg(short, long, global = true, value_enum, default_value_t, env = "CORTEX_OUTPUT")]
    pub output: Format,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make keys and credentials, and start nothing.
    Init(InitArgs),
    /// Start broker, services and a local node on this machine.
    Up(UpArgs),
    /// Stop what `up` started.
    Down,
    /// Show addresses, processes and who writes which log.
    Status,
    /// List, show and change agents; run a node.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Run a command on a node and show its output.
    Run(Box<RunArgs>),
    /// Hand in, watch and end tasks.
    #[command(subcommand)]
    Task(TaskCommand),
    /// Let a machine or a person in with one line.
    Invite(InviteArgs),
    /// Come in as a person, with the line of an invite.
    Login(LoginArgs),
    /// Ask this run's node for a task, from within a run that was granted to.
    Delegate(Box<DelegateArgs>),
    /// List, replace and revoke keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// List people, and change what they may do.
    #[command(subcommand)]
    User(UserCommand),
    /// Make, list and end tokens for programs that ask in your name.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Who has a capability.
    WhoCan(WhoCanArgs),
    /// Whether one principal may task another, and why not.
    CanTask(CanTaskArgs),
    /// Show a service's events.
    Events(EventsArgs),
    /// Make a bucket anew from the log.
    Rebuild(RebuildArgs),
    /// Run one service in the foreground.
    Serve(ServeArgs),
    /// Check everything that is needed and say what is wrong.
    Doctor,
    /// List and select contexts: which Cortex to talk to, as whom.
    #[command(subcommand)]
    Ctx(CtxCommand),
    /// Explain an error code.
    Explain {
        /// The code, for example TASK_NOT_PERMITTED; all codes are listed without one.
        code: Option<String>,
    },
    /// Print a completion script for a shell.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Runs a command for as long as standard input stays open.
    #[command(hide = true)]
    Guard {
        /// The command.
        #[arg(last = true, required = true)]
        argv: Vec<OsString>,
    },
}

/// The command line as data, for completion scripts.
#[must_use]
pub fn definition() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests;
