//! `cortex delegate`: a run asks its node for a task, as a shell script would.

use std::{io::Write, process::ExitCode};

use agent_node::delegate::{Delegate, Submit};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use schemas::{
    Fault,
    task::{OutputSummary, Verdict},
};

use super::{
    Outcome,
    run::{WorkArgs, exit_code},
};
use crate::output::{print, write_all};

const EXAMPLE: &str = "\
Example, submitted with grants:
  cortex run --on build-1 --grant-agent web-1 --grant-tasks 1 -- \\
    cortex delegate --on web-1 -- uname -n";

/// What the run wants done.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct DelegateArgs {
    #[command(flatten)]
    work: WorkArgs,
    /// Print the task's id and do not wait for it.
    #[arg(long, short)]
    detach: bool,
}

pub(super) fn delegate(args: DelegateArgs) -> Outcome {
    let DelegateArgs { work, detach } = args;
    // Unless something else is said, for as long as the run's own request allows.
    let lives_s = work.lives_s();
    let order = work.into_order()?;
    let mut node = Delegate::from_environment().map_err(|error| error.to_fault())?;
    let submit =
        Submit { audience: order.audience, spec: order.spec, grants: order.grants, lives_s };
    let task = node.submit(submit).map_err(|error| error.to_fault())?;
    if detach {
        print(format!("{task}\n").as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = node.wait(&task).map_err(|error| error.to_fault())?;
    show(&mut std::io::stdout().lock(), &outcome.stdout)?;
    show(&mut std::io::stderr().lock(), &outcome.stderr)?;
    match (outcome.verdict, outcome.fault) {
        (Verdict::Succeeded, _) => Ok(ExitCode::SUCCESS),
        (_, Some(fault)) => Err(fault),
        (_, None) => Ok(ExitCode::from(exit_code(outcome.exit_code, outcome.signal))),
    }
}

fn show(stream: &mut impl Write, summary: &OutputSummary) -> Result<(), Fault> {
    let inline = summary.inline.as_deref().unwrap_or_default();
    write_all(stream, &STANDARD.decode(inline).unwrap_or_default())
}
