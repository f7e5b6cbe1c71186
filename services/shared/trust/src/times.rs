//! When claims are valid: the rules that every kind of envelope shares.
//!
//! **Invariant:** no sum of times overflows, whatever was signed.

use schemas::Timestamp;

use crate::{CLOCK_SKEW_S, claims::ClaimsError, error::EnvelopeError};

/// When claims are valid, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub(crate) issued_at_s: u64,
    pub(crate) not_before_s: u64,
    /// The first second in which they are not valid any more.
    pub(crate) expires_at_s: u64,
}

impl Times {
    pub(crate) fn check_order(self) -> Result<(), ClaimsError> {
        let ordered =
            self.issued_at_s <= self.not_before_s && self.not_before_s < self.expires_at_s;
        if ordered { Ok(()) } else { Err(ClaimsError::TimesOutOfOrder) }
    }

    pub(crate) fn check_lifetime(self, limit_s: u64) -> Result<(), EnvelopeError> {
        let lifetime_s = self.expires_at_s.saturating_sub(self.issued_at_s);
        if limit_s < lifetime_s {
            return Err(EnvelopeError::LifetimeTooLong { lifetime_s, limit_s });
        }
        Ok(())
    }

    pub(crate) fn check_clock(self, now: Timestamp) -> Result<(), EnvelopeError> {
        let now_s = now.seconds();
        if now_s.saturating_add(CLOCK_SKEW_S) < self.not_before_s {
            return Err(EnvelopeError::NotYetValid { from_s: self.not_before_s, now_s });
        }
        if self.expires_at_s.saturating_add(CLOCK_SKEW_S) <= now_s {
            return Err(EnvelopeError::Expired { expires_at_s: self.expires_at_s, now_s });
        }
        Ok(())
    }
}
