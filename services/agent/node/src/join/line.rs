//! The one line that lets a machine in: where the cluster is, whom to trust there, and a secret that
//! is good for one redemption.
//!
//! **Invariant:** neither an error nor debugging text shows any part of a line.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use schemas::{PrincipalId, key::PublicKeyBytes, principal::PrincipalKind};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What every line begins with.
const PREFIX: &str = "cortex-invite-1.";
/// Longest line, in bytes: a few certificates of an authority are most of it.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What an invite line says.
#[derive(Clone)]
pub struct InviteLine {
    /// One address of the broker or several with commas; `tls://` and `wss://` as well.
    pub url: String,
    /// The authority that the broker's certificate must come from, as PEM; none for one that is
    /// known to the machine, or for a broker without TLS.
    pub ca: Option<String>,
    /// What every signature is bound to.
    pub cluster: String,
    /// The one key that the new member pins.
    pub root: RootKey,
    /// Who comes in.
    pub principal: PrincipalId,
    /// As what.
    pub kind: PrincipalKind,
    /// Names the invite.
    pub invite: String,
    /// Good for one redemption; in base64.
    pub secret: Zeroizing<String>,
    /// What the redeemer logs in with.
    pub jwt: String,
    /// The redeemer's seed.
    pub seed: Zeroizing<String>,
}

/// The key that vouches for all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootKey {
    /// Its bytes.
    pub key: PublicKeyBytes,
    /// Whose it is, as certificates name it.
    #[serde(default = "root_principal")]
    pub principal: PrincipalId,
}

/// Why a text is no invite line. It is not repeated: it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLine {
    /// It begins differently.
    #[error("it does not begin with {PREFIX}")]
    Prefix,
    /// It is longer than any line.
    #[error("it is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// It was cut or changed.
    #[error("it is cut off or was changed on its way")]
    Damaged,
    /// A part of it makes no sense.
    #[error("its {0} cannot be used")]
    Part(&'static str),
}

/// The line's JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
    cluster: String,
    root: RootKey,
    principal: PrincipalId,
    kind: PrincipalKind,
    invite: String,
    secret: String,
    jwt: String,
    seed: String,
}

fn root_principal() -> PrincipalId {
    PrincipalId::parse("root").expect("it is an id")
}

impl InviteLine {
    /// Reads what [`InviteLine::to_text`] wrote; spaces and line breaks around it do not matter.
    ///
    /// # Errors
    ///
    /// See [`InvalidLine`].
    pub fn parse(text: &str) -> Result<Self, InvalidLine> {
        let text = text.trim();
        if LINE_BYTES_MAX < text.len() {
            return Err(InvalidLine::TooLong);
        }
        let body = text.strip_prefix(PREFIX).ok_or(InvalidLine::Prefix)?;
        let json = URL_SAFE_NO_PAD.decode(body).map_err(|_| InvalidLine::Damaged)?;
        let json = Zeroizing::new(json);
        let written: Written = serde_json::from_slice(&json).map_err(|_| InvalidLine::Damaged)?;
        let Written { url, ca, cluster, root, principal, kind, invite, secret, jwt, seed } =
            written;
        let (secret, seed) = (Zeroizing::new(secret), Zeroizing::new(seed));
        let is_invite =
            invite.len() == 32 && invite.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_invite {
            return Err(InvalidLine::Part("invite"));
        }
        if url.is_empty() {
            return Err(InvalidLine::Part("url"));
        }
        Ok(Self { url, ca, cluster, root, principal, kind, invite, secret, jwt, seed })
    }

    /// The line.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let Self { url, ca, cluster, root, principal, kind, invite, secret, jwt, seed } = self;
        let written = Written {
            url: url.clone(),
            ca: ca.clone(),
            cluster: cluster.clone(),
            root: root.clone(),
            principal: principal.clone(),
            kind: *kind,
            invite: invite.clone(),
            secret: secret.to_string(),
            jwt: jwt.clone(),
            seed: seed.to_string(),
        };
        let json = serde_json::to_vec(&written).expect("names and texts always encode");
        let json = Zeroizing::new(json);
        let mut text = Zeroizing::new(PREFIX.to_owned());
        URL_SAFE_NO_PAD.encode_string(&*json, &mut text);
        text
    }

    /// As whom the invite is redeemed.
    #[must_use]
    pub fn redeemer(&self) -> PrincipalId {
        PrincipalId::parse(&format!("invite-{}", self.invite))
            .expect("32 hexadecimal digits after a word are an id")
    }
}

impl fmt::Debug for InviteLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invite {} of {} to {}", self.invite, self.principal, self.cluster)
    }
}

#[cfg(test)]
mod tests;
