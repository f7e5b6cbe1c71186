//! Why a change of whom others trust is refused.

use schemas::{
    Capability, ErrorCode, Fault, PrincipalId, Timestamp,
    key::{KeyId, KeyPurpose},
    principal::Standing,
};

/// Why a change of whom others trust is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none, or its secret is another: whoever does not know the secret learns nothing.
    #[error("there is no invite {invite} with that secret")]
    InviteUnknown {
        /// Which.
        invite: String,
    },
    /// It was good until then.
    #[error("invite {invite} ended at {ended_at}")]
    InviteExpired {
        /// Which.
        invite: String,
        /// When.
        ended_at: Timestamp,
    },
    /// Other keys redeemed it.
    #[error("invite {invite} was redeemed with other keys")]
    InviteUsed {
        /// Which.
        invite: String,
    },
    /// Nobody of that name ever came in.
    #[error("{principal} is not enrolled")]
    PrincipalNotFound {
        /// Who.
        principal: PrincipalId,
    },
    /// The name is somebody's, is promised to somebody, or is no name for a principal.
    #[error("{principal} is taken")]
    PrincipalTaken {
        /// Who.
        principal: PrincipalId,
    },
    /// They were put out.
    #[error("{principal} is {standing}")]
    PrincipalOut {
        /// Who.
        principal: PrincipalId,
        /// How.
        standing: Standing,
    },
    /// They have not shown yet that they kept what they were given.
    #[error("{principal} has redeemed its invite and not been heard since")]
    NotConfirmed {
        /// Who.
        principal: PrincipalId,
    },
    /// They have no right to it.
    #[error("{who} may not {what}")]
    Forbidden {
        /// Who.
        who: PrincipalId,
        /// What they asked for, for example `ban bob`.
        what: String,
    },
    /// Nobody would be left who could let an admin in.
    #[error("{person} is the last admin")]
    LastAdmin {
        /// Who.
        person: PrincipalId,
    },
    /// A principal must have some.
    #[error("the key set of {principal} is empty")]
    NoKeys {
        /// Who.
        principal: PrincipalId,
    },
    /// The key is not in use by the one who signed.
    #[error("key {key} is no current key of {principal}")]
    KeyNotCurrent {
        /// Which.
        key: KeyId,
        /// Whose it should be.
        principal: PrincipalId,
    },
    /// The key is out of use.
    #[error("key {key} is revoked")]
    KeyRevoked {
        /// Which.
        key: KeyId,
    },
    /// It was certified before; nothing is certified twice.
    #[error("key {key} was certified before; make a new one")]
    KeyUsedBefore {
        /// Which.
        key: KeyId,
    },
    /// Somebody logged in with it before.
    #[error("login {login} was somebody's before; make a new one")]
    LoginUsedBefore {
        /// Which.
        login: String,
    },
    /// The key is for something that the principal does not do.
    #[error("{principal} gets no {purpose} key")]
    KeyPurpose {
        /// What it is for.
        purpose: KeyPurpose,
        /// Who.
        principal: PrincipalId,
    },
    /// Nobody has it.
    #[error("nobody has key {key}")]
    KeyUnknown {
        /// Which.
        key: KeyId,
    },
    /// The invite did not allow it.
    #[error("the invite of {principal} does not allow it to advertise {capability}")]
    ManifestExceedsInvite {
        /// Who.
        principal: PrincipalId,
        /// The first entry that goes too far.
        capability: Capability,
    },
    /// The token cannot be made or used.
    #[error("token {token} {problem}")]
    TokenInvalid {
        /// Its id.
        token: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A bound that keeps one principal from filling what all share.
    #[error("there are {limit} {what}, which is the most that can be")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}

impl Refusal {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InviteUnknown { .. } => ErrorCode::InviteUnknown,
            Self::InviteExpired { .. } => ErrorCode::InviteExpired,
            Self::InviteUsed { .. } => ErrorCode::InviteUsed,
            Self::PrincipalNotFound { .. } => ErrorCode::PrincipalNotFound,
            Self::PrincipalTaken { .. } => ErrorCode::PrincipalTaken,
            Self::PrincipalOut { .. } => ErrorCode::PrincipalOut,
            Self::NotConfirmed { .. }
            | Self::Forbidden { .. }
            | Self::LastAdmin { .. }
            | Self::TooMany { .. } => ErrorCode::NotAllowed,
            Self::KeyNotCurrent { .. }
            | Self::KeyUsedBefore { .. }
            | Self::LoginUsedBefore { .. }
            | Self::KeyPurpose { .. } => ErrorCode::KeyNotValid,
            Self::NoKeys { .. } => ErrorCode::InvalidValue,
            Self::KeyRevoked { .. } => ErrorCode::KeyRevoked,
            Self::KeyUnknown { .. } => ErrorCode::KeyUnknown,
            Self::ManifestExceedsInvite { .. } => ErrorCode::ManifestExceedsInvite,
            Self::TokenInvalid { .. } => ErrorCode::TokenInvalid,
        }
    }

    /// What to do about it, where the code's own hint does not fit.
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotConfirmed { .. } => Some("renew its login once under its own name"),
            Self::LastAdmin { .. } => Some("make somebody else an admin first"),
            Self::TooMany { .. } => Some("end some of them first"),
            Self::KeyUsedBefore { .. } | Self::LoginUsedBefore { .. } => {
                Some("make new keys; none is certified twice")
            }
            Self::InviteUnknown { .. }
            | Self::InviteExpired { .. }
            | Self::InviteUsed { .. }
            | Self::PrincipalNotFound { .. }
            | Self::PrincipalTaken { .. }
            | Self::PrincipalOut { .. }
            | Self::Forbidden { .. }
            | Self::NoKeys { .. }
            | Self::KeyNotCurrent { .. }
            | Self::KeyRevoked { .. }
            | Self::KeyPurpose { .. }
            | Self::KeyUnknown { .. }
            | Self::ManifestExceedsInvite { .. }
            | Self::TokenInvalid { .. } => None,
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let fault = Self::new(refusal.code(), refusal.to_string());
        match refusal.hint() {
            Some(hint) => fault.with_hint(hint),
            None => fault,
        }
    }
}
