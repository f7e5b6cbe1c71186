//! Which keys are trusted for what, and when.

use super::*;
use crate::keys::SecretKey;

const DAY_S: u64 = 24 * 60 * 60;

fn anchor(purpose: Purpose, seed: u8) -> Anchor {
    Anchor {
        key: SecretKey::from_entropy(purpose, &[seed; 32].into()).public().clone(),
        principal: principal("alice"),
        not_before_s: 10 * DAY_S,
        not_after_s: 20 * DAY_S,
        revoked_at_s: None,
        acts_for: BTreeSet::new(),
    }
}

fn principal(id: &str) -> PrincipalId {
    PrincipalId::parse(id).unwrap()
}

fn anchors() -> TrustAnchors {
    let mut anchors = TrustAnchors::new(ClusterName::parse("test").unwrap());
    anchors.add(anchor(Purpose::TaskIssuer, 1)).unwrap();
    let acts_for = BTreeSet::from([principal("bob")]);
    let revoked_at_s = Some(15 * DAY_S);
    anchors.add(Anchor { acts_for, revoked_at_s, ..anchor(Purpose::Scheduler, 2) }).unwrap();
    anchors
}

#[test]
fn anchors_are_read_as_they_are_written() {
    let text = anchors().to_file();
    assert_eq!(TrustAnchors::from_file(&text).unwrap(), anchors());
}

#[test]
fn a_key_is_found_for_its_purpose_only() {
    let anchors = anchors();
    let id = anchor(Purpose::TaskIssuer, 1).key.id();
    assert_eq!(anchors.lookup(id, Purpose::TaskIssuer).unwrap().key.id(), id);
    let refused = anchors.lookup(id, Purpose::Scheduler).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::KeyNotValid);
    let unlisted = anchor(Purpose::TaskIssuer, 3).key.id();
    let refused = anchors.lookup(unlisted, Purpose::TaskIssuer).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::KeyUnknown);
}

#[test]
fn a_key_is_listed_once_and_for_one_purpose() {
    let add = |anchor| anchors().add(anchor);
    for purpose in [Purpose::TaskIssuer, Purpose::NodeLog] {
        assert!(matches!(add(anchor(purpose, 1)), Err(AnchorsError::Shared { .. })));
    }
    let never = Anchor { not_after_s: 10 * DAY_S, ..anchor(Purpose::NodeLog, 4) };
    assert!(matches!(add(never), Err(AnchorsError::EmptyValidity { .. })));
}

#[test]
fn a_file_that_is_not_as_written_is_refused() {
    let text = anchors().to_file();
    let check = |changed: &str, expected: &str| {
        assert_ne!(changed, text);
        let error = TrustAnchors::from_file(changed).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(&text.replace("anchors-v1", "anchors-v2"), "do not say");
    check(&text.replace("\"cluster\"", "\"clusters\""), "do not parse");
    check(&text.replacen("\"kid\"", "\"note\": \"\", \"kid\"", 1), "do not parse");
    check(&text.replace("\"test\"", "\"Test\""), "do not parse");
    check(&text.replacen("\"scheduler\"", "\"scheduling\"", 1), "do not parse");
    check(&text.replacen("\"scheduler\"", "\"root\"", 1), "has the id");
    let key = schemas::hex(anchor(Purpose::TaskIssuer, 1).key.as_bytes());
    let other = schemas::hex(anchor(Purpose::TaskIssuer, 9).key.as_bytes());
    check(&text.replace(&key, &other), "has the id");
    check(&text.replace(&key, &"0".repeat(64)), "cannot be used");
    check(&text.replace(&key, &key[2..]), "do not parse");
}

#[test]
fn a_key_counts_until_all_that_it_signed_is_dead() {
    let anchor = anchor(Purpose::TaskIssuer, 1);
    let check = |now_s, code| {
        let result = anchor.check_at(Timestamp::from_seconds(now_s), DAY_S);
        assert_eq!(result.err().map(|refusal| refusal.code()), code, "at {now_s}");
    };
    check(0, None);
    check(20 * DAY_S, None);
    check(21 * DAY_S + CLOCK_SKEW_S - 1, None);
    check(21 * DAY_S + CLOCK_SKEW_S, Some(ErrorCode::KeyNotValid));
}

#[test]
fn a_revoked_key_counts_no_more_whenever_it_signed() {
    let anchor = Anchor { revoked_at_s: Some(15 * DAY_S), ..anchor(Purpose::TaskIssuer, 1) };
    let check = |now_s, code| {
        let result = anchor.check_at(Timestamp::from_seconds(now_s), DAY_S);
        assert_eq!(result.err().map(|refusal| refusal.code()), code, "at {now_s}");
    };
    check(15 * DAY_S - CLOCK_SKEW_S - 1, None);
    check(15 * DAY_S - CLOCK_SKEW_S, Some(ErrorCode::KeyRevoked));
    check(100 * DAY_S, Some(ErrorCode::KeyRevoked));
}

#[test]
fn a_key_signs_within_its_validity_and_in_its_owners_name() {
    let anchor = anchor(Purpose::TaskIssuer, 1);
    let check = |signed_at_s, valid| {
        let result = anchor.check_signer(&principal("alice"), signed_at_s);
        assert_eq!(result.is_ok(), valid, "at {signed_at_s}");
    };
    check(10 * DAY_S - CLOCK_SKEW_S - 1, false);
    check(10 * DAY_S - CLOCK_SKEW_S, true);
    check(20 * DAY_S - 1, true);
    check(20 * DAY_S, false);
    check(u64::MAX, false);
    assert!(anchor.check_signer(&principal("bob"), 11 * DAY_S).is_err());
}

#[test]
fn a_cluster_has_a_name_like_any_other() {
    assert!(ClusterName::parse("home-1").is_ok());
    assert!(ClusterName::parse("Home 1").is_err());
}
