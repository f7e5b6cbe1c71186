//! `cortex key`: whose keys count, and replacing one's own.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use client::Client;
use schemas::{
    Fault, PrincipalId, Timestamp,
    enrolment::{GetPrincipalsAnswer, GetPrincipalsRequest, KeyView, Order, PrincipalView},
    key::KeyId,
    registry::verb,
    subject::ServiceName::Registry,
};

use super::{Outcome, Session, order, rotate, session::now};
use crate::{
    cli::Globals,
    output::{Column, Listing, Row, local_time},
};

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// List keys with their purpose and validity.
    Ls(LsArgs),
    /// Replace your own keys by new ones; what the old ones signed stays good.
    Rotate,
    /// Take a key out of use: nothing that it signed counts any more.
    Revoke(RevokeArgs),
}

/// Whose keys to list.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Only of this principal.
    of: Option<PrincipalId>,
    /// Those that have ended or were revoked as well.
    #[arg(long, short)]
    all: bool,
}

/// Which key, and why.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Its id, as `cortex key ls` shows it.
    key: KeyId,
    /// For the record.
    #[arg(long, default_value = "")]
    reason: String,
}

pub(super) async fn carry_out(globals: &Globals, command: KeyCommand) -> Outcome {
    let session = Session::open(globals)?;
    match command {
        KeyCommand::Ls(args) => list(&session, args).await,
        KeyCommand::Rotate => rotate::rotate(&session).await,
        KeyCommand::Revoke(RevokeArgs { key, reason }) => {
            let said = [("revoked", key.to_string())];
            order::carry(&session, Order::RevokeKey { key, reason }, &said).await
        }
    }
}

/// Everybody whom the asker may see, page after page.
pub(super) async fn principals(
    client: &Client,
    kind: Option<schemas::principal::PrincipalKind>,
) -> Result<Vec<PrincipalView>, Fault> {
    let mut request = GetPrincipalsRequest { kind, after: None, limit: Some(1000) };
    let mut all = Vec::new();
    loop {
        let answer: GetPrincipalsAnswer =
            client.request(Registry, verb::GET_PRINCIPALS, &request).await?;
        all.extend(answer.principals);
        match answer.next {
            Some(next) => request.after = Some(next),
            None => return Ok(all),
        }
    }
}

async fn list(session: &Session, args: LsArgs) -> Outcome {
    let client = session.connect().await?;
    let LsArgs { of, all } = args;
    let mut found = principals(&client, None).await?;
    found.retain(|principal| of.as_ref().is_none_or(|of| *of == principal.id));
    let at = now();
    for principal in &mut found {
        principal.keys.retain(|key| all || state(key, at) == VALID);
    }
    let columns = [
        Column::Usual("KEY"),
        Column::Usual("OF"),
        Column::Usual("PURPOSE"),
        Column::Usual("STATE"),
        Column::Usual("UNTIL"),
        Column::Wide("PUBLIC KEY"),
    ];
    let rows = found.iter().flat_map(|principal| {
        principal.keys.iter().map(move |key| {
            Row::new(vec![
                key.id.to_string(),
                principal.id.to_string(),
                key.purpose.to_string(),
                state(key, at).to_owned(),
                local_time(Some(Timestamp::from_seconds(key.not_after_s))),
                key.key.to_string(),
            ])
        })
    });
    session.printer.show(&found, &Listing::new(&columns, rows))?;
    client.close().await;
    Ok(ExitCode::SUCCESS)
}

const VALID: &str = "valid";

fn state(key: &KeyView, now: Timestamp) -> &'static str {
    let now_s = now.seconds();
    match key.revoked_at {
        Some(_) => "revoked",
        None if key.not_after_s <= now_s => "ended",
        None if now_s < key.not_before_s => "not yet",
        None => VALID,
    }
}
