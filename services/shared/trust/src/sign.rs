//! Signing: the counterpart of verification.
//!
//! **Invariant:** nothing is signed that a verifier would refuse whatever the time and recipient.

use crate::{
    anchors::ClusterName,
    envelope,
    error::{EnvelopeError, SignError},
    keys::SecretKey,
    kind::{Kind, Payload},
    scanner::scan,
};

/// Signs `claims` as an envelope of the kind `K` for one cluster.
///
/// # Errors
///
/// Refuses a key of another purpose, claims that no verifier accepts, and what grows too large.
pub fn sign<K: Kind>(
    claims: &K::Claims,
    cluster: &ClusterName,
    key: &SecretKey,
) -> Result<Vec<u8>, SignError> {
    let actual = key.public().purpose();
    if actual != K::PURPOSE {
        return Err(SignError::Purpose { actual, wanted: K::PURPOSE });
    }
    let payload = K::encode(claims);
    let bytes = payload.len();
    if K::BYTES_MAX < bytes {
        return Err(SignError::TooLarge { bytes, limit: K::BYTES_MAX });
    }
    check::<K>(&payload).map_err(SignError::Claims)?;
    let envelope = envelope::seal(K::TYPE, cluster, &payload, key);
    let bytes = envelope.len();
    if K::BYTES_MAX < bytes {
        return Err(SignError::TooLarge { bytes, limit: K::BYTES_MAX });
    }
    Ok(envelope)
}

/// Reads the claims back, as a verifier will.
fn check<K: Kind>(payload: &[u8]) -> Result<(), EnvelopeError> {
    let scanned = scan(payload, K::BYTES_MAX).map_err(EnvelopeError::Malformed)?;
    let claims = K::decode(Payload(scanned))?;
    let times = K::times(&claims);
    times.check_order()?;
    times.check_lifetime(K::LIFETIME_MAX_S)?;
    K::derive(&claims)?;
    Ok(())
}
