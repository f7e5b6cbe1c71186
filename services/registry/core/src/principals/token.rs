//! A token: a bounded key, sealed under a secret that only its holder has.

use schemas::{Timestamp, enrolment::TokenView, key::KeyId};
use serde::{Deserialize, Serialize};

use super::keys::COUNTS_AFTER_END_S;

/// Most tokens of one principal that have not run out, revoked ones included.
pub const TOKENS_LIVING_MAX: usize = 100;
/// Most tokens of one principal that are remembered, those that have run out included.
pub(crate) const TOKENS_KEPT_MAX: usize = 400;

/// Everything that is remembered of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The token as others see it.
    pub view: TokenView,
    /// The key that vouches for the token's own.
    pub voucher: KeyId,
    /// The certificate of its key, in base64.
    pub certificate: String,
    /// Its secret key, sealed, in base64.
    pub sealed: String,
}

impl Token {
    /// Whether anything that was signed with it can still count.
    pub(super) fn can_count(&self, now: Timestamp) -> bool {
        now.seconds() < self.view.expires_at.seconds().saturating_add(COUNTS_AFTER_END_S)
    }

    /// Whether it may be used.
    #[must_use]
    pub fn is_living(&self, now: Timestamp) -> bool {
        self.view.revoked_at.is_none() && now < self.view.expires_at
    }
}
