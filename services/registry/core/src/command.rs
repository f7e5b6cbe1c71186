//! What the registry may be asked to do.

use schemas::{
    PrincipalId,
    registry::{RegisterRequest, UpdateStatusRequest, verb},
};

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
            Self::Review { .. } => "review",
            Self::Archive { .. } => "archive",
        }
    }
}
