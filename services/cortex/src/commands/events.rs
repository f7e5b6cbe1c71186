//! `cortex events`: what a service recorded, and records.

use std::process::ExitCode;

use clap::Args;
use client::StartAt;
use schemas::{
    Cursor, Fault,
    feed::{EVENTS_VERB, EventsAnswer, EventsRequest, FeedEvent},
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
    let line = format!("{cursor}  {at}  {principal}  {kind} {id}  {}", body.get());
    session.printer.show_line(event, &clean(&line))
}
