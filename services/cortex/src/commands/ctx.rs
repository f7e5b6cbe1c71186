//! `cortex ctx`: which Cortex to talk to, as whom.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use schemas::{Fault, PrincipalId};

use super::{Outcome, printer};
use crate::{
    cli::Globals,
    context::{Context, Contexts, LOCAL},
    home::Home,
    material::certificates_path,
    natscli,
    output::{Column, Listing, Row, note, print},
};

const ENV_HELP: &str = "\
Examples:
  eval \"$(cortex ctx env)\"
  nats req cortex.cmd.$ME.registry.who-can '{\"capability\":\"shell.exec\"}'
  eval \"$(cortex ctx env admin)\"
  nats sub 'cortex.ev.>'";

/// What can be done with contexts.
#[derive(Debug, Subcommand)]
pub enum CtxCommand {
    /// List contexts; the selected one has a star.
    Ls,
    /// Show one context.
    Show {
        /// Which; the selected one when absent.
        name: Option<String>,
    },
    /// Print what lets the plain `nats` command speak as the context's principal.
    #[command(after_help = ENV_HELP)]
    Env {
        /// Which; the selected one when absent.
        name: Option<String>,
    },
    /// Use a context from now on.
    Select {
        /// Which.
        name: String,
    },
    /// Add or replace a context.
    Add(AddArgs),
    /// Remove a context.
    Rm {
        /// Which.
        name: String,
    },
}

/// What a context says. Url and principal are taken from --url and --as.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Its name.
    name: String,
    /// File with what the principal logs in with, as the NATS tools write it.
    #[arg(long)]
    creds: Option<PathBuf>,
    /// PEM file with the authority that the broker's certificate comes from.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Name of the cluster, which signatures are bound to.
    #[arg(long)]
    cluster: Option<String>,
    /// File with the key that signs requests.
    #[arg(long)]
    key: Option<PathBuf>,
    /// File with that key's certificates; the one beside it when absent.
    #[arg(long)]
    certificates: Option<PathBuf>,
}

pub(super) fn carry_out(globals: &Globals, command: CtxCommand) -> Outcome {
    let home = Home::from_environment()?;
    let contexts = Contexts::new(&home);
    match command {
        CtxCommand::Ls => list(globals, &contexts)?,
        CtxCommand::Show { name } => show(globals, &contexts, name)?,
        CtxCommand::Env { name } => environment(globals, &contexts, name)?,
        CtxCommand::Select { name } => {
            contexts.select(&name)?;
            note(&format!("selected {name}"));
        }
        CtxCommand::Add(args) => add(globals, &contexts, args)?,
        CtxCommand::Rm { name } => contexts.remove(&name)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(globals: &Globals, contexts: &Contexts<'_>) -> Result<(), Fault> {
    let selected = contexts.selected()?;
    let mut found = Vec::new();
    for name in contexts.names()? {
        let context = contexts.read(&name)?;
        let is_selected = selected.as_deref() == Some(name.as_str());
        found.push((name, context, is_selected));
    }
    let rows = found.iter().map(|(name, context, is_selected)| {
        let star = if *is_selected { "*" } else { "" };
        let cells =
            vec![name.clone(), star.into(), context.url.clone(), context.principal.to_string()];
        Row::new(cells)
    });
    let columns = [
        Column::Usual("NAME"),
        Column::Usual("SELECTED"),
        Column::Usual("URL"),
        Column::Usual("AS"),
    ];
    let values: Vec<_> = found
        .iter()
        .map(|(name, context, is_selected)| {
            serde_json::json!({
                "name": name, "selected": is_selected, "url": context.url,
                "principal": context.principal,
            })
        })
        .collect();
    printer(globals).show(&values, &Listing::new(&columns, rows))
}

/// The context that is meant: named, or selected, or the one that `up` makes.
fn chosen(
    globals: &Globals,
    contexts: &Contexts<'_>,
    name: Option<String>,
) -> Result<String, Fault> {
    match name.or(globals.context.clone()) {
        Some(name) => Ok(name),
        None => Ok(contexts.selected()?.unwrap_or_else(|| LOCAL.to_owned())),
    }
}

fn environment(
    globals: &Globals,
    contexts: &Contexts<'_>,
    name: Option<String>,
) -> Result<(), Fault> {
    let chosen = chosen(globals, contexts, name)?;
    let context = contexts.read(&chosen)?;
    // Made here once more: the context may be older than the file.
    let file = contexts.natscli_path(&chosen)?;
    natscli::write(&file, &context)?;
    let environment = natscli::Environment {
        context: file,
        principal: globals.principal.clone().unwrap_or(context.principal),
        url: globals.url.clone(),
    };
    let printer = printer(globals);
    if printer.is_for_machines() {
        return printer.show(&environment, &Listing::new(&[], []));
    }
    print(environment.exports().as_bytes())
}

fn show(globals: &Globals, contexts: &Contexts<'_>, name: Option<String>) -> Result<(), Fault> {
    let chosen = chosen(globals, contexts, name)?;
    let context = contexts.read(&chosen)?;
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let properties = vec![
        ("name", chosen.clone()),
        ("url", context.url.clone()),
        ("principal", context.principal.to_string()),
        ("creds", path(&context.creds).unwrap_or_default()),
        ("ca", path(&context.ca).unwrap_or_default()),
        ("cluster", context.cluster.clone().unwrap_or_default()),
        ("key", path(&context.key).unwrap_or_default()),
        ("certificates", path(&context.certificates).unwrap_or_default()),
    ];
    printer(globals).show(&context, &Listing::of_one(&chosen, properties))
}

fn add(globals: &Globals, contexts: &Contexts<'_>, args: AddArgs) -> Result<(), Fault> {
    let url = globals.url.clone().ok_or_else(|| {
        let message = "a context needs --url";
        Fault::new(schemas::ErrorCode::InvalidValue, message)
    })?;
    let person = PrincipalId::parse("owner")
        .map_err(|error| Fault::new(schemas::ErrorCode::InvalidId, error.to_string()))?;
    let mut context = Context::new(url, globals.principal.clone().unwrap_or(person));
    let absolute =
        |path: Option<PathBuf>| path.map(|path| std::path::absolute(&path).unwrap_or(path));
    context.creds = absolute(args.creds);
    context.ca = absolute(args.ca);
    context.cluster = args.cluster;
    context.key = absolute(args.key);
    let beside = context.key.as_deref().map(certificates_path).filter(|path| path.exists());
    context.certificates = absolute(args.certificates).or(beside);
    contexts.write(&args.name, &context)?;
    note(&format!("`cortex ctx select {}` uses it from now on", args.name));
    Ok(())
}
