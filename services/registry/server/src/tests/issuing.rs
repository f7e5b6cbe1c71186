//! What was granted, as it is sent; and what it is signed with.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use registry_core::{Answer, Grant, InviteGrant, RosterContent, SealedToken};
use schemas::{
    ErrorCode, Fault, Timestamp,
    claims::CertificateClaims,
    enrolment::{
        AgentAccess, LOGIN_LIFETIME_S, Membership, OrderAnswer, RENEWAL_LIFETIME_S, TokenView,
    },
    grants::Grants,
    key::KeyId,
    principal::{PrincipalKind, UserRole},
};
use trust::{
    Purpose, Trust, Unverified, certify,
    nats::{Jwt, NkeyKind, Role, Summary},
};

use super::house::{House, INVITE, Member, cluster, id, nkey, offered, secret};
use crate::{Issuing, complete::complete};

const NOW_S: u64 = 1_800_000_000;

fn house() -> House {
    House::new(NOW_S)
}

fn load(house: &House, settings: &str) -> Result<Issuing, Fault> {
    let loaded = Issuing::load(&house.write(settings), house.anchors(), house.now());
    loaded.map_err(|error| error.to_fault())
}

fn issuing(house: &House) -> Issuing {
    load(house, &house.settings()).unwrap()
}

fn grant(member: &Member, house: &House) -> Grant {
    let seat = member.seat(house, None);
    Grant {
        principal: seat.id,
        kind: PrincipalKind::Agent,
        role: None,
        owner: id("alice"),
        login: seat.login,
        keys: seat.keys,
        at: house.now(),
    }
}

fn membership(issuing: &Issuing, grant: &Grant) -> Membership {
    let answer = complete(Some(issuing), Answer::Granted(Box::new(grant.clone()))).unwrap();
    let Answer::Membership(membership) = answer else { panic!("{answer:?} is no membership") };
    *membership
}

/// What a login says, and that the key of this role made it.
fn login(jwt: &str, role: Role) -> Summary {
    let (_, summary) = Jwt::parse(jwt).unwrap();
    let maker = nkey(NkeyKind::Account, role.as_str());
    assert_eq!(summary.issuer, maker.public().as_str(), "not made by {role}");
    summary
}

fn bytes(certificates: &[String]) -> Vec<Vec<u8>> {
    certificates.iter().map(|text| STANDARD.decode(text).unwrap()).collect()
}

#[test]
fn a_membership_logs_in_and_is_believed_by_whoever_pins_the_root() {
    let house = house();
    let (issuing, web) = (issuing(&house), Member::new("web", 1));
    let given = membership(&issuing, &grant(&web, &house));
    assert_eq!((given.owner, given.cluster.as_str()), (id("alice"), "test"));
    let lives = [
        (&given.jwt, Role::Node, LOGIN_LIFETIME_S),
        (&given.renewal_jwt, Role::Renewer, RENEWAL_LIFETIME_S),
    ];
    for (jwt, role, life_s) in lives {
        let summary = login(jwt, role);
        assert_eq!((summary.name.as_str(), summary.issued_at_s), ("web", NOW_S));
        assert_eq!(summary.subject, web.login.public().as_str());
        assert_eq!(summary.expires_at_s, Some(NOW_S + life_s));
    }
    assert_eq!(given.expires_at, Timestamp::from_seconds(NOW_S + LOGIN_LIFETIME_S));
    let mut anchors = house.anchors();
    anchors.admit(&bytes(&given.certificates), house.now()).unwrap();
    let anchor = anchors.lookup(web.issuer.public().id(), Purpose::TaskIssuer).unwrap();
    assert_eq!(anchor.principal, id("web"));
}

#[test]
fn the_same_grant_gives_the_same_bytes() {
    let house = house();
    let grant = grant(&Member::new("web", 1), &house);
    assert_eq!(membership(&issuing(&house), &grant), membership(&issuing(&house), &grant));
}

#[test]
fn everybody_logs_in_as_what_they_are() {
    let house = house();
    let issuing = issuing(&house);
    let of = |name: &str, kind, role| Grant {
        principal: id(name),
        kind,
        role,
        ..grant(&Member::new("web", 1), &house)
    };
    let person = |role| of("bob", PrincipalKind::Person, Some(role));
    for (grant, role) in [
        (person(UserRole::Admin), Role::Person),
        (person(UserRole::Operator), Role::Person),
        (person(UserRole::User), Role::Person),
        (person(UserRole::Auditor), Role::Auditor),
        (of("gateway", PrincipalKind::Service, None), Role::Gateway),
    ] {
        login(&membership(&issuing, &grant).jwt, role);
    }
    let unknown = of("weather", PrincipalKind::Service, None);
    let fault = complete(Some(&issuing), Answer::Granted(Box::new(unknown))).unwrap_err();
    assert_eq!(fault.code, ErrorCode::NotAllowed);
}

#[test]
fn a_key_that_is_older_than_the_one_that_certifies_is_certified() {
    let house = house();
    let web = Member::new("web", 1);
    let mut old = grant(&web, &house);
    old.keys[0].not_before_s = NOW_S - 400 * 24 * 3600;
    let given = membership(&issuing(&house), &old);
    let mut anchors = house.anchors();
    anchors.admit(&bytes(&given.certificates), house.now()).unwrap();
    let anchor = anchors.lookup(web.issuer.public().id(), Purpose::TaskIssuer).unwrap();
    assert_eq!(anchor.not_before_s, old.keys[0].not_before_s);
}

#[test]
fn who_is_invited_may_log_in_until_the_invite_ends() {
    let house = house();
    let redeemer = Member::new("redeemer", 1).login.public();
    let grant = InviteGrant {
        invite: INVITE.to_owned(),
        redeemer: redeemer.to_string(),
        expires_at: Timestamp::from_seconds(NOW_S + 600),
        at: house.now(),
    };
    let answer = complete(Some(&issuing(&house)), Answer::Invited(Box::new(grant))).unwrap();
    let Answer::Ordered(ordered) = answer else { panic!("no answer to an order") };
    let OrderAnswer::Invited { jwt, .. } = *ordered else { panic!("nobody is invited") };
    let summary = login(&jwt, Role::Enroller);
    assert_eq!(summary.name, format!("invite-{INVITE}"));
    assert_eq!(
        (summary.subject.as_str(), summary.expires_at_s),
        (redeemer.as_str(), Some(NOW_S + 600))
    );
}

#[test]
fn the_roster_is_believed_by_whoever_pins_the_root() {
    let house = house();
    let content = RosterContent {
        version: 7,
        revoked: vec![KeyId([1; 16]), KeyId([2; 16])],
        overseers: vec![id("root")],
        access: Some(AgentAccess { agent: id("web"), owner: id("alice"), shared_with: Vec::new() }),
        at: house.now(),
    };
    let answer = complete(Some(&issuing(&house)), Answer::Roster(Box::new(content))).unwrap();
    let Answer::SignedRoster(roster) = answer else { panic!("no roster") };
    let mut anchors = house.anchors();
    anchors.admit(&bytes(&roster.certificates), house.now()).unwrap();
    let envelope = STANDARD.decode(&roster.envelope).unwrap();
    let trust = Trust { anchors: &anchors, now: house.now() };
    let verified = Unverified::new(&envelope).verify::<trust::Roster>(trust, &()).unwrap();
    assert_eq!((verified.claims().version, verified.claims().revoked.len()), (7, 2));
    assert_eq!(verified.claims().access.as_ref().unwrap().owner, id("alice"));
}

#[test]
fn the_largest_roster_fits_into_an_envelope() {
    let house = house();
    let key = |n: usize| {
        let mut key = [0xff; 16];
        key[..8].copy_from_slice(&u64::try_from(n).unwrap().to_be_bytes());
        KeyId(key)
    };
    let person = |n: usize| id(&format!("{n:02}{}", "x".repeat(61)));
    let content = RosterContent {
        version: u64::MAX,
        revoked: (0..registry_core::ROSTER_KEYS_MAX).map(key).collect(),
        overseers: (0..registry_core::OVERSEERS_MAX).map(person).collect(),
        access: None,
        at: house.now(),
    };
    complete(Some(&issuing(&house)), Answer::Roster(Box::new(content))).unwrap();
}

#[test]
fn a_token_comes_with_all_that_leads_to_its_key() {
    let house = house();
    let (alice, key) = (Member::new("alice", 1), secret(Purpose::TaskIssuer, "token"));
    let claims = CertificateClaims {
        issuer: id("alice"),
        subject: id("alice"),
        key: offered(&key),
        issued_at_s: NOW_S,
        not_before_s: NOW_S,
        not_after_s: NOW_S + 3600,
        bounds: Some(Grants::default()),
    };
    let sealed = SealedToken {
        token: TokenView {
            token: INVITE.to_owned(),
            name: "ci".to_owned(),
            owner: id("alice"),
            key: key.public().id(),
            grants: Grants::default(),
            created_at: house.now(),
            expires_at: Timestamp::from_seconds(NOW_S + 3600),
            revoked_at: None,
        },
        sealed: "c2VhbGVk".to_owned(),
        voucher: alice.seat(&house, None).keys.remove(0),
        certificate: STANDARD.encode(certify(&claims, &cluster(), &alice.issuer).unwrap()),
    };
    let answer = complete(Some(&issuing(&house)), Answer::Sealed(Box::new(sealed))).unwrap();
    let Answer::Unsealed(unsealed) = answer else { panic!("stays sealed") };
    let mut anchors = house.anchors();
    anchors.admit(&bytes(&unsealed.certificates), house.now()).unwrap();
    assert!(anchors.lookup(key.public().id(), Purpose::TaskIssuer).is_ok());
}

#[test]
fn a_recorded_refusal_is_an_error_and_nothing_is_granted_without_keys() {
    let refused = Fault::new(ErrorCode::InviteUsed, "used");
    let answer = complete(None, Answer::Refused(Box::new(refused.clone())));
    assert_eq!(answer.unwrap_err(), refused);
    let house = house();
    let granted = Answer::Granted(Box::new(grant(&Member::new("web", 1), &house)));
    let fault = complete(None, granted).unwrap_err();
    assert_eq!(fault.code, ErrorCode::ConfigInvalid);
    assert!(fault.hint.contains("issuing"), "{fault:?}");
}

#[test]
fn settings_that_cannot_be_used_are_refused_and_no_seed_is_shown() {
    let house = house();
    let good = house.settings();
    let seed = |role: &str| {
        let line = good.lines().find(|line| line.starts_with(&format!("{role} = "))).unwrap();
        line.to_owned()
    };
    let chain = format!("certificates = {:?}", house.chain());
    for (settings, says) in [
        (good.replace("[broker]", "shape = 1\n[broker]"), "shape"),
        (good.replace(&chain, "certificates = []"), "pinned"),
        (good.replace(&chain, "certificates = [\"%\"]"), "certificate 1"),
        (good.replace(&seed("node"), ""), "node"),
        (good.replace(&seed("node"), "node = \"SAnonsense\""), "node"),
        (format!("login_lifetime_s = 0\n{good}"), "login_lifetime_s"),
        (format!("renewal_lifetime_s = 99999999\n{good}"), "renewal_lifetime_s"),
        (good.replace("enrolment.key", "nowhere.key"), "nowhere.key"),
    ] {
        let fault = load(&house, &settings).unwrap_err();
        assert_eq!(fault.code, ErrorCode::ConfigInvalid, "{fault}");
        assert!(fault.message.contains(says), "{says}: {fault}");
        assert!(!fault.message.contains("\"S"), "{fault}");
    }
    let key = house.dir.path().join("enrolment.key");
    let other = secret(Purpose::TaskIssuer, "other").to_file();
    house.settings();
    std::fs::write(&key, other.as_bytes()).unwrap();
    assert!(load(&house, &good).unwrap_err().message.contains("task-issuer"));
}
