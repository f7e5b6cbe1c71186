//! Whose order counts, and how keys are replaced and taken out of use.

use schemas::{key::KeyPurpose, principal::UserRole};

use super::{cast::*, *};
use crate::{Deed, Effect, MembershipQuestion, Offer, RosterContent};

fn rotated(name: &str, number: u8) -> RegistryEvent {
    let (principal, login) = (id(name), login(name, number));
    RegistryEvent::KeysRotated { principal, login, keys: vec![fresh(name, number)] }
}

fn revoke(name: &str, number: u8) -> Deed {
    Deed::RevokeKey { key: key_id(name, number), reason: "lost".to_owned() }
}

fn revoked(name: &str, by: &str) -> RegistryEvent {
    let (principal, key, reason) = (id(name), key_id(name, 0), "lost".to_owned());
    RegistryEvent::KeyRevoked { principal, key, by: id(by), reason }
}

fn roster(asker: &str, given: &[RegistryEvent]) -> RosterContent {
    match ask_as(asker, given, Question::Membership(MembershipQuestion::Roster)) {
        Ok(Answer::Roster(content)) => *content,
        other => panic!("{other:?} is no roster"),
    }
}

#[test]
fn an_order_counts_with_a_current_key_of_somebody_who_may_take_part() {
    let mut stolen = signed("root", evict("bob"));
    stolen.key = key_id("olga", 0);
    check(&[], &now(), &Command::Order(Box::new(stolen)), Err(ErrorCode::KeyNotValid));
    let by_root = || order("root", evict("bob"));
    check(&[rotated("root", 1)], &now(), &by_root(), Err(ErrorCode::KeyNotValid));
    check(&[revoked("root", "root")], &now(), &by_root(), Err(ErrorCode::KeyRevoked));
    check(&[evicted("root")], &now(), &by_root(), Err(ErrorCode::PrincipalOut));
    let mut late = now();
    late.now_ms = CAST_ENDS_S * 1000;
    check(&[], &late, &by_root(), Err(ErrorCode::KeyNotValid));
    check(&[], &now(), &order("nobody", evict("bob")), Err(ErrorCode::PrincipalNotFound));
}

#[test]
fn everybody_rotates_their_own_keys() {
    for name in ["alice", "web", "root", "scheduler"] {
        let deed = Deed::RotateKeys(offer(name, 1));
        check_order(&[], name, deed.clone(), Ok(vec![rotated(name, 1)]));
        let Answer::Rotated(grant) = answer_to(&[], &order(name, deed)) else {
            panic!("nothing rotated");
        };
        assert_eq!((grant.login, grant.keys), (login(name, 1), vec![fresh(name, 1)]));
    }
}

#[test]
fn a_rotation_ends_the_old_keys_and_leaves_what_was_signed() {
    let after = state(&[rotated("web", 1)]);
    let web = after.principals().get(&id("web")).unwrap();
    let old = web.key(key_id("web", 0)).unwrap();
    assert_eq!((old.ended_at, old.revoked_at), (Some(Timestamp(LONG_AGO_MS)), None));
    assert_eq!(old.certified, certified("web", 0));
    assert_eq!(web.view().keys[0].not_after_s, LONG_AGO_MS / 1000);
    assert_eq!(roster("web", &[rotated("web", 1)]).revoked, []);
    assert_eq!(Registry::react(&after, &rotated("web", 1)), []);
}

#[test]
fn whoever_is_put_out_loses_the_logins_from_before_a_rotation_as_well() {
    let after = state(&[rotated("web", 1), evicted("web")]);
    let refused: Vec<&String> = after.principals().retired().keys().collect();
    assert_eq!(refused, [&login("web", 0), &login("web", 1)]);
}

#[test]
fn a_rotation_whose_answer_was_lost_is_answered_again_with_the_old_key() {
    let given = [rotated("web", 1), taken("web")];
    let again = order("web", Deed::RotateKeys(offer("web", 1)));
    check(&given, &now(), &again, Ok(Vec::new()));
    assert_eq!(answer_to(&given, &again), answer_to(&[], &again));
    // Also by another order, for who was interrupted may have forgotten the first.
    check(&[rotated("web", 1)], &now(), &again, Ok(Vec::new()));
    let other = order("web", Deed::RotateKeys(offer("web", 2)));
    check(&[rotated("web", 1)], &now(), &other, Err(ErrorCode::KeyNotValid));
    let since = [given.to_vec(), vec![rotated("web", 2)]].concat();
    check(&since, &now(), &again, Err(ErrorCode::KeyNotValid));
    let stolen = [given.to_vec(), vec![revoked("web", "root")]].concat();
    check(&stolen, &now(), &again, Err(ErrorCode::KeyRevoked));
    let out = [given.to_vec(), vec![evicted("web")]].concat();
    check(&out, &now(), &again, Err(ErrorCode::PrincipalOut));
}

#[test]
fn a_rotation_brings_new_keys_of_the_same_purposes() {
    let refused = |name: &str, offer: Offer| {
        check_order(&[], name, Deed::RotateKeys(offer), Err(ErrorCode::KeyNotValid));
    };
    refused("web", Offer { login: login("web", 1), ..offer("web", 0) });
    refused("web", Offer { login: login("db", 0), ..offer("web", 1) });
    refused("web", Offer { keys: offer("db", 0).keys, ..offer("web", 1) });
    for name in ["web", "root"] {
        let keys = vec![key(name, 1, KeyPurpose::Scheduler)];
        refused(name, Offer { keys, ..offer(name, 1) });
    }
    let keys = vec![key("scheduler", 1, KeyPurpose::Checkpoint)];
    refused("scheduler", Offer { keys, ..offer("scheduler", 1) });
    let same_login = Offer { login: login("web", 0), ..offer("web", 1) };
    let decided =
        Registry::decide(&state(&[]), &order("web", Deed::RotateKeys(same_login)), &now());
    assert!(decided.is_ok(), "{decided:?}");
}

#[test]
fn the_last_admin_keeps_a_key_to_sign_with() {
    check_order(&[], "root", revoke("root", 0), Err(ErrorCode::NotAllowed));
    let admin = RegistryEvent::RoleSet { person: id("bob"), role: UserRole::Admin, by: id("root") };
    let then = RegistryEvent::KeyRevoked {
        principal: id("root"),
        key: key_id("root", 0),
        by: id("root"),
        reason: "lost".to_owned(),
    };
    check_order(&[admin], "root", revoke("root", 0), Ok(vec![then]));
}

#[test]
fn a_key_is_revoked_by_its_holder_the_holders_owner_and_admins() {
    for (signer, name) in [("bob", "bob"), ("alice", "bound"), ("root", "web")] {
        let then = RegistryEvent::KeyRevoked {
            principal: id(name),
            key: key_id(name, 0),
            by: id(signer),
            reason: "lost".to_owned(),
        };
        check_order(&[], signer, revoke(name, 0), Ok(vec![then]));
    }
    for (signer, name) in [("bob", "alice"), ("bob", "bound"), ("olga", "bob"), ("bound", "alice")]
    {
        check_order(&[], signer, revoke(name, 0), Err(ErrorCode::NotAllowed));
    }
    check_order(&[], "root", revoke("nobody", 0), Err(ErrorCode::KeyUnknown));
    check_order(&[revoked("web", "root")], "root", revoke("web", 0), Ok(Vec::new()));
    let root_key = RegistrySeat::seat();
    let deed = Deed::RevokeKey { key: root_key.keys[0].id, reason: String::new() };
    check_order(&[seated(root_key)], "root", deed, Err(ErrorCode::NotAllowed));
}

/// The registry, as it is seated with its enrolment key.
struct RegistrySeat;

impl RegistrySeat {
    fn seat() -> schemas::registry::Seat {
        let mut seat = seat("registry", schemas::principal::PrincipalKind::Service);
        seat.keys[0].offer.purpose = KeyPurpose::Enrolment;
        seat
    }
}

#[test]
fn the_roster_names_revoked_keys_and_those_who_oversee_and_ascends() {
    let before = roster("bob", &[]);
    assert_eq!(before.revoked, []);
    assert_eq!(before.overseers, [id("olga"), id("root")]);
    assert_eq!(before.access, None);
    for (event, revoked_keys) in [
        (revoked("web", "root"), vec![key_id("web", 0)]),
        (evicted("web"), vec![key_id("web", 0)]),
        (banned("web"), vec![key_id("web", 0)]),
    ] {
        let after = roster("bob", std::slice::from_ref(&event));
        assert_eq!(after.revoked, revoked_keys);
        assert_eq!(after.version, before.version + 1);
        let effects = Registry::react(&state(std::slice::from_ref(&event)), &event);
        let notice = schemas::agent::RosterNotice { version: after.version };
        assert!(effects.contains(&Effect::AnnounceRoster(notice)), "{effects:?}");
    }
    let demoted =
        RegistryEvent::RoleSet { person: id("olga"), role: UserRole::User, by: id("root") };
    assert_eq!(roster("bob", &[demoted]).overseers, [id("root")]);
    let fault = ask_as("web", &[evicted("web")], Question::Membership(MembershipQuestion::Roster));
    assert_eq!(fault.unwrap_err().code, ErrorCode::PrincipalOut);
}

#[test]
fn a_revoked_key_leaves_the_roster_when_nothing_that_it_signed_can_count() {
    let state = state(&[evicted("web")]);
    let at = |days: u64| {
        let query =
            Query { asker: id("root"), question: Question::Membership(MembershipQuestion::Roster) };
        let mut facts = now();
        facts.now_ms = (CAST_ENDS_S + days * 24 * 3600) * 1000;
        match Registry::answer(&state, &query, &facts) {
            Ok(Answer::Roster(content)) => content.revoked.len(),
            other => panic!("{other:?} is no roster"),
        }
    };
    assert_eq!((at(0), at(30), at(31)), (1, 1, 0));
}

#[test]
fn an_agent_learns_with_the_roster_whose_it_is_and_with_whom_it_is_shared() {
    let given = [
        RegistryEvent::AgentRegistered {
            manifest: Box::new(manifest("bound")),
            node: None,
            registrant: id("bound"),
            owner: id("alice"),
        },
        RegistryEvent::AgentShared {
            agent: id("bound"),
            with: patterns(&["bob"]).remove(0),
            by: id("alice"),
        },
    ];
    let access = roster("bound", &given).access.unwrap();
    assert_eq!((access.owner, access.shared_with), (id("alice"), patterns(&["bob"])));
    assert_eq!(roster("bound", &[]).access.unwrap().owner, id("alice"));
}
