//! Orders are for one service and name themselves; rosters do not go back.

use std::collections::BTreeSet;

use schemas::{enrolment::AgentAccess, key::KeyId, principal::UserRole};

use super::*;
use crate::{Anchor, ClusterName, SecretKey, Trust, TrustAnchors, Unverified, sign};

const NOW_S: u64 = 1_800_000_000;

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

fn key(purpose: Purpose) -> SecretKey {
    SecretKey::from_entropy(
        purpose,
        &[if purpose == Purpose::Enrolment { 1 } else { 2 }; 32].into(),
    )
}

fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

fn anchors() -> TrustAnchors {
    let mut anchors = TrustAnchors::new(cluster());
    for (purpose, owner) in [(Purpose::Enrolment, "registry"), (Purpose::TaskIssuer, "ann")] {
        let anchor = Anchor {
            key: key(purpose).public().clone(),
            principal: id(owner),
            not_before_s: NOW_S - 1_000_000,
            not_after_s: NOW_S + 1_000_000,
            revoked_at_s: None,
            acts_for: BTreeSet::new(),
        };
        anchors.add(anchor).unwrap();
    }
    anchors
}

fn order() -> OrderClaims {
    OrderClaims {
        issuer: id("ann"),
        service: id("registry"),
        issued_at_s: NOW_S,
        expires_at_s: NOW_S + 60,
        nonce: [7; 16],
        order_json: r#"{"do":"set-role","person":"bob","role":"operator"}"#.to_owned(),
    }
}

fn signed(claims: &OrderClaims) -> Vec<u8> {
    sign::<Order>(claims, &cluster(), &key(Purpose::TaskIssuer)).unwrap()
}

fn verify(claims: &OrderClaims, service: &str) -> Result<Verified<Order>, ErrorCode> {
    let envelope = signed(claims);
    let (anchors, service) = (anchors(), id(service));
    let trust = Trust { anchors: &anchors, now: Timestamp::from_seconds(NOW_S) };
    let verified = Unverified::new(&envelope).verify::<Order>(trust, &&service);
    verified.map_err(|error| error.code())
}

#[test]
fn an_order_is_read_as_it_was_signed() {
    let verified = verify(&order(), "registry").unwrap();
    let wanted = enrolment::Order::SetRole { person: id("bob"), role: UserRole::Operator };
    assert_eq!(*verified.order(), wanted);
    assert_eq!(verified.key(), key(Purpose::TaskIssuer).public().id());
}

#[test]
fn an_order_is_for_one_service_and_a_short_time() {
    let check = |claims: OrderClaims, service, code| {
        assert_eq!(verify(&claims, service).err(), Some(code));
    };
    check(order(), "scheduler", ErrorCode::WrongAudience);
    let (issued_at_s, expires_at_s) = (NOW_S - 200, NOW_S - 100);
    let late = OrderClaims { issued_at_s, expires_at_s, ..order() };
    check(late, "registry", ErrorCode::Expired);
    check(OrderClaims { issuer: id("bob"), ..order() }, "registry", ErrorCode::KeyNotValid);
    let expires_at_s = NOW_S + ORDER_LIFETIME_MAX_S + 1;
    let refused = sign::<Order>(
        &OrderClaims { expires_at_s, ..order() },
        &cluster(),
        &key(Purpose::TaskIssuer),
    );
    assert_eq!(refused.unwrap_err().code(), ErrorCode::LifetimeTooLong);
}

#[test]
fn an_order_names_itself_by_signer_and_nonce() {
    let id = verify(&order(), "registry").unwrap().id();
    assert_eq!(id.as_str().len(), 32);
    let later = OrderClaims { expires_at_s: NOW_S + 30, ..order() };
    assert_eq!(verify(&later, "registry").unwrap().id(), id);
    let other = OrderClaims { nonce: [8; 16], ..order() };
    assert_ne!(verify(&other, "registry").unwrap().id(), id);
    let task = crate::task_id(&order().issuer, &[7; 16]);
    assert_ne!(id.as_str(), task.as_str(), "a request of the same nonce");
}

#[test]
fn an_order_that_does_not_parse_is_not_signed() {
    let check = |json: &str| {
        let claims = OrderClaims { order_json: json.to_owned(), ..order() };
        assert!(sign::<Order>(&claims, &cluster(), &key(Purpose::TaskIssuer)).is_err(), "{json}");
    };
    for json in ["", "{}", "null", r#"{"do":"format-disk"}"#] {
        check(json);
    }
    check(r#"{"do":"evict","principal":"bob","reason":"","sudo":true}"#);
    check(r#"{"do":"evict","principal":"bob","principal":"ann","reason":""}"#);
}

fn roster(version: u64) -> RosterClaims {
    RosterClaims {
        issuer: id("registry"),
        issued_at_s: NOW_S,
        version,
        revoked: vec![KeyId([1; 16]), KeyId([2; 16])],
        overseers: vec![id("ann"), id("bob")],
        access: None,
    }
}

fn verified(claims: &RosterClaims) -> Verified<Roster> {
    let envelope = sign::<Roster>(claims, &cluster(), &key(Purpose::Enrolment)).unwrap();
    let anchors = anchors();
    let trust = Trust { anchors: &anchors, now: Timestamp::from_seconds(NOW_S) };
    Unverified::new(&envelope).verify::<Roster>(trust, &()).unwrap()
}

#[test]
fn a_roster_is_read_as_it_was_signed_and_signed_by_the_enrolment_key_alone() {
    assert_eq!(*verified(&roster(7)).claims(), roster(7));
    let access = AgentAccess { agent: id("web"), owner: id("ann"), shared_with: vec![] };
    let of_web = RosterClaims { access: Some(access), ..roster(7) };
    assert_eq!(*verified(&of_web).claims(), of_web);
    let empty = RosterClaims { revoked: vec![], overseers: vec![], ..roster(0) };
    assert_eq!(*verified(&empty).claims(), empty);
    let refused = sign::<Roster>(&roster(7), &cluster(), &key(Purpose::TaskIssuer));
    assert_eq!(refused.unwrap_err().code(), ErrorCode::KeyNotValid);
}

#[test]
fn a_roster_has_one_encoding() {
    let twice = |key| vec![KeyId([key; 16]), KeyId([1; 16])];
    for revoked in [twice(2), twice(1)] {
        let claims = RosterClaims { revoked, ..roster(7) };
        let refused = sign::<Roster>(&claims, &cluster(), &key(Purpose::Enrolment));
        assert_eq!(refused.unwrap_err().code(), ErrorCode::ClaimsInvalid);
    }
}

#[test]
fn a_roster_may_name_more_keys_than_any_other_envelope_has_bytes() {
    let revoked = (0..24_000_u32).map(|nth| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&nth.to_be_bytes());
        KeyId(id)
    });
    let claims = RosterClaims { revoked: revoked.collect(), ..roster(7) };
    assert_eq!(verified(&claims).claims().revoked.len(), 24_000);
    let long = OrderClaims { order_json: " ".repeat(ENVELOPE_BYTES_MAX), ..order() };
    let refused = sign::<Order>(&long, &cluster(), &key(Purpose::TaskIssuer));
    assert_eq!(refused.unwrap_err().code(), ErrorCode::EnvelopeTooLarge);
}

#[test]
fn attack_47_a_roster_that_was_rolled_back_is_not_believed() {
    let roster = verified(&roster(7));
    let check = |seen, expected: Option<ErrorCode>| {
        assert_eq!(roster.check_version(seen).err().map(RosterError::code), expected);
    };
    check(0, None);
    check(7, None);
    check(8, Some(ErrorCode::RosterStale));
    check(u64::MAX, Some(ErrorCode::RosterStale));
}

#[test]
fn a_roster_is_too_old_after_a_day() {
    let roster = verified(&roster(7));
    let check = |now_s, expected: Option<ErrorCode>| {
        let result = roster.check_age(Timestamp::from_seconds(now_s));
        assert_eq!(result.err().map(RosterError::code), expected, "{now_s}");
    };
    check(NOW_S - 10, None);
    check(NOW_S + ROSTER_AGE_S_MAX, None);
    check(NOW_S + ROSTER_AGE_S_MAX + 1, Some(ErrorCode::RosterStale));
}
