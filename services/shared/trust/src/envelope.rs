//! The envelope: COSE_Sign1 (RFC 9052) in one strict form.
//!
//! ```text
//! d2 84  bstr {1: -19, 3: type, 4: key id}  a0  bstr payload  bstr signature
//! ```
//!
//! **Invariant:** the signature covers type and cluster as external data, so it is worth nothing
//! for another type or in another cluster.
//! **Invariant:** nothing of the payload is interpreted here; it is only shown to be strict CBOR.

use std::collections::BTreeMap;

use crate::{
    anchors::ClusterName,
    cbor::{Integer, ScanError},
    encode,
    error::{EnvelopeError, HeaderError, ShapeError},
    keys::{KeyId, SIGNATURE_BYTES, SecretKey},
    reader::{Reader, WrongType},
    scanner::{Scanned, TAG_SIGN1, scan, scan_tagged},
};

/// Ed25519 among the COSE algorithms; -8 (EdDSA) is deprecated and not accepted.
const ALGORITHM_ED25519: Integer = Integer::Negative(18);
const HEADER_ALGORITHM: Integer = Integer::Unsigned(1);
const HEADER_TYPE: Integer = Integer::Unsigned(3);
const HEADER_KEY_ID: Integer = Integer::Unsigned(4);
const SIGNATURE_CONTEXT: &str = "Signature1";

/// The parts of one envelope, scanned but not yet believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    protected: Scanned<'a>,
    pub(crate) payload: Scanned<'a>,
    pub(crate) signature: &'a [u8; SIGNATURE_BYTES],
}

/// Takes an envelope of at most so many bytes apart; allocates nothing.
pub(crate) fn open(envelope: &[u8], bytes_max: usize) -> Result<Parts<'_>, EnvelopeError> {
    let outer = scan_tagged(envelope, bytes_max).map_err(EnvelopeError::Malformed)?;
    let mut reader = Reader::new(outer);
    if reader.array() != Ok(4) {
        return Err(ShapeError::NotFourParts.into());
    }
    let protected = reader.bytes().map_err(|_| ShapeError::ProtectedNotBytes)?;
    if reader.map() != Ok(0) {
        return Err(HeaderError::Unprotected.into());
    }
    let payload = reader.bytes().map_err(|_| ShapeError::PayloadNotBytes)?;
    let signature = reader.bytes().map_err(|_| ShapeError::SignatureLength)?;
    let signature = signature.try_into().map_err(|_| ShapeError::SignatureLength)?;
    let inner = |part| move |cause: ScanError| EnvelopeError::MalformedPart { part, cause };
    Ok(Parts {
        protected: scan(protected, bytes_max).map_err(inner("protected header"))?,
        payload: scan(payload, bytes_max).map_err(inner("payload"))?,
        signature,
    })
}

impl Parts<'_> {
    /// Compares the header with the only one that is allowed and returns its key id.
    pub(crate) fn key_id(&self, wanted_type: &'static str) -> Result<KeyId, HeaderError> {
        let mut reader = Reader::new(self.protected);
        if reader.map() != Ok(3) {
            return Err(HeaderError::NotThreeEntries);
        }
        let algorithm = entry(&mut reader, HEADER_ALGORITHM, Reader::integer);
        if algorithm != Ok(ALGORITHM_ED25519) {
            return Err(HeaderError::Algorithm);
        }
        if entry(&mut reader, HEADER_TYPE, Reader::text) != Ok(wanted_type) {
            return Err(HeaderError::Type { wanted: wanted_type });
        }
        let id = entry(&mut reader, HEADER_KEY_ID, Reader::byte_array);
        id.map(KeyId).map_err(|WrongType| HeaderError::KeyId)
    }

    /// The bytes that the signature covers (RFC 9052, section 4.4).
    pub(crate) fn signed_bytes(&self, content_type: &str, cluster: &ClusterName) -> Vec<u8> {
        signed_bytes(self.protected.bytes(), self.payload.bytes(), &context(content_type, cluster))
    }
}

/// Signs a payload that the caller encoded.
pub(crate) fn seal(
    content_type: &str,
    cluster: &ClusterName,
    payload: &[u8],
    key: &SecretKey,
) -> Vec<u8> {
    let protected = header(content_type, key.public().id());
    let signed = signed_bytes(&protected, payload, &context(content_type, cluster));
    let parts = [
        encode::bytes(&protected),
        encode::map(&BTreeMap::new()),
        encode::bytes(payload),
        encode::bytes(&key.sign(&signed)),
    ];
    let mut envelope = vec![TAG_SIGN1];
    envelope.extend(encode::array(parts));
    envelope
}

fn entry<'a, T>(
    reader: &mut Reader<'a>,
    key: Integer,
    value: impl FnOnce(&mut Reader<'a>) -> Result<T, WrongType>,
) -> Result<T, WrongType> {
    if reader.integer()? == key { value(reader) } else { Err(WrongType) }
}

fn header(content_type: &str, key_id: KeyId) -> Vec<u8> {
    encode::map(&BTreeMap::from([
        (HEADER_ALGORITHM, encode::integer(ALGORITHM_ED25519)),
        (HEADER_TYPE, encode::text(content_type)),
        (HEADER_KEY_ID, encode::bytes(&key_id.0)),
    ]))
}

fn context(content_type: &str, cluster: &ClusterName) -> Vec<u8> {
    encode::array([encode::text(content_type), encode::text(cluster.as_str())])
}

fn signed_bytes(protected: &[u8], payload: &[u8], context: &[u8]) -> Vec<u8> {
    encode::array([
        encode::text(SIGNATURE_CONTEXT),
        encode::bytes(protected),
        encode::bytes(context),
        encode::bytes(payload),
    ])
}
