//! What the registry may be asked to do.

use schemas::{
    PrincipalId,
    registry::{RegisterRequest, ReportDenialsRequest, Seat, UpdateStatusRequest, verb},
};

use crate::principals::{Redemption, SignedOrder};

/// Requests of principals, and what [`due`](decider::Decider::due) calls for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Announce an agent, or announce it differently.
    Register {
        /// Who announces it.
        caller: PrincipalId,
        /// What is announced.
        request: Box<RegisterRequest>,
    },
    /// Set a status by hand, or give it back to presence.
    UpdateStatus {
        /// Who sets it.
        caller: PrincipalId,
        /// Whose, and to what.
        request: UpdateStatusRequest,
    },
    /// Take an agent off the lists.
    Deregister {
        /// Who takes it off.
        caller: PrincipalId,
        /// Which agent.
        agent: PrincipalId,
    },
    /// Carry out a signed order.
    Order(Box<SignedOrder>),
    /// Let an invited one in.
    Redeem(Box<Redemption>),
    /// Give a principal a new login and current certificates.
    Renew {
        /// Who asks.
        caller: PrincipalId,
    },
    /// Take note of somebody whom nobody has to invite.
    Seat(Box<Seat>),
    /// Record what the broker forbade.
    ReportDenials {
        /// Who tells of it.
        caller: PrincipalId,
        /// What was forbidden.
        request: ReportDenialsRequest,
    },
    /// Show what presence says of an agent now.
    Review {
        /// Which agent.
        agent: PrincipalId,
    },
    /// Leave an agent out of the lists if it was offline too long.
    Archive {
        /// Which agent.
        agent: PrincipalId,
    },
}

impl Command {
    /// The word that names it in the record; one of the registry's verbs where a request causes it.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Register { .. } => verb::REGISTER,
            Self::UpdateStatus { .. } => verb::UPDATE_STATUS,
            Self::Deregister { .. } => verb::DEREGISTER,
            Self::Order(_) => verb::ORDER,
            Self::Redeem(_) => verb::REDEEM,
            Self::Renew { .. } => verb::RENEW,
            Self::Seat(_) => "seat",
            Self::ReportDenials { .. } => verb::REPORT_DENIALS,
            Self::Review { .. } => "review",
            Self::Archive { .. } => "archive",
        }
    }
}
