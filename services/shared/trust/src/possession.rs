//! Proof that somebody has the secret halves of the keys that they hand in.
//!
//! Every key of a set signs the same bytes: the cluster, what the set is for, and the whole set. So
//! no key can be taken out of one set into another, nor a set from one invite to another.
//!
//! **Invariant:** the signed bytes begin unlike anything else that these keys sign: not like a COSE
//! structure, a JWT, a checkpoint or a broker's nonce.

use std::collections::BTreeSet;

use schemas::{
    ErrorCode, Fault, PrincipalId, Sha256Hash,
    enrolment::KeySet,
    key::{KeyOffer, PublicKeyBytes},
};

use crate::{
    anchors::ClusterName,
    encode,
    error::with_causes,
    keys::{KeyError, PublicKey, Purpose, SIGNATURE_BYTES, SecretKey, verify_strict},
    nats::{InvalidNkey, Nkey, NkeyKind, PublicNkey},
    text::{base64, from_base64},
};

const DOMAIN: &str = "cortex/possession/v1";

/// What keys are handed in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Possession<'a> {
    /// To redeem an invite.
    Invite {
        /// Which.
        invite: &'a str,
        /// SHA-256 of its secret.
        secret_hash: Sha256Hash,
    },
    /// To take the place of a principal's keys.
    Rotation {
        /// Whose.
        principal: &'a PrincipalId,
    },
}

/// Why a set of keys is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PossessionError {
    #[error("the login key is none")]
    Login(#[source] InvalidNkey),
    #[error("the key set is empty")]
    Empty,
    #[error("{proofs} proofs came with {keys} keys")]
    Count { keys: usize, proofs: usize },
    #[error("the keys are not in the order of their purposes, each once")]
    Order,
    #[error("a {purpose} key is not for principals to have")]
    Purpose { purpose: Purpose },
    #[error("the {purpose} key cannot be used")]
    Key {
        purpose: Purpose,
        #[source]
        cause: KeyError,
    },
    #[error("the {purpose} key is used for something else too")]
    Shared { purpose: Purpose },
    #[error("the {key} key has not signed this set for this use")]
    Proof { key: String },
}

impl PossessionError {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Key { cause, .. } => cause.code(),
            Self::Login(_)
            | Self::Empty
            | Self::Count { .. }
            | Self::Order
            | Self::Purpose { .. }
            | Self::Shared { .. }
            | Self::Proof { .. } => ErrorCode::PossessionUnproven,
        }
    }

    /// The answer to whoever handed the keys in, with all causes in its message.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        Fault::new(self.code(), with_causes(self))
    }
}

/// Signs a set with all of its keys. `keys` may come in any order.
#[must_use]
pub fn prove_possession(
    cluster: &ClusterName,
    possession: &Possession<'_>,
    login: &Nkey,
    keys: &[&SecretKey],
) -> KeySet {
    let mut keys = keys.to_vec();
    keys.sort_by_key(|key| key.public().purpose());
    let offer = |key: &&SecretKey| KeyOffer {
        purpose: key.public().purpose(),
        key: PublicKeyBytes(*key.public().as_bytes()),
    };
    let offers: Vec<KeyOffer> = keys.iter().map(offer).collect();
    let login_text = login.public().to_string();
    let message = message(cluster, possession, &login_text, &offers);
    KeySet {
        login: login_text,
        login_proof: base64(&login.sign(&message)),
        keys: offers,
        proofs: keys.iter().map(|key| base64(&key.sign(&message))).collect(),
    }
}

/// Whether whoever hands in the set has all of its keys, and made it for this use; returns them.
///
/// # Errors
///
/// Refuses weak keys, purposes that principals do not have, a purpose that is there twice, a key
/// that serves twice, and a set of which any key has not signed the whole.
pub fn check_possession(
    cluster: &ClusterName,
    possession: &Possession<'_>,
    set: &KeySet,
) -> Result<Vec<PublicKey>, PossessionError> {
    let login = PublicNkey::parse(NkeyKind::User, &set.login).map_err(PossessionError::Login)?;
    let keys = check_keys(set, login.bytes())?;
    let message = message(cluster, possession, &set.login, &set.keys);
    let unproven = |key: &dyn ToString| PossessionError::Proof { key: key.to_string() };
    let proof = signature(&set.login_proof).ok_or_else(|| unproven(&"login"))?;
    if !verify_strict(&login.bytes(), &message, &proof) {
        return Err(unproven(&"login"));
    }
    for (key, proof) in keys.iter().zip(&set.proofs) {
        let proven = signature(proof).is_some_and(|proof| key.verifies(&message, &proof));
        if !proven {
            return Err(unproven(&key.purpose()));
        }
    }
    Ok(keys)
}

fn check_keys(set: &KeySet, login: [u8; 32]) -> Result<Vec<PublicKey>, PossessionError> {
    let (keys, proofs) = (set.keys.len(), set.proofs.len());
    if keys == 0 {
        return Err(PossessionError::Empty);
    }
    if keys != proofs {
        return Err(PossessionError::Count { keys, proofs });
    }
    if !set.keys.is_sorted_by(|a, b| a.purpose < b.purpose) {
        return Err(PossessionError::Order);
    }
    let mut seen = BTreeSet::from([login]);
    let mut checked = Vec::with_capacity(keys);
    for KeyOffer { purpose, key } in &set.keys {
        let purpose = *purpose;
        match purpose {
            Purpose::Enrolment | Purpose::Root => return Err(PossessionError::Purpose { purpose }),
            Purpose::TaskIssuer
            | Purpose::Scheduler
            | Purpose::NodeLog
            | Purpose::Checkpoint
            | Purpose::Cosigner => (),
        }
        let key = PublicKey::from_bytes(purpose, &key.0)
            .map_err(|cause| PossessionError::Key { purpose, cause })?;
        if !seen.insert(*key.as_bytes()) {
            return Err(PossessionError::Shared { purpose });
        }
        checked.push(key);
    }
    Ok(checked)
}

fn signature(text: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    from_base64(text)?.try_into().ok()
}

fn message(
    cluster: &ClusterName,
    possession: &Possession<'_>,
    login: &str,
    keys: &[KeyOffer],
) -> Vec<u8> {
    let context = match possession {
        Possession::Invite { invite, secret_hash } => encode::array([
            encode::text("invite"),
            encode::text(invite),
            encode::bytes(&secret_hash.0),
        ]),
        Possession::Rotation { principal } => {
            encode::array([encode::text("rotation"), encode::text(principal.as_str())])
        }
    };
    let key = |offer: &KeyOffer| {
        encode::array([encode::text(offer.purpose.as_str()), encode::bytes(&offer.key.0)])
    };
    encode::array([
        encode::text(DOMAIN),
        encode::text(cluster.as_str()),
        context,
        encode::text(login),
        encode::array(keys.iter().map(key)),
    ])
}

#[cfg(test)]
mod tests;
