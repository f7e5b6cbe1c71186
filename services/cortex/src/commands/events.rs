//! `cortex events`: what a service recorded, and records.

use std::process::ExitCode;

use clap::Args;
use client::StartAt;
use schemas::{
    Cursor, Fault,
    feed::{EVENTS_VERB, EventsAnswer, EventsRequest, FeedEvent},
    registry::{DeniedAction, RegistryEvent},
    subject::ServiceName,
};

use super::{Outcome, Session, parse};
use crate::{cli::Globals, output::clean};

/// Whose events, and from where on.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// registry or scheduler.
    #[arg(value_parser = parse::service)]
    service: ServiceName,
    /// Go on after this cursor.
    #[arg(long)]
    after: Option<Cursor>,
    /// Show new events as they come, until interrupted; without --after only those.
    #[arg(long, short)]
    follow: bool,
    /// At most so many of the events that are there.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

pub(super) async fn show(globals: &Globals, args: EventsArgs) -> Outcome {
    let session = Session::open(globals)?;
    let client = session.connect().await?;
    let EventsArgs { service, after, follow, limit } = args;
    let mut left = limit.unwrap_or(u64::MAX);
    if follow {
        let mut events = client.events(service, after.map_or(StartAt::Head, StartAt::After));
        while let Some(event) = events.next().await {
            print(&session, &event?)?;
            left -= 1;
            if left == 0 {
                break;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut request = EventsRequest { after, limit: None };
    loop {
        let answer: EventsAnswer = client.request(service, EVENTS_VERB, &request).await?;
        for event in &answer.events {
            if left == 0 {
                return Ok(ExitCode::SUCCESS);
            }
            print(&session, event)?;
            left -= 1;
        }
        if answer.at_head || request.after == Some(answer.next) {
            return Ok(ExitCode::SUCCESS);
        }
        request.after = Some(answer.next);
    }
}

fn print(session: &Session, event: &FeedEvent) -> Result<(), Fault> {
    let FeedEvent { cursor, at, principal, kind, id, event: body, .. } = event;
    let said = in_words(body.get()).unwrap_or_else(|| body.get().to_owned());
    let line = format!("{cursor}  {at}  {principal}  {kind} {id}  {said}");
    session.printer.show_line(event, &clean(&line))
}

/// What the broker forbade, as people say it; other events are shown as they are.
fn in_words(body: &str) -> Option<String> {
    match serde_json::from_str(body).ok()? {
        RegistryEvent::AccessDenied { principal, login, action, subject, count, since, .. } => {
            let who = match (principal, login.as_str()) {
                (Some(principal), _) => principal.to_string(),
                (None, "") => "somebody".to_owned(),
                (None, login) => format!("somebody with login {login}"),
            };
            let what = match action {
                DeniedAction::Publish => format!("may not publish to {subject}"),
                DeniedAction::Subscribe => format!("may not subscribe to {subject}"),
                DeniedAction::Login => format!("may not log in from {subject}"),
            };
            let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            Some(format!("denied: {who} {what} ({times} since {since})"))
        }
        RegistryEvent::DenialsSuppressed { count, .. } => {
            Some(format!("denied: {count} more, too many to tell of each"))
        }
        RegistryEvent::AgentRegistered { .. }
        | RegistryEvent::AgentStatusChanged { .. }
        | RegistryEvent::AgentStatusSet { .. }
        | RegistryEvent::AgentStatusReleased { .. }
        | RegistryEvent::AgentArchived { .. }
        | RegistryEvent::AgentDeregistered { .. }
        | RegistryEvent::AgentShared { .. }
        | RegistryEvent::AgentUnshared { .. }
        | RegistryEvent::PrincipalSeated { .. }
        | RegistryEvent::OrderTaken { .. }
        | RegistryEvent::InviteMade { .. }
        | RegistryEvent::InviteRedeemed { .. }
        | RegistryEvent::EnrolmentConfirmed { .. }
        | RegistryEvent::InviteAbused { .. }
        | RegistryEvent::KeysRotated { .. }
        | RegistryEvent::KeysRenewed { .. }
        | RegistryEvent::KeyRevoked { .. }
        | RegistryEvent::PrincipalEvicted { .. }
        | RegistryEvent::PrincipalBanned { .. }
        | RegistryEvent::RoleSet { .. }
        | RegistryEvent::TokenCreated { .. }
        | RegistryEvent::TokenRevoked { .. } => None,
    }
}

#[cfg(test)]
mod tests;
