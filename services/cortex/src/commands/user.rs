//! `cortex user`: people, and what they may do.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use schemas::{
    PrincipalId,
    enrolment::Order,
    principal::{PrincipalKind, UserRole},
};

use super::{Outcome, Session, key::principals, order, parse};
use crate::{
    cli::Globals,
    output::{Column, Listing, Row, local_time},
};

/// What can be done with people.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List people and their roles.
    Ls,
    /// Give a person another role.
    Role {
        /// Who.
        person: PrincipalId,
        /// admin, operator, auditor or user.
        #[arg(value_parser = parse::user_role)]
        role: UserRole,
    },
    /// Put a person out; they may come back with a new invite.
    Evict(OutArgs),
    /// Put a person out for good; their keys are refused for ever.
    Ban(OutArgs),
}

/// Whom to put out, and why.
#[derive(Debug, Args)]
pub struct OutArgs {
    /// Who.
    id: PrincipalId,
    /// For the record.
    #[arg(long, default_value = "")]
    reason: String,
}

impl OutArgs {
    /// Puts the principal out until it is invited again.
    pub(super) async fn evict(self, session: &Session) -> Outcome {
        let Self { id: principal, reason } = self;
        let said = [("evicted", principal.to_string())];
        order::carry(session, Order::Evict { principal, reason }, &said).await
    }

    /// Puts the principal out for good.
    pub(super) async fn ban(self, session: &Session) -> Outcome {
        let Self { id: principal, reason } = self;
        let said = [("banned", principal.to_string())];
        order::carry(session, Order::Ban { principal, reason }, &said).await
    }
}

pub(super) async fn carry_out(globals: &Globals, command: UserCommand) -> Outcome {
    let session = Session::open(globals)?;
    match command {
        UserCommand::Ls => list(&session).await,
        UserCommand::Role { person, role } => {
            let said = [("person", person.to_string()), ("role", role.to_string())];
            order::carry(&session, Order::SetRole { person, role }, &said).await
        }
        UserCommand::Evict(args) => args.evict(&session).await,
        UserCommand::Ban(args) => args.ban(&session).await,
    }
}

async fn list(session: &Session) -> Outcome {
    let client = session.connect().await?;
    let people = principals(&client, Some(PrincipalKind::Person)).await?;
    let columns = [
        Column::Usual("ID"),
        Column::Usual("ROLE"),
        Column::Usual("STANDING"),
        Column::Usual("SINCE"),
        Column::Wide("LOGIN"),
    ];
    let rows = people.iter().map(|person| {
        Row::new(vec![
            person.id.to_string(),
            person.role.map_or_else(|| "-".to_owned(), |role| role.to_string()),
            person.standing.to_string(),
            local_time(Some(person.enrolled_at)),
            person.login.clone(),
        ])
    });
    session.printer.show(&people, &Listing::new(&columns, rows))?;
    client.close().await;
    Ok(ExitCode::SUCCESS)
}
