//! Every command, one module each.

pub mod agent;
pub mod can;
mod chain;
pub mod ctx;
pub mod delegate;
mod doctor;
pub mod events;
mod explain;
pub mod init;
pub mod invite;
pub mod join;
pub mod key;
mod line;
pub mod login;
mod order;
mod parse;
mod pieces;
pub mod rebuild;
mod rotate;
pub mod run;
pub mod serve;
mod session;
pub mod share;
pub(crate) mod sign;
mod status;
pub(crate) mod tail;
pub mod task;
pub mod token;
pub mod user;
mod watch;

use std::process::ExitCode;

use schemas::Fault;

pub(crate) use session::Session;
pub(crate) use status::show as show_status;

use crate::{
    cli::{Cli, Command, Globals, definition},
    output::print,
    up,
};

/// How a command ended.
pub type Outcome = Result<ExitCode, Fault>;

/// Carries a command out.
///
/// # Errors
///
/// Why it could not be carried out, to be shown and turned into the exit code.
pub async fn carry_out(cli: Cli) -> Outcome {
    let Cli { globals, command } = cli;
    match command {
        Command::Init(args) => init::init(args),
        Command::Up(args) => up::up(&globals, args).await,
        Command::Down => up::down().await,
        Command::Status => show_status(&globals).await,
        Command::Agent(command) => Box::pin(agent::carry_out(&globals, command)).await,
        Command::Run(args) => Box::pin(run::run(&globals, *args)).await,
        Command::Task(command) => task::carry_out(&globals, command).await,
        Command::Invite(args) => invite::carry_out(&globals, args).await,
        Command::Login(args) => Box::pin(login::login(&globals, args)).await,
        Command::Delegate(args) => delegate::delegate(*args),
        Command::Key(command) => key::carry_out(&globals, command).await,
        Command::User(command) => user::carry_out(&globals, command).await,
        Command::Token(command) => token::carry_out(&globals, command).await,
        Command::WhoCan(args) => can::who_can(&globals, args).await,
        Command::CanTask(args) => can::can_task(&globals, args).await,
        Command::Events(args) => events::show(&globals, args).await,
        Command::Rebuild(args) => rebuild::rebuild(&globals, args).await,
        Command::Serve(args) => serve::serve(args).await,
        Command::Doctor => doctor::examine(&globals).await,
        Command::Ctx(command) => ctx::carry_out(&globals, command),
        Command::Explain { code } => explain::explain(&globals, code.as_deref()),
        Command::Completion { shell } => complete(shell),
        Command::Guard { argv } => up::guard(argv).await,
    }
}

fn complete(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition(), "cortex", &mut script);
    print(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// The printer that a command line asks for.
pub(crate) fn printer(globals: &Globals) -> crate::output::Printer {
    crate::output::Printer::new(globals.output)
}
