//! `cortex task chain`: which tasks asked for one another.

use client::Client;
use schemas::{
    Fault, TaskId,
    scheduler::{ChainAnswer, ChainLink, TaskRequest, verb},
    subject::ServiceName::Scheduler,
};

use super::Session;
use crate::output::{Column, Listing, Row};

/// Shows where a task came from and what came of it.
pub(super) async fn show(session: &Session, client: &Client, id: TaskId) -> Result<(), Fault> {
    let request = TaskRequest { id };
    let answer: ChainAnswer = client.request(Scheduler, verb::CHAIN, &request).await?;
    let columns = [
        Column::Usual("TASK"),
        Column::Usual("STATE"),
        Column::Usual("ASKED BY"),
        Column::Usual("FOR"),
        Column::Usual("NODE"),
        Column::Usual("WORK"),
        Column::Wide("GRANTS"),
    ];
    let depth = answer.ancestors.len();
    let ancestors = answer.ancestors.iter().enumerate().map(|(depth, link)| row(link, depth));
    let children = answer.children.iter().map(|link| row(link, depth));
    session.printer.show(&answer, &Listing::new(&columns, ancestors.chain(children)))
}

/// Each task stands two places right of the one that asked for it.
fn row(link: &ChainLink, depth: usize) -> Row {
    let ChainLink { task, state, issuer, subject, audience: _, node, grants, summary } = link;
    let cells = vec![
        format!("{}{task}", "  ".repeat(depth)),
        state.as_str().to_owned(),
        issuer.to_string(),
        subject.to_string(),
        node.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        summary.clone(),
        if grants.is_nothing() {
            String::new()
        } else {
            serde_json::to_string(grants).unwrap_or_default()
        },
    ];
    Row { name: task.to_string(), cells }
}
