//! Who there is: people, agents and services, and what people may do.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a principal is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PrincipalKind {
    /// A user.
    Person,
    /// An agent with its node.
    Agent,
    /// A part of the control plane.
    Service,
}

/// What a person may do beyond their own agents and tasks.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum UserRole {
    /// Everything, also change whom the others trust.
    Admin,
    /// See and task every agent, end every task.
    Operator,
    /// See everything, change nothing.
    Auditor,
    /// See and task what is theirs or was shared with them.
    User,
}

impl UserRole {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Operator, Self::Auditor, Self::User];

    /// The word that names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::User => "user",
        }
    }

    /// The role that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Whether everything may be seen, whosever it is.
    #[must_use]
    pub fn sees_everything(self) -> bool {
        match self {
            Self::Admin | Self::Operator | Self::Auditor => true,
            Self::User => false,
        }
    }

    /// Whether every agent may be tasked and every task ended.
    #[must_use]
    pub fn tasks_everything(self) -> bool {
        match self {
            Self::Admin | Self::Operator => true,
            Self::Auditor | Self::User => false,
        }
    }
}

impl fmt::Display for UserRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a principal may take part.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It redeemed its invite, and has not shown yet that it kept what it was given.
    Pending,
    /// It may.
    Active,
    /// It was put out, and may come back with a new invite.
    Evicted,
    /// It was put out for good; its keys are refused for ever.
    Banned,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Evicted => "evicted",
            Self::Banned => "banned",
        })
    }
}
