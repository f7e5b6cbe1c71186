//! What was pushed to the broker while it ran: the account as its directory holds it.
//!
//! **Invariant:** only what our operator's own key signed of our own account is believed.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use schemas::Fault;
use serde::Deserialize;
use trust::nats::{Jwt, NkeyKind, PublicNkey};

use crate::files::read_if_there;

/// An account's JWT as the broker keeps it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pushed {
    /// When it was signed, in seconds since the Unix epoch.
    pub(super) issued_at_s: u64,
    /// Users that are out, and until which second what was signed for them is void.
    pub(super) revocations: BTreeMap<PublicNkey, u64>,
}

#[derive(Deserialize)]
struct Claims {
    nats: Body,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    revocations: BTreeMap<String, u64>,
}

impl Pushed {
    /// What `directory` holds of `account`; nothing when there is nothing to be believed.
    pub(super) fn read(
        directory: &Path,
        account: &str,
        signer: &PublicNkey,
    ) -> Result<Self, Fault> {
        let path = directory.join(format!("{account}.jwt"));
        let Some(text) = read_if_there(&path)? else { return Ok(Self::default()) };
        let Some(pushed) = Self::parse(text.trim(), account, signer) else {
            // The broker may have died while it wrote it; whoever keeps the revocations pushes again.
            tracing::warn!(path = %path.display(), "the broker's copy of the account is of no use");
            return Ok(Self::default());
        };
        Ok(pushed)
    }

    fn parse(text: &str, account: &str, signer: &PublicNkey) -> Option<Self> {
        let (_, summary) = Jwt::parse(text).ok()?;
        if summary.subject != account || summary.issuer != signer.as_str() {
            return None;
        }
        let body = URL_SAFE_NO_PAD.decode(text.split('.').nth(1)?).ok()?;
        let Claims { nats } = serde_json::from_slice(&body).ok()?;
        let known = |(key, at_s): (String, u64)| {
            Some((PublicNkey::parse(NkeyKind::User, &key).ok()?, at_s))
        };
        let revocations = nats.revocations.into_iter().filter_map(known).collect();
        Some(Self { issued_at_s: summary.issued_at_s, revocations })
    }
}

#[cfg(test)]
mod tests;
