//! Requests and assignments signed without the product's own encoder, as an attacker would.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cortex_tests::{Installation, Login};
use ed25519_dalek::{Signer as _, SigningKey};
use schemas::claims::{ASSIGNMENT_TYPE, REQUEST_TYPE};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::cbor;

/// Claims by their numbers, in the order in which they are written.
pub(crate) type Claims = Vec<(i64, Vec<u8>)>;

pub(crate) const ISSUER: i64 = 1;
pub(crate) const SUBJECT: i64 = 2;
pub(crate) const AUDIENCE: i64 = 3;
pub(crate) const EXPIRES: i64 = 4;
pub(crate) const NOT_BEFORE: i64 = 5;
pub(crate) const ISSUED: i64 = 6;
pub(crate) const NONCE: i64 = 7;
pub(crate) const SPEC: i64 = -65537;
pub(crate) const GRANTS: i64 = -65538;
pub(crate) const PARTITION: i64 = -65541;
pub(crate) const TASK: i64 = -65542;
pub(crate) const REQUEST_HASH: i64 = -65543;
pub(crate) const NODE: i64 = -65544;
pub(crate) const EPOCH: i64 = -65545;
pub(crate) const ATTEMPT: i64 = -65546;
pub(crate) const TERM: i64 = -65547;

/// A key, its name, and the cluster that it signs for.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: [u8; 16],
    pub(crate) cluster: String,
    pub(crate) signing: SigningKey,
}

/// Certificates of everybody whom an attacker could have heard, so that none is missing.
pub(crate) fn certificates(cortex: &Installation, login: &Login) -> Result<Vec<String>> {
    let scheduler = fs::read_to_string(cortex.home().join("config/keys/scheduler.certs"))?;
    let all = login.chain()?.into_iter().chain(scheduler.lines().map(str::to_owned));
    let mut distinct: Vec<String> = Vec::new();
    for certificate in all {
        if !distinct.contains(&certificate) {
            distinct.push(certificate);
        }
    }
    Ok(distinct)
}

impl Key {
    /// The person's key.
    pub(crate) fn owner(login: &Login) -> Result<Self> {
        Self::read(&login.key, login)
    }

    /// What only somebody who broke into the scheduler has.
    pub(crate) fn scheduler(cortex: &Installation, login: &Login) -> Result<Self> {
        Self::read(&cortex.home().join("config/keys/scheduler.key"), login)
    }

    /// A key that nobody trusts.
    pub(crate) fn unknown(login: &Login) -> Self {
        let signing = SigningKey::from_bytes(&rand::random());
        Self { id: rand::random(), cluster: login.cluster.clone(), signing }
    }

    fn read(path: &Path, login: &Login) -> Result<Self> {
        let file: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
        let digits = |name: &str| file[name].as_str().and_then(unhex).context("no digits");
        let secret = digits("secret_key")?.try_into().ok().context("a secret of another size")?;
        Ok(Self {
            id: digits("key_id")?.try_into().ok().context("an id of another size")?,
            cluster: login.cluster.clone(),
            signing: SigningKey::from_bytes(&secret),
        })
    }

    pub(crate) fn request(&self, claims: &Claims) -> Vec<u8> {
        self.seal(REQUEST_TYPE, &payload(claims))
    }

    pub(crate) fn assignment(&self, claims: &Claims) -> Vec<u8> {
        self.seal(ASSIGNMENT_TYPE, &payload(claims))
    }

    /// Any payload as an envelope of any type.
    pub(crate) fn seal(&self, content_type: &str, payload: &[u8]) -> Vec<u8> {
        let protected = cbor::map(&[
            (cbor::integer(1), cbor::integer(-19)),
            (cbor::integer(3), cbor::text(content_type)),
            (cbor::integer(4), cbor::bytes(&self.id)),
        ]);
        let context = cbor::array(&[cbor::text(content_type), cbor::text(&self.cluster)]);
        let signed = cbor::array(&[
            cbor::text("Signature1"),
            cbor::bytes(&protected),
            cbor::bytes(&context),
            cbor::bytes(payload),
        ]);
        let signature = self.signing.sign(&signed).to_bytes();
        let parts = [
            cbor::bytes(&protected),
            cbor::map(&[]),
            cbor::bytes(payload),
            cbor::bytes(&signature),
        ];
        [vec![0xd2], cbor::array(&parts)].concat()
    }
}

pub(crate) fn payload(claims: &Claims) -> Vec<u8> {
    let entries = claims.iter().map(|(key, value)| (cbor::integer(*key), value.clone()));
    cbor::map(&entries.collect::<Vec<_>>())
}

/// The same claims with one of them changed.
pub(crate) fn with(claims: &Claims, key: i64, value: Vec<u8>) -> Claims {
    let changed = |(old, kept): &(i64, Vec<u8>)| {
        (*old, if *old == key { value.clone() } else { kept.clone() })
    };
    claims.iter().map(changed).collect()
}

/// The same claims with grants, which stand between the specification and the partition.
pub(crate) fn granting(claims: &Claims, grants: Vec<u8>) -> Claims {
    let place = claims.iter().position(|(key, _)| *key == PARTITION).unwrap_or(claims.len());
    let mut claims = claims.clone();
    claims.insert(place, (GRANTS, grants));
    claims
}

/// The same claims without one of them.
pub(crate) fn without(claims: &Claims, key: i64) -> Claims {
    claims.iter().filter(|(old, _)| *old != key).cloned().collect()
}

pub(crate) fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).expect("it is not that late yet")
}

/// A good request by the person for an hour.
pub(crate) fn request(login: &Login, audience: &str, spec: &str) -> Claims {
    let now = cbor::integer(now_s());
    vec![
        (ISSUER, cbor::text(&login.principal)),
        (SUBJECT, cbor::text(&login.principal)),
        (AUDIENCE, cbor::text(audience)),
        (EXPIRES, cbor::integer(now_s() + 3600)),
        (NOT_BEFORE, now.clone()),
        (ISSUED, now),
        (NONCE, cbor::bytes(&rand::random::<[u8; 16]>())),
        (SPEC, cbor::text(spec)),
        (PARTITION, cbor::integer(0)),
    ]
}

/// A good assignment of `task` to `node`.
pub(crate) fn assignment(task: &str, request: &[u8], node: &str) -> Claims {
    vec![
        (ISSUER, cbor::text("scheduler")),
        (EXPIRES, cbor::integer(now_s() + 120)),
        (ISSUED, cbor::integer(now_s())),
        (TASK, cbor::text(task)),
        (REQUEST_HASH, cbor::bytes(&Sha256::digest(request))),
        (NODE, cbor::text(node)),
        (EPOCH, cbor::integer(1)),
        (ATTEMPT, cbor::integer(1)),
        (TERM, cbor::integer(1)),
    ]
}

/// The task that a request asks for.
pub(crate) fn task_id(login: &Login, claims: &Claims) -> String {
    let nonce = claims.iter().find(|(key, _)| *key == NONCE).map(|(_, value)| &value[1..]);
    let length = u8::try_from(login.principal.len()).expect("an id is short");
    let digest = Sha256::new()
        .chain_update(b"cortex/task/v1")
        .chain_update([length])
        .chain_update(&login.principal)
        .chain_update(nonce.unwrap_or_default())
        .finalize();
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The body of a submission.
pub(crate) fn submission(envelope: &[u8], certificates: &[String]) -> String {
    json!({ "envelope": STANDARD.encode(envelope), "certificates": certificates }).to_string()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = (0..digits.len()).step_by(2).map(|at| digits.get(at..at + 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}
