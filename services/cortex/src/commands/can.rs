//! `cortex who-can` and `cortex can-task`.

use std::process::ExitCode;

use clap::Args;
use schemas::{
    Capability, FaultClass, PrincipalId,
    registry::{CanTaskAnswer, CanTaskRequest, WhoCanAnswer, WhoCanRequest, verb},
    subject::ServiceName::Registry,
};

use super::{Outcome, Session};
use crate::{
    cli::Globals,
    output::{Column, Listing, Row},
};

/// What somebody should be able to do.
#[derive(Debug, Args)]
pub struct WhoCanArgs {
    /// A capability such as shell.exec, or a pattern such as proxmox.*
    #[arg(value_parser = Capability::parse)]
    capability: Capability,
    /// Only agents that this principal may task.
    #[arg(long)]
    from: Option<PrincipalId>,
}

/// Who would task whom.
#[derive(Debug, Args)]
pub struct CanTaskArgs {
    /// Who would ask.
    from: PrincipalId,
    /// Who would do it.
    to: PrincipalId,
}

pub(super) async fn who_can(globals: &Globals, args: WhoCanArgs) -> Outcome {
    let session = Session::open(globals)?;
    let client = session.connect().await?;
    let WhoCanArgs { capability, from } = args;
    let request = WhoCanRequest { capability, from, limit: None };
    let answer: WhoCanAnswer = client.request(Registry, verb::WHO_CAN, &request).await?;
    let columns = [Column::Usual("ID"), Column::Usual("STATUS"), Column::Usual("GRANTED BY")];
    let rows = answer.agents.iter().map(|agent| {
        let granted_by = agent.granted_by.to_string();
        Row::new(vec![agent.id.to_string(), agent.status.as_str().to_owned(), granted_by])
    });
    session.printer.show(&answer, &Listing::new(&columns, rows))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn can_task(globals: &Globals, args: CanTaskArgs) -> Outcome {
    let session = Session::open(globals)?;
    let client = session.connect().await?;
    let request = CanTaskRequest { from: args.from, to: args.to };
    let answer: CanTaskAnswer = client.request(Registry, verb::CAN_TASK, &request).await?;
    let word = if answer.allowed { "yes" } else { "no" };
    let mut lines = vec![("allowed", word.to_owned())];
    lines.extend(answer.reasons.iter().map(|reason| ("because", reason.clone())));
    session.printer.show(&answer, &Listing::of_one(word, lines))?;
    let code = if answer.allowed { 0 } else { FaultClass::NotAllowed.exit_code() };
    Ok(ExitCode::from(code))
}
