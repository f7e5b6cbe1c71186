//! `cortex init`: makes what `cortex up` would make on its first run, and starts nothing.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use schemas::enrolment::LOGIN_LIFETIME_S;

use super::Outcome;
use crate::{authority::OperatorPlace, home::Home, material::Material, output::note};

/// How to begin.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Keep the seed of the broker's operator in this directory, and not with the other keys.
    ///
    /// It is needed again only for new signing keys, so the directory can be taken away.
    #[arg(long, value_name = "DIR")]
    operator: Option<PathBuf>,
}

pub(super) fn init(args: InitArgs) -> Outcome {
    let home = Home::from_environment()?;
    let directory = args.operator.map(|path| std::path::absolute(&path).unwrap_or(path));
    let place = directory.as_deref().map_or(OperatorPlace::Here, OperatorPlace::Apart);
    let material = Material::ensure(&home, place)?;
    material.log_everybody_in(&home, LOGIN_LIFETIME_S)?;
    note(&format!("cluster {}, keys in {}", material.identities.cluster, home.keys().display()));
    if let Some(directory) = &directory {
        note(&format!("the operator's seed is in {}; keep it safe", directory.display()));
    }
    note("`cortex up` starts it");
    Ok(ExitCode::SUCCESS)
}
