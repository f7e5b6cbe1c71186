//! Envelopes put together by hand, part by part, so that each part can be spelled wrongly and
//! still be signed.

use ed25519_dalek::{Signer as _, SigningKey};
use schemas::claims::{ASSIGNMENT_TYPE, REQUEST_TYPE};
use trust::PublicKey;

use crate::{
    cbor,
    support::{NOW_S, World},
};

/// Claims in the order in which they are written: key and encoded value.
pub(crate) type Claims = Vec<(i64, Vec<u8>)>;

pub(crate) const ISS: i64 = 1;
pub(crate) const SUB: i64 = 2;
pub(crate) const AUD: i64 = 3;
pub(crate) const EXP: i64 = 4;
pub(crate) const NBF: i64 = 5;
pub(crate) const IAT: i64 = 6;
pub(crate) const CTI: i64 = 7;
pub(crate) const SPEC: i64 = -65537;
pub(crate) const GRANTS: i64 = -65538;
pub(crate) const PARTITION: i64 = -65541;

/// The claims of [`crate::support::request`].
pub(crate) fn claims() -> Claims {
    vec![
        (ISS, cbor::text("alice")),
        (SUB, cbor::text("alice")),
        (AUD, cbor::text("node:node-1")),
        (EXP, cbor::unsigned(NOW_S + 3600)),
        (NBF, cbor::unsigned(NOW_S)),
        (IAT, cbor::unsigned(NOW_S)),
        (CTI, cbor::bytes(&[7; 16])),
        (SPEC, cbor::text(r#"{"work":{"kind":"echo","text":"hi"}}"#)),
        (PARTITION, cbor::unsigned(0)),
    ]
}

/// The good claims with one of them changed or, where it is optional, added in its place.
pub(crate) fn claims_with(key: i64, value: Vec<u8>) -> Claims {
    let mut claims: Claims = claims().into_iter().filter(|(known, _)| *known != key).collect();
    claims.push((key, value));
    claims.sort_by_key(|(key, _)| (*key < 0, key.unsigned_abs()));
    claims
}

/// Claims as a map, in the order in which they are given.
pub(crate) fn payload(claims: &Claims) -> Vec<u8> {
    let entry = |(key, value): &(i64, Vec<u8>)| (cbor::integer(*key), value.clone());
    cbor::map(&claims.iter().map(entry).collect::<Vec<_>>())
}

/// The protected header of the profile.
pub(crate) fn header(algorithm: i64, content_type: &str, key_id: &[u8]) -> Vec<u8> {
    cbor::map(&[
        (cbor::integer(1), cbor::integer(algorithm)),
        (cbor::integer(3), cbor::text(content_type)),
        (cbor::integer(4), cbor::bytes(key_id)),
    ])
}

/// The bytes of a key's id.
pub(crate) fn key_id(key: &PublicKey) -> Vec<u8> {
    crate::support::unhex(&key.id().to_string())
}

/// What RFC 9052 has signed.
pub(crate) fn signed_bytes(context: &str, parts: [&[u8]; 3]) -> Vec<u8> {
    let [protected, external, payload] = parts.map(cbor::bytes);
    cbor::array(&[cbor::text(context), protected, external, payload])
}

/// The external data of the profile.
pub(crate) fn external(content_type: &str, cluster: &str) -> Vec<u8> {
    cbor::array(&[cbor::text(content_type), cbor::text(cluster)])
}

/// An envelope before it is signed.
#[derive(Clone)]
pub(crate) struct Draft {
    /// The content of the protected header's byte string.
    pub(crate) protected: Vec<u8>,
    /// The content of the payload's byte string.
    pub(crate) payload: Vec<u8>,
    pub(crate) external: Vec<u8>,
    /// The entropy of the key that signs is this byte, 32 times.
    pub(crate) seed: u8,
}

impl Draft {
    /// A request by `alice` with these claims.
    pub(crate) fn of(claims: &Claims) -> Self {
        let alice = key_id(World::new().alice.public());
        Self {
            protected: header(-19, REQUEST_TYPE, &alice),
            payload: payload(claims),
            external: external(REQUEST_TYPE, "test"),
            seed: 1,
        }
    }

    /// The good request.
    pub(crate) fn request() -> Self {
        Self::of(&claims())
    }

    /// Claims as an assignment by `scheduler`.
    pub(crate) fn assignment(claims: &Claims) -> Self {
        let scheduler = key_id(World::new().scheduler.public());
        Self {
            protected: header(-19, ASSIGNMENT_TYPE, &scheduler),
            payload: payload(claims),
            external: external(ASSIGNMENT_TYPE, "test"),
            seed: 2,
        }
    }

    pub(crate) fn protected(self, protected: Vec<u8>) -> Self {
        Self { protected, ..self }
    }

    pub(crate) fn payload(self, payload: Vec<u8>) -> Self {
        Self { payload, ..self }
    }

    /// What the signature covers.
    pub(crate) fn message(&self) -> Vec<u8> {
        signed_bytes("Signature1", [&self.protected, &self.external, &self.payload])
    }

    pub(crate) fn signature(&self) -> [u8; 64] {
        sign(self.seed, &self.message())
    }

    /// The four parts, encoded.
    pub(crate) fn parts(&self) -> [Vec<u8>; 4] {
        [
            cbor::bytes(&self.protected),
            cbor::map(&[]),
            cbor::bytes(&self.payload),
            cbor::bytes(&self.signature()),
        ]
    }

    pub(crate) fn seal(&self) -> Vec<u8> {
        tagged(&self.parts())
    }

    /// The envelope with one of its four parts encoded otherwise.
    pub(crate) fn seal_with(&self, part: usize, encoded: Vec<u8>) -> Vec<u8> {
        let mut parts = self.parts();
        parts[part] = encoded;
        tagged(&parts)
    }
}

/// Tag 18 around an array of these items.
pub(crate) fn tagged(parts: &[Vec<u8>]) -> Vec<u8> {
    [vec![0xd2], cbor::array(parts)].concat()
}

/// What the key of this seed signs, whatever it is.
pub(crate) fn sign(seed: u8, message: &[u8]) -> [u8; 64] {
    SigningKey::from_bytes(&[seed; 32]).sign(message).to_bytes()
}
