//! Signed requests that are unsigned, changed, late, early, for somebody else or no strict CBOR.

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use schemas::ErrorCode::{
    self, CertificateInvalid, ClaimsInvalid, EnvelopeHeader, EnvelopeMalformed, EnvelopeTooLarge,
    Expired, InvalidValue, KeyNotValid, KeyUnknown, LifetimeTooLong, NotAllowed, NotYetValid,
    SignatureInvalid, Unsigned, WrongAudience,
};
use schemas::claims::{ASSIGNMENT_TYPE, REQUEST_TYPE};
use serde_json::json;

use crate::cbor;
use crate::cose::{
    self, AUDIENCE, Claims, EXPIRES, ISSUED, ISSUER, Key, NONCE, NOT_BEFORE, PARTITION, SPEC,
    SUBJECT, granting, now_s, payload, with, without,
};
use crate::people::ALICE;
use crate::stage::{Stage, check, no, scheduler};

const ECHO: &str = r#"{"work":{"kind":"echo","text":"hi"}}"#;

fn good(stage: &Stage) -> Claims {
    cose::request(&stage.login, "node:local", ECHO)
}

async fn refused(
    stage: &Stage,
    envelope: &[u8],
    code: ErrorCode,
    says: &'static str,
) -> Result<()> {
    let ask =
        scheduler("submit", stage.submission(&stage.login, envelope)?).by(&stage.login.principal);
    check(stage, ask, no(code, says)).await.map(drop)
}

/// Otherwise the rest of this suite would prove nothing.
#[tokio::test]
async fn the_envelopes_of_this_suite_are_good_until_they_are_spoilt() -> Result<()> {
    let stage = Stage::enter().await?;
    let claims = good(&stage);
    let envelope = Key::owner(&stage.login)?.request(&claims);
    let ask =
        scheduler("submit", stage.submission(&stage.login, &envelope)?).by(&stage.login.principal);
    let answer = stage.granted(&ask).await?;
    assert_eq!(answer["task"], cose::task_id(&stage.login, &claims));
    assert_eq!(stage.granted(&ask).await?["task"], answer["task"], "twice is the same task");
    let id = answer["task"].as_str().unwrap_or_default();
    let waited = stage.run(&["task", "wait", id]).await?;
    assert_eq!(waited.code, 0, "{waited:?}");
    Ok(())
}

#[tokio::test]
async fn a_request_without_an_envelope_is_unsigned() -> Result<()> {
    let stage = Stage::enter().await?;
    let spec = json!({ "work": { "kind": "echo" } });
    for (body, code, says) in [
        (json!({}), Unsigned, "the request has no envelope"),
        (json!({ "envelope": null }), Unsigned, "the request has no envelope"),
        (json!({ "rendering": { "spec": spec } }), Unsigned, "the request has no envelope"),
        (json!({ "envelope": "" }), Unsigned, "the request is not signed"),
        (json!({ "envelope": "?" }), EnvelopeMalformed, "the envelope is not base64"),
        (json!({ "envelope": "0oRD\n" }), EnvelopeMalformed, "the envelope is not base64"),
        (json!({ "envelope": "0oR" }), EnvelopeMalformed, "the envelope is not base64"),
        (json!({ "envelope": "____" }), EnvelopeMalformed, "the envelope is not base64"),
        (json!({ "envelope": "AAAA".repeat(12_000) }), EnvelopeTooLarge, "the limit is 24576"),
    ] {
        check(&stage, scheduler("submit", body.to_string()), no(code, says)).await?;
    }
    let envelope = STANDARD.encode(Key::owner(&stage.login)?.request(&good(&stage)));
    let cut = json!({ "envelope": envelope[..envelope.len() - 1] }).to_string();
    check(&stage, scheduler("submit", cut), no(EnvelopeMalformed, "not base64")).await?;
    Ok(())
}

#[tokio::test]
async fn one_changed_bit_anywhere_is_refused_and_the_place_is_named() -> Result<()> {
    let stage = Stage::enter().await?;
    let key = Key::owner(&stage.login)?;
    let envelope = key.request(&good(&stage));
    let at = |part: &[u8]| envelope.windows(part.len()).position(|found| found == part).unwrap();
    let (kind, id, spec) = (at(REQUEST_TYPE.as_bytes()), at(&key.id), at(br#""text":"hi""#) + 8);
    for (place, bit, code, says) in [
        (0, 0x01, EnvelopeMalformed, "strict form of CBOR"),
        (1, 0x01, EnvelopeMalformed, ""),
        (2, 0x20, EnvelopeMalformed, ""),
        (5, 0x02, EnvelopeMalformed, "protected header"),
        (6, 0x01, EnvelopeHeader, "the algorithm is not Ed25519 (-19)"),
        (kind, 0x01, EnvelopeHeader, "the type is not application/vnd.cortex.task+cbor"),
        (id, 0x01, KeyUnknown, "is not trusted in this cluster"),
        (id + 16, 0x01, EnvelopeMalformed, "a map key that is no integer"),
        (spec, 0x01, SignatureInvalid, "does not fit these bytes in cluster"),
        (envelope.len() - 64, 0x01, SignatureInvalid, "does not fit these bytes"),
        (envelope.len() - 1, 0x80, SignatureInvalid, "does not fit these bytes"),
    ] {
        let mut changed = envelope.clone();
        changed[place] ^= bit;
        refused(&stage, &changed, code, says).await?;
    }
    for length in [1, 2, 40, envelope.len() / 2, envelope.len() - 1] {
        refused(&stage, &envelope[..length], EnvelopeMalformed, "strict form of CBOR").await?;
    }
    let longer = [envelope.clone(), vec![0]].concat();
    refused(&stage, &longer, EnvelopeMalformed, "strict form of CBOR").await
}

#[tokio::test]
async fn who_signed_what_for_whom_must_be_right() -> Result<()> {
    let stage = Stage::enter().await?;
    let (owner, claims) = (Key::owner(&stage.login)?, good(&stage));
    let plane = Key::scheduler(&stage.cortex, &stage.login)?;
    let stranger = Key::unknown(&stage.login);
    let elsewhere = Key { cluster: "elsewhere".to_owned(), ..owner.clone() };
    let borrowed = Key { id: owner.id, ..stranger.clone() };
    let claim = |key, value: &str| with(&claims, key, cbor::text(value));
    for (envelope, code, says) in [
        (stranger.request(&claims), KeyUnknown, "is not trusted in this cluster"),
        (borrowed.request(&claims), SignatureInvalid, "does not fit these bytes"),
        (elsewhere.request(&claims), SignatureInvalid, "in cluster local-"),
        (
            plane.request(&claims),
            KeyNotValid,
            "is a scheduler key and may not sign for task-issuer",
        ),
        (owner.assignment(&claims), EnvelopeHeader, "the type is not"),
        (owner.request(&claim(ISSUER, "eve")), KeyNotValid, "yet eve is named as the issuer"),
        (owner.request(&claim(SUBJECT, "eve")), NotAllowed, "may not ask in the name of eve"),
        (
            owner.request(&claim(AUDIENCE, "local")),
            ClaimsInvalid,
            "write node:ID or can:CAPABILITY",
        ),
        (owner.request(&claim(AUDIENCE, "node:*")), ClaimsInvalid, "\"node:*\" is not an audience"),
        (owner.request(&claim(AUDIENCE, "can:a b")), ClaimsInvalid, "is not an audience"),
        (
            owner.request(&with(&claims, PARTITION, cbor::integer(1))),
            WrongAudience,
            "signed for partition 1, not for partition 0",
        ),
    ] {
        refused(&stage, &envelope, code, says).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_request_has_its_time() -> Result<()> {
    let stage = Stage::enter().await?;
    let owner = Key::owner(&stage.login)?;
    let day = 24 * 3600;
    for (issued, from, until, code, says) in [
        (-7200, -7200, -3600, Expired, "expired at"),
        (-7200, -7200, -31, Expired, "expired at"),
        (0, 3600, 7200, NotYetValid, "valid from"),
        (40, 40, 100, NotYetValid, "valid from"),
        (0, 0, 31 * day, LifetimeTooLong, "the limit is 2592000 s"),
        (0, 0, 0, ClaimsInvalid, "issued, not-before and expiry are not in that order"),
        (0, 100, 50, ClaimsInvalid, "not in that order"),
        (100, 0, 200, ClaimsInvalid, "not in that order"),
    ] {
        let at = |seconds: i64| cbor::integer(now_s() + seconds);
        let claims = with(&good(&stage), ISSUED, at(issued));
        let claims = with(&with(&claims, NOT_BEFORE, at(from)), EXPIRES, at(until));
        refused(&stage, &owner.request(&claims), code, says).await?;
    }
    let ancient = with(&good(&stage), ISSUED, cbor::integer(0));
    refused(&stage, &owner.request(&ancient), KeyNotValid, "was not valid at 0 s").await
}

#[tokio::test]
async fn claims_that_are_signed_and_yet_wrong_are_named() -> Result<()> {
    let stage = Stage::enter().await?;
    let (owner, claims) = (Key::owner(&stage.login)?, good(&stage));
    let more = |key: i64, value: Vec<u8>| [claims.clone(), vec![(key, value)]].concat();
    let float = vec![0xfb, 0x40, 0x09, 0x21, 0xfb, 0x54, 0x44, 0x2d, 0x18];
    let mut unsorted = claims.clone();
    unsorted.swap(0, 1);
    let twice = [vec![claims[0].clone()], claims.clone()].concat();
    for (claims, code, says) in [
        (more(-65600, cbor::integer(1)), ClaimsInvalid, "claim -65600 is unknown here"),
        (without(&claims, AUDIENCE), ClaimsInvalid, "claim aud is missing"),
        (without(&claims, NONCE), ClaimsInvalid, "claim cti is missing"),
        (without(&claims, PARTITION), ClaimsInvalid, "claim partition is missing"),
        (
            with(&claims, NONCE, cbor::bytes(&[7; 15])),
            ClaimsInvalid,
            "claim cti has the wrong type",
        ),
        (
            with(&claims, EXPIRES, cbor::text("never")),
            ClaimsInvalid,
            "claim exp has the wrong type",
        ),
        (with(&claims, EXPIRES, cbor::integer(-1)), ClaimsInvalid, "claim exp has the wrong type"),
        (with(&claims, SPEC, cbor::bytes(b"{}")), ClaimsInvalid, "claim spec has the wrong type"),
        (with(&claims, ISSUER, cbor::text("Owner")), ClaimsInvalid, "claim iss has no valid value"),
        (with(&claims, EXPIRES, float), EnvelopeMalformed, "payload"),
        (unsorted, EnvelopeMalformed, "payload"),
        (twice, EnvelopeMalformed, "payload"),
        (with(&claims, SPEC, vec![0x62, 0xff, 0xfe]), EnvelopeMalformed, "payload"),
        (with(&claims, NONCE, vec![0xc2, 0x41, 0x01]), EnvelopeMalformed, "payload"),
    ] {
        refused(&stage, &owner.request(&claims), code, says).await?;
    }
    Ok(())
}

/// Whoever is let in has a key that counts, for what they say themselves.
#[tokio::test]
async fn nobody_signs_as_somebody_else_with_a_certificate_of_their_own() -> Result<()> {
    let stage = Stage::enter().await?;
    let alice = stage.cortex.people.login(ALICE)?;
    let key = Key::owner(&alice)?;
    let (own, owner) = (cose::request(&alice, "node:local", ECHO), stage.login.principal.clone());
    for (claims, code, says) in [
        (good(&stage), KeyNotValid, "belongs to alice, yet"),
        (with(&own, SUBJECT, cbor::text(&owner)), NotAllowed, "may not ask in the name of"),
    ] {
        let body = stage.submission(&alice, &key.request(&claims))?;
        for by in [ALICE, &owner] {
            check(&stage, scheduler("submit", &body).by(by), no(code, says)).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn certificates_that_prove_nothing_are_refused() -> Result<()> {
    let stage = Stage::enter().await?;
    let alice = stage.cortex.people.login(ALICE)?;
    let envelope = Key::owner(&alice)?.request(&cose::request(&alice, "node:local", ECHO));
    let chain = alice.chain()?;
    let own = STANDARD.decode(chain.last().context("no certificate")?)?;
    let changed = |place: usize| {
        let mut changed = own.clone();
        changed[place] ^= 1;
        STANDARD.encode(changed)
    };
    let more = |text: &str, count: usize| vec![text.to_owned(); count];
    for (certificates, says) in [
        (more("?", 1), "certificate 1 is not base64"),
        (more("", 1), "the leading tag 18 is missing"),
        (more("AAAA", 1), "the leading tag 18 is missing"),
        (more("AAAA", 25), "25 certificates came along, the limit is 24"),
        (more(&"A".repeat(16_388), 2), "the certificates have 32776 bytes, the limit is 32768"),
        (
            vec![STANDARD.encode(&envelope)],
            "the type is not application/vnd.cortex.certificate+cbor",
        ),
        (vec![chain[0].clone(), changed(own.len() - 1)], "does not fit these bytes"),
        (vec![chain[0].clone(), changed(own.len() / 2)], "does not fit these bytes"),
        ([chain.clone(), more("AAAA", 1)].concat(), "the leading tag 18 is missing"),
    ] {
        let ask = scheduler("submit", cose::submission(&envelope, &certificates)).by(ALICE);
        check(&stage, ask, no(CertificateInvalid, says)).await?;
    }
    for (certificates, says) in [(json!("AAAA"), "string \"AAAA\""), (json!([7]), "integer `7`")] {
        let body = json!({ "envelope": STANDARD.encode(&envelope), "certificates": certificates });
        let ask = scheduler("submit", body.to_string()).by(ALICE);
        check(&stage, ask, no(InvalidValue, says)).await?;
    }
    Ok(())
}

/// Grants have one text, so that nobody reads more out of them than was signed.
#[tokio::test]
async fn grants_that_are_signed_and_yet_wrong_are_named() -> Result<()> {
    let stage = Stage::enter().await?;
    let (owner, claims) = (Key::owner(&stage.login)?, good(&stage));
    for (grants, says) in [
        (cbor::array(&[]), "claim grants has the wrong type"),
        (cbor::bytes(b"{}"), "claim grants has the wrong type"),
        (cbor::text(""), "claim grants has no valid value"),
        (cbor::text("[]"), "claim grants has no valid value"),
        (cbor::text("{}"), "nothing is granted by leaving the claim out"),
        (cbor::text(r#"{"everything":true}"#), "unknown field `everything`"),
        (cbor::text(r#"{"capabilities":["a b"]}"#), "\"a b\" is not a capability"),
        (cbor::text(r#"{"tasks_max":-1}"#), "integer `-1`"),
        (cbor::text(r#"{"tasks_max":1,"tasks_max":2}"#), "duplicate field `tasks_max`"),
        (cbor::text(r#"{"tasks_max": 1}"#), "it is not the one text that it has"),
        (cbor::text(r#"{"agents":[],"tasks_max":1}"#), "it is not the one text"),
        (cbor::text(r#"{"tasks_max":1,"agents":["local"]}"#), "it is not the one text"),
    ] {
        let envelope = owner.request(&granting(&claims, grants));
        refused(&stage, &envelope, ClaimsInvalid, says).await?;
    }
    let good = cbor::text(r#"{"agents":["local"],"tasks_max":1}"#);
    let envelope = owner.request(&granting(&claims, good));
    let ask =
        scheduler("submit", stage.submission(&stage.login, &envelope)?).by(&stage.login.principal);
    stage.granted(&ask).await.map(drop)
}

/// A handful of each sort; trust's own suites have the rest.
#[tokio::test]
async fn what_is_no_strict_cbor_is_malformed_before_any_key_is_looked_up() -> Result<()> {
    let stage = Stage::enter().await?;
    let owner = Key::owner(&stage.login)?;
    let huge = |major: u8| [vec![0xd2, major << 5 | 27], vec![0xff; 8]].concat();
    let array = cbor::array(&[vec![0xa0], vec![0xa0], vec![0xa0], vec![0xa0]]);
    for (envelope, says) in [
        (vec![0xff], "strict form of CBOR"),
        (b"{\"alg\":\"none\"}".to_vec(), "strict form of CBOR"),
        (array.clone(), "strict form of CBOR"),
        ([vec![0xd2], array].concat(), "COSE_Sign1"),
        ([vec![0xd2], vec![0x81; 10_000]].concat(), "strict form of CBOR"),
        (huge(2), "strict form of CBOR"),
        (huge(4), "strict form of CBOR"),
        (huge(5), "strict form of CBOR"),
        (vec![0xd2, 0x9f, 0xff], "strict form of CBOR"),
        (vec![0xd2, 0x98, 0x04, 0x40, 0xa0, 0x40, 0x40], "strict form of CBOR"),
        (owner.seal(REQUEST_TYPE, &[0xbf, 0xff]), "payload"),
        (owner.seal(REQUEST_TYPE, &[]), "payload"),
        (owner.seal(REQUEST_TYPE, &[payload(&good(&stage)), vec![0]].concat()), "payload"),
    ] {
        refused(&stage, &envelope, EnvelopeMalformed, says).await?;
    }
    refused(&stage, &owner.seal(REQUEST_TYPE, &[0x80]), ClaimsInvalid, "they are not a map")
        .await?;
    refused(&stage, &owner.seal(ASSIGNMENT_TYPE, &[0xa0]), EnvelopeHeader, "the type is not")
        .await?;
    let large = with(&good(&stage), SPEC, cbor::text(&"x".repeat(25_000)));
    refused(&stage, &owner.request(&large), EnvelopeTooLarge, "").await
}
