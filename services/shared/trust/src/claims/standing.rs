//! Claims that say whom to trust: orders, certificates and rosters.
//!
//! **Invariant:** what decodes encodes to the same bytes; sets are written in order.

use std::collections::BTreeMap;

use schemas::{
    PrincipalId,
    claims::{CertificateClaims, OrderClaims, RosterClaims},
    key::{KeyId, KeyOffer, KeyPurpose, PublicKeyBytes},
};

use super::{
    ACCESS, AUDIENCE, BOUNDS, ClaimReader, ClaimsError, EXPIRES, ISSUED, ISSUER, KEY, NONCE,
    NOT_BEFORE, ORDER, OVERSEERS, PURPOSE, REVOKED, SUBJECT, VERSION, json, read_json,
};
use crate::{encode, reader::Reader, scanner::Scanned};

pub(crate) fn encode_order(claims: &OrderClaims) -> Vec<u8> {
    encode::map(&BTreeMap::from([
        (ISSUER.key, encode::text(claims.issuer.as_str())),
        (AUDIENCE.key, encode::text(claims.service.as_str())),
        (EXPIRES.key, encode::unsigned(claims.expires_at_s)),
        (ISSUED.key, encode::unsigned(claims.issued_at_s)),
        (NONCE.key, encode::bytes(&claims.nonce)),
        (ORDER.key, encode::text(&claims.order_json)),
    ]))
}

pub(crate) fn decode_order(payload: Scanned<'_>) -> Result<OrderClaims, ClaimsError> {
    let mut claims = ClaimReader::new(payload)?;
    let decoded = OrderClaims {
        issuer: claims.parsed(ISSUER, PrincipalId::parse)?,
        service: claims.parsed(AUDIENCE, PrincipalId::parse)?,
        expires_at_s: claims.required(EXPIRES, Reader::unsigned)?,
        issued_at_s: claims.required(ISSUED, Reader::unsigned)?,
        nonce: claims.required(NONCE, Reader::byte_array)?,
        order_json: claims.required(ORDER, Reader::text)?.to_owned(),
    };
    claims.finish()?;
    Ok(decoded)
}

pub(crate) fn encode_certificate(claims: &CertificateClaims) -> Vec<u8> {
    let mut entries = BTreeMap::from([
        (ISSUER.key, encode::text(claims.issuer.as_str())),
        (SUBJECT.key, encode::text(claims.subject.as_str())),
        (EXPIRES.key, encode::unsigned(claims.not_after_s)),
        (NOT_BEFORE.key, encode::unsigned(claims.not_before_s)),
        (ISSUED.key, encode::unsigned(claims.issued_at_s)),
        (KEY.key, encode::bytes(&claims.key.key.0)),
        (PURPOSE.key, encode::text(claims.key.purpose.as_str())),
    ]);
    if let Some(bounds) = &claims.bounds {
        entries.insert(BOUNDS.key, encode::text(&json(bounds)));
    }
    encode::map(&entries)
}

pub(crate) fn decode_certificate(payload: Scanned<'_>) -> Result<CertificateClaims, ClaimsError> {
    let mut claims = ClaimReader::new(payload)?;
    let issuer = claims.parsed(ISSUER, PrincipalId::parse)?;
    let subject = claims.parsed(SUBJECT, PrincipalId::parse)?;
    let not_after_s = claims.required(EXPIRES, Reader::unsigned)?;
    let not_before_s = claims.required(NOT_BEFORE, Reader::unsigned)?;
    let issued_at_s = claims.required(ISSUED, Reader::unsigned)?;
    let key = PublicKeyBytes(claims.required(KEY, Reader::byte_array)?);
    let purpose = claims.parsed(PURPOSE, |word| {
        KeyPurpose::parse(word).ok_or_else(|| format!("{word:?} is no purpose of keys"))
    })?;
    let bounds = claims.optional_parsed(BOUNDS, read_json)?;
    claims.finish()?;
    let key = KeyOffer { purpose, key };
    Ok(CertificateClaims { issuer, subject, key, issued_at_s, not_before_s, not_after_s, bounds })
}

pub(crate) fn encode_roster(claims: &RosterClaims) -> Vec<u8> {
    let revoked = claims.revoked.iter().map(|key| encode::bytes(&key.0));
    let overseers = claims.overseers.iter().map(|person| encode::text(person.as_str()));
    let mut entries = BTreeMap::from([
        (ISSUER.key, encode::text(claims.issuer.as_str())),
        (ISSUED.key, encode::unsigned(claims.issued_at_s)),
        (VERSION.key, encode::unsigned(claims.version)),
        (REVOKED.key, encode::array(revoked)),
        (OVERSEERS.key, encode::array(overseers)),
    ]);
    if let Some(access) = &claims.access {
        entries.insert(ACCESS.key, encode::text(&json(access)));
    }
    encode::map(&entries)
}

pub(crate) fn decode_roster(payload: Scanned<'_>) -> Result<RosterClaims, ClaimsError> {
    let mut claims = ClaimReader::new(payload)?;
    let decoded = RosterClaims {
        issuer: claims.parsed(ISSUER, PrincipalId::parse)?,
        issued_at_s: claims.required(ISSUED, Reader::unsigned)?,
        version: claims.required(VERSION, Reader::unsigned)?,
        revoked: claims.rising(REVOKED, |item| item.byte_array().map(KeyId))?,
        overseers: claims.rising(OVERSEERS, |item| {
            let name = item.text().map_err(|error| error.to_string())?;
            PrincipalId::parse(name).map_err(|error| error.to_string())
        })?,
        access: claims.optional_parsed(ACCESS, read_json)?,
    };
    claims.finish()?;
    Ok(decoded)
}
