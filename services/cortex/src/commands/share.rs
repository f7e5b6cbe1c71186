//! `cortex agent share` and `unshare`: who else may see and task an agent.

use clap::Args;
use schemas::{PrincipalId, enrolment::Order, manifest::PrincipalPattern};

use super::{Outcome, Session, order, parse};

/// Which agent, and with whom.
#[derive(Debug, Args)]
pub struct ShareArgs {
    /// Which agent.
    agent: PrincipalId,
    /// A principal, `prefix-*`, or `*` for everybody.
    #[arg(value_parser = parse::principals)]
    with: PrincipalPattern,
}

impl ShareArgs {
    /// Lets them.
    pub(super) async fn share(self, session: &Session) -> Outcome {
        let Self { agent, with } = self;
        let said = [("agent", agent.to_string()), ("shared with", with.as_str().to_owned())];
        order::carry(session, Order::Share { agent, with }, &said).await
    }

    /// Lets them no more.
    pub(super) async fn unshare(self, session: &Session) -> Outcome {
        let Self { agent, with } = self;
        let said = [("agent", agent.to_string()), ("no longer with", with.as_str().to_owned())];
        order::carry(session, Order::Unshare { agent, with }, &said).await
    }
}
