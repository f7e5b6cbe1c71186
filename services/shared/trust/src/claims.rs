//! Claims as CBOR maps: the registered CWT numbers (RFC 8392), and ours from the private range.
//!
//! **Invariant:** a claim that is not in the list is refused, so no signer can mean more than the
//! verifier understands.
//! **Invariant:** what decodes encodes to the same bytes.

mod standing;

use std::{collections::BTreeMap, fmt::Display};

use schemas::{
    Audience, PrincipalId, Sha256Hash, TaskId,
    claims::{AssignmentClaims, RequestClaims},
    grants::Grants,
    hex, strict,
};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use crate::{
    cbor::{Head, Integer},
    encode,
    reader::{Reader, WrongType},
    scanner::Scanned,
};

pub(crate) use standing::{
    decode_certificate, decode_order, decode_roster, encode_certificate, encode_order,
    encode_roster,
};

/// Longest trace context, in bytes; W3C's `traceparent` has 55.
pub const TRACE_BYTES_MAX: usize = 64;

const TASK_ID_DOMAIN: &[u8] = b"cortex/task/v1";

/// One claim: its key in the map, and its name in messages.
#[derive(Clone, Copy)]
struct Claim {
    key: Integer,
    name: &'static str,
}

const fn registered(key: u64, name: &'static str) -> Claim {
    Claim { key: Integer::Unsigned(key), name }
}

/// CWT keeps the integers below -65536 for private use; the first of them has index 0.
const fn private(index: u64, name: &'static str) -> Claim {
    Claim { key: Integer::Negative(0x1_0000 + index), name }
}

const ISSUER: Claim = registered(1, "iss");
const SUBJECT: Claim = registered(2, "sub");
const AUDIENCE: Claim = registered(3, "aud");
const EXPIRES: Claim = registered(4, "exp");
const NOT_BEFORE: Claim = registered(5, "nbf");
const ISSUED: Claim = registered(6, "iat");
const NONCE: Claim = registered(7, "cti");
const SPEC: Claim = private(0, "spec");
const GRANTS: Claim = private(1, "grants");
const PARENT: Claim = private(2, "parent");
const TRACE: Claim = private(3, "trace");
const PARTITION: Claim = private(4, "partition");
const TASK: Claim = private(5, "task");
const REQUEST_HASH: Claim = private(6, "request-hash");
const NODE: Claim = private(7, "node");
const EPOCH: Claim = private(8, "epoch");
const ATTEMPT: Claim = private(9, "attempt");
const TERM: Claim = private(10, "term");
const KEY: Claim = private(11, "key");
const PURPOSE: Claim = private(12, "purpose");
const BOUNDS: Claim = private(13, "bounds");
const ORDER: Claim = private(14, "order");
const VERSION: Claim = private(15, "version");
const REVOKED: Claim = private(16, "revoked");
const OVERSEERS: Claim = private(17, "overseers");
const ACCESS: Claim = private(18, "access");

/// How claims differ from what their type has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    #[error("they are not a map")]
    NotAMap,
    #[error("claim {key} is unknown here")]
    Unknown { key: String },
    #[error("claim {claim} is missing")]
    Missing { claim: &'static str },
    #[error("claim {claim} has the wrong type or range")]
    WrongType { claim: &'static str },
    #[error("claim {claim} has no valid value: {problem}")]
    WrongValue { claim: &'static str, problem: String },
    #[error("issued, not-before and expiry are not in that order")]
    TimesOutOfOrder,
}

/// The id of the task that a request asks for: submitting it twice is the same task.
///
/// It is the first 16 bytes of SHA-256 over `cortex/task/v1`, the issuer's length as one byte, the
/// issuer and the nonce, in hexadecimal.
#[must_use]
pub fn task_id(issuer: &PrincipalId, nonce: &[u8; 16]) -> TaskId {
    let length = u8::try_from(issuer.as_str().len()).expect("an id has at most 63 bytes");
    let digest = Sha256::new()
        .chain_update(TASK_ID_DOMAIN)
        .chain_update([length])
        .chain_update(issuer.as_str())
        .chain_update(nonce)
        .finalize();
    TaskId::parse(&hex(&digest[..16])).expect("hexadecimal digits make an id")
}

pub(crate) fn encode_request(claims: &RequestClaims) -> Vec<u8> {
    let mut entries = BTreeMap::from([
        (ISSUER.key, encode::text(claims.issuer.as_str())),
        (SUBJECT.key, encode::text(claims.subject.as_str())),
        (AUDIENCE.key, encode::text(&claims.audience.to_string())),
        (EXPIRES.key, encode::unsigned(claims.expires_at_s)),
        (NOT_BEFORE.key, encode::unsigned(claims.not_before_s)),
        (ISSUED.key, encode::unsigned(claims.issued_at_s)),
        (NONCE.key, encode::bytes(&claims.nonce)),
        (SPEC.key, encode::text(&claims.spec_json)),
        (PARTITION.key, encode::unsigned(claims.partition.into())),
    ]);
    if !claims.grants.is_nothing() {
        entries.insert(GRANTS.key, encode::text(&json(&claims.grants)));
    }
    if let Some(parent) = &claims.parent {
        entries.insert(PARENT.key, encode::text(parent.as_str()));
    }
    if let Some(trace) = &claims.trace {
        entries.insert(TRACE.key, encode::text(trace));
    }
    encode::map(&entries)
}

pub(crate) fn decode_request(payload: Scanned<'_>) -> Result<RequestClaims, ClaimsError> {
    let mut claims = ClaimReader::new(payload)?;
    let decoded = RequestClaims {
        issuer: claims.parsed(ISSUER, PrincipalId::parse)?,
        subject: claims.parsed(SUBJECT, PrincipalId::parse)?,
        audience: claims.parsed(AUDIENCE, str::parse::<Audience>)?,
        expires_at_s: claims.required(EXPIRES, Reader::unsigned)?,
        not_before_s: claims.required(NOT_BEFORE, Reader::unsigned)?,
        issued_at_s: claims.required(ISSUED, Reader::unsigned)?,
        nonce: claims.required(NONCE, Reader::byte_array)?,
        spec_json: claims.required(SPEC, Reader::text)?.to_owned(),
        grants: claims.optional_parsed(GRANTS, read_grants)?.unwrap_or_default(),
        parent: claims.optional_parsed(PARENT, TaskId::parse)?,
        trace: claims.optional_parsed(TRACE, check_trace)?,
        partition: claims.required(PARTITION, Reader::unsigned_32)?,
    };
    claims.finish()?;
    Ok(decoded)
}

pub(crate) fn encode_assignment(claims: &AssignmentClaims) -> Vec<u8> {
    encode::map(&BTreeMap::from([
        (ISSUER.key, encode::text(claims.issuer.as_str())),
        (EXPIRES.key, encode::unsigned(claims.expires_at_s)),
        (ISSUED.key, encode::unsigned(claims.issued_at_s)),
        (TASK.key, encode::text(claims.task.as_str())),
        (REQUEST_HASH.key, encode::bytes(&claims.request_hash.0)),
        (NODE.key, encode::text(claims.node.as_str())),
        (EPOCH.key, encode::unsigned(claims.epoch)),
        (ATTEMPT.key, encode::unsigned(claims.attempt.into())),
        (TERM.key, encode::unsigned(claims.term)),
    ]))
}

pub(crate) fn decode_assignment(payload: Scanned<'_>) -> Result<AssignmentClaims, ClaimsError> {
    let mut claims = ClaimReader::new(payload)?;
    let decoded = AssignmentClaims {
        issuer: claims.parsed(ISSUER, PrincipalId::parse)?,
        expires_at_s: claims.required(EXPIRES, Reader::unsigned)?,
        issued_at_s: claims.required(ISSUED, Reader::unsigned)?,
        task: claims.parsed(TASK, TaskId::parse)?,
        request_hash: Sha256Hash(claims.required(REQUEST_HASH, Reader::byte_array)?),
        node: claims.parsed(NODE, PrincipalId::parse)?,
        epoch: claims.required(EPOCH, Reader::unsigned)?,
        attempt: claims.required(ATTEMPT, Reader::unsigned_32)?,
        term: claims.required(TERM, Reader::unsigned)?,
    };
    claims.finish()?;
    Ok(decoded)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("claims are plain lists, texts and numbers")
}

/// Grants have one text: what others would read differently is refused.
fn read_grants(text: &str) -> Result<Grants, String> {
    let grants: Grants = read_json(text)?;
    if grants.is_nothing() {
        return Err("nothing is granted by leaving the claim out".to_owned());
    }
    Ok(grants)
}

/// The same where nothing is not the same as absent.
fn read_json<T: DeserializeOwned + Serialize>(text: &str) -> Result<T, String> {
    let value: T = strict::parse(text.as_bytes()).map_err(|fault| fault.message)?;
    if json(&value) != text {
        return Err("it is not the one text that it has".to_owned());
    }
    Ok(value)
}

pub(crate) fn check_trace(text: &str) -> Result<String, &'static str> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || TRACE_BYTES_MAX < text.len() || !printable {
        return Err("it is not 1 to 64 visible ASCII characters");
    }
    Ok(text.to_owned())
}

fn wrong_value(claim: Claim, problem: &dyn Display) -> ClaimsError {
    ClaimsError::WrongValue { claim: claim.name, problem: problem.to_string() }
}

/// Reads claims in the order in which deterministic maps have them.
struct ClaimReader<'a> {
    reader: Reader<'a>,
}

impl<'a> ClaimReader<'a> {
    fn new(payload: Scanned<'a>) -> Result<Self, ClaimsError> {
        let mut reader = Reader::new(payload);
        reader.map().map_err(|WrongType| ClaimsError::NotAMap)?;
        Ok(Self { reader })
    }

    fn optional<T>(
        &mut self,
        claim: Claim,
        value: impl FnOnce(&mut Reader<'a>) -> Result<T, WrongType>,
    ) -> Result<Option<T>, ClaimsError> {
        let Some(key) = self.next_key() else { return Ok(None) };
        if key < claim.key {
            return Err(ClaimsError::Unknown { key: key.to_string() });
        }
        if claim.key < key {
            return Ok(None);
        }
        let wrong_type = |WrongType| ClaimsError::WrongType { claim: claim.name };
        self.reader.integer().map_err(wrong_type)?;
        value(&mut self.reader).map(Some).map_err(wrong_type)
    }

    fn required<T>(
        &mut self,
        claim: Claim,
        value: impl FnOnce(&mut Reader<'a>) -> Result<T, WrongType>,
    ) -> Result<T, ClaimsError> {
        self.optional(claim, value)?.ok_or(ClaimsError::Missing { claim: claim.name })
    }

    fn parsed<T, E: Display>(
        &mut self,
        claim: Claim,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, ClaimsError> {
        self.optional_parsed(claim, parse)?.ok_or(ClaimsError::Missing { claim: claim.name })
    }

    fn optional_parsed<T, E: Display>(
        &mut self,
        claim: Claim,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ClaimsError> {
        let text = self.optional(claim, Reader::text)?;
        text.map(parse).transpose().map_err(|error| wrong_value(claim, &error))
    }

    /// An array whose items rise, so that a set has one encoding.
    fn rising<T: PartialOrd, E: Display>(
        &mut self,
        claim: Claim,
        item: impl Fn(&mut Reader<'a>) -> Result<T, E>,
    ) -> Result<Vec<T>, ClaimsError> {
        let count = self.required(claim, Reader::array)?;
        let mut items: Vec<T> = Vec::new();
        for _ in 0..count {
            let next = item(&mut self.reader).map_err(|error| wrong_value(claim, &error))?;
            if items.last().is_some_and(|last| next <= *last) {
                return Err(wrong_value(claim, &"its items do not rise"));
            }
            items.push(next);
        }
        Ok(items)
    }

    fn finish(self) -> Result<(), ClaimsError> {
        match self.next_key() {
            Some(key) => Err(ClaimsError::Unknown { key: key.to_string() }),
            None => Ok(()),
        }
    }

    fn next_key(&self) -> Option<Integer> {
        match self.reader.peek()? {
            Head::Integer(key) => Some(key),
            Head::Bytes(_)
            | Head::Text(_)
            | Head::Array(_)
            | Head::Map(_)
            | Head::Tag(_)
            | Head::Bool
            | Head::Null => None,
        }
    }
}

#[cfg(test)]
mod tests;
