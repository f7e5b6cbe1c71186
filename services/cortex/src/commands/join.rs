//! `cortex agent join`: a machine comes in with an invite line.

use std::{path::PathBuf, process::ExitCode};

use agent_node::{InviteLine, JoinOptions, Joined};
use clap::Args;
use schemas::{Capability, ErrorCode, Fault, manifest::PrincipalPattern};

use super::{Outcome, agent::RunNodeArgs, line, parse, serve};
use crate::{
    cli::Globals,
    home::Home,
    output::{Listing, note},
};

/// The line, and what the machine says about itself.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// What `cortex invite --name NODE` printed; - reads it from standard input, where nobody else on
    /// this machine sees it.
    line: String,
    /// Where keys, credentials, settings and state of the node are kept.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A capability that it advertises, as often as needed; shell.exec when absent.
    #[arg(long, value_name = "CAPABILITY", value_parser = Capability::parse)]
    can: Vec<Capability>,
    /// KEY=VALUE that tasks can select by, as often as needed.
    #[arg(long, short, value_parser = parse::pair, value_name = "KEY=VALUE")]
    label: Vec<(String, String)>,
    /// Who may task it besides its owner: an id, prefix-* or *; as often as needed.
    #[arg(long, value_name = "WHO", value_parser = parse::principals)]
    accept: Vec<PrincipalPattern>,
    /// Whom its runs may ask for tasks, as often as needed.
    #[arg(long, value_name = "WHO", value_parser = parse::principals)]
    can_task: Vec<PrincipalPattern>,
    /// Runs at the same time; the number of processors when absent.
    #[arg(long, value_name = "N")]
    slots: Option<u32>,
    /// Run the node in the foreground once it has come in.
    #[arg(long)]
    run: bool,
}

pub(super) async fn join(globals: &Globals, args: JoinArgs) -> Outcome {
    let JoinArgs { line, dir, can, label, accept, can_task, slots, run } = args;
    let line = line::given(line)?;
    let home = match dir {
        Some(dir) => dir,
        None => usual_place(&line)?,
    };
    let options = JoinOptions {
        home,
        name: None,
        capabilities: can,
        labels: label.into_iter().collect(),
        accepts_tasks_from: accept,
        can_task,
        slots,
    };
    let joined = agent_node::join(&line, &options, &mut |step| note(&step.to_string())).await;
    let Joined { principal, cluster, settings, was_complete } =
        joined.map_err(|error| error.to_fault())?;
    if was_complete {
        note("this machine had come in with that line before");
    }
    if run {
        return serve::node(RunNodeArgs { config: settings, supervised: false }).await;
    }
    let start = format!("cortex agent run --config {}", settings.display());
    let said = vec![
        ("agent", principal.to_string()),
        ("cluster", cluster.clone()),
        ("start it with", start),
    ];
    let value = serde_json::json!({ "agent": principal, "cluster": cluster, "settings": settings });
    super::printer(globals).show(&value, &Listing::of_one(principal.as_str(), said))?;
    Ok(ExitCode::SUCCESS)
}

fn usual_place(line: &str) -> Result<PathBuf, Fault> {
    let invited = InviteLine::parse(line)
        .map_err(|error| Fault::new(ErrorCode::InvalidValue, error.to_string()))?;
    let name = format!("{}-{}", invited.cluster, invited.principal);
    Ok(Home::from_environment()?.members().join(name))
}
