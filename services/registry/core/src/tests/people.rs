//! Who may put whom out, say what people may do, and share agents.

use schemas::{permission::Denial, principal::UserRole, registry::CanTaskRequest};

use super::{cast::*, *};
use crate::{Deed, Effect, Listing};

fn put_out(deed: &Deed) -> RegistryEvent {
    let Deed::PutOut { principal, reason, how } = deed else { panic!("puts nobody out") };
    let (principal, by, reason) = (principal.clone(), id("root"), reason.clone());
    match how {
        crate::PutOut::Evict => RegistryEvent::PrincipalEvicted { principal, by, reason },
        crate::PutOut::Ban => RegistryEvent::PrincipalBanned { principal, by, reason },
    }
}

#[track_caller]
fn may(signer: &str, target: &str, allowed: bool) {
    for deed in [evict(target), ban(target)] {
        let decided = Registry::decide(&state(&[]), &order(signer, deed), &now());
        let code = decided.map(drop).map_err(|no| Fault::from(no).code);
        let then = if allowed { Ok(()) } else { Err(ErrorCode::NotAllowed) };
        assert_eq!(code, then, "{signer} and {target}");
    }
}

#[test]
fn admins_put_anybody_out_operators_nobody_above_them_and_owners_their_agents() {
    for target in ["alice", "olga", "audrey", "web", "bound"] {
        may("root", target, true);
        may("olga", target, true);
        may("audrey", target, false);
        may("alice", target, target == "bound");
    }
    may("olga", "root", false);
    may("root", "scheduler", false);
    may("root", "gateway", false);
    may("bound", "bound", false);
}

#[test]
fn an_agent_that_is_put_out_is_on_no_list_and_its_login_is_refused() {
    let given = [registered_by("bound", manifest("bound"))];
    let then = vec![put_out(&evict("bound")), deregistered("bound", "root")];
    check_order(&given, "root", evict("bound"), Ok(then.clone()));
    let after = state(&[given.to_vec(), then].concat());
    assert_eq!(after.agent(&id("bound")).unwrap().listing, Listing::Deregistered);
    let effects = Registry::react(&after, &evicted("bound"));
    let logins = [(login("bound", 0), LONG_AGO_MS / 1000)].into();
    assert!(effects.contains(&Effect::RefuseLogins(logins)), "{effects:?}");
    assert!(matches!(effects[1], Effect::AnnounceRoster(_)), "{effects:?}");
    assert_eq!(Registry::resume(&after), effects);
}

#[test]
fn who_is_out_can_still_be_banned_and_nothing_happens_twice() {
    check_order(&[evicted("bob")], "root", evict("bob"), Ok(Vec::new()));
    check_order(&[evicted("bob")], "root", ban("bob"), Ok(vec![put_out(&ban("bob"))]));
    check_order(&[banned("bob")], "root", ban("bob"), Ok(Vec::new()));
    check_order(&[banned("bob")], "root", evict("bob"), Ok(Vec::new()));
    check_order(&[], "root", evict("nobody"), Err(ErrorCode::PrincipalNotFound));
}

#[test]
fn an_invite_is_withdrawn_by_its_parties_and_those_who_oversee() {
    let given = [invite_made("new", "alice")];
    for signer in ["alice", "olga"] {
        let (principal, by) = (id("new"), id(signer));
        let event = RegistryEvent::PrincipalEvicted { principal, by, reason: String::new() };
        check_order(&given, signer, evict("new"), Ok(vec![event]));
    }
    check_order(&given, "bob", evict("new"), Err(ErrorCode::NotAllowed));
    let after = [given.to_vec(), vec![evicted("new")]].concat();
    check(&after, &now(), &redeem(offer("new", 1)), Err(ErrorCode::InviteUnknown));
}

#[test]
fn the_last_admin_stays() {
    let demote = Deed::SetRole { person: id("root"), role: UserRole::User };
    for deed in [demote.clone(), evict("root"), ban("root")] {
        check_order(&[], "root", deed, Err(ErrorCode::NotAllowed));
    }
    let promoted =
        RegistryEvent::RoleSet { person: id("bob"), role: UserRole::Admin, by: id("root") };
    let demoted =
        RegistryEvent::RoleSet { person: id("root"), role: UserRole::User, by: id("root") };
    check_order(std::slice::from_ref(&promoted), "root", demote, Ok(vec![demoted]));
    let out = [promoted, evicted("bob")];
    check_order(&out, "root", evict("root"), Err(ErrorCode::NotAllowed));
}

#[test]
fn roles_are_set_by_admins_for_people() {
    let set = |person: &str, role| Deed::SetRole { person: id(person), role };
    let then =
        RegistryEvent::RoleSet { person: id("bob"), role: UserRole::Auditor, by: id("root") };
    check_order(&[], "root", set("bob", UserRole::Auditor), Ok(vec![then]));
    check_order(&[], "root", set("bob", UserRole::User), Ok(Vec::new()));
    for signer in ["olga", "audrey", "bob", "web"] {
        check_order(&[], signer, set("bob", UserRole::Admin), Err(ErrorCode::NotAllowed));
    }
    check_order(&[], "root", set("web", UserRole::Admin), Err(ErrorCode::InvalidValue));
    check_order(&[], "root", set("nobody", UserRole::Admin), Err(ErrorCode::PrincipalNotFound));
    check_order(
        &[evicted("bob")],
        "root",
        set("bob", UserRole::Admin),
        Err(ErrorCode::PrincipalOut),
    );
}

#[test]
fn agents_are_shared_by_their_owners_and_admins() {
    let with = || patterns(&["bob"]).remove(0);
    let share = || Deed::Share { agent: id("bound"), with: with() };
    let unshare = || Deed::Unshare { agent: id("bound"), with: with() };
    let given = vec![RegistryEvent::AgentRegistered {
        manifest: Box::new(manifest("bound")),
        node: None,
        registrant: id("bound"),
        owner: id("alice"),
    }];
    let shared = |by| RegistryEvent::AgentShared { agent: id("bound"), with: with(), by: id(by) };
    let unshared =
        RegistryEvent::AgentUnshared { agent: id("bound"), with: with(), by: id("alice") };
    check_order(&given, "alice", share(), Ok(vec![shared("alice")]));
    check_order(&given, "root", share(), Ok(vec![shared("root")]));
    check_order(&given, "olga", share(), Err(ErrorCode::NotAllowed));
    check_order(&given, "bob", share(), Err(ErrorCode::AgentNotFound));
    check_order(&[], "alice", share(), Err(ErrorCode::AgentNotFound));
    check_order(&given, "alice", unshare(), Ok(Vec::new()));
    let given = [given, vec![shared("alice")]].concat();
    check_order(&given, "alice", share(), Ok(Vec::new()));
    check_order(&given, "bob", share(), Err(ErrorCode::NotAllowed));
    check_order(&given, "alice", unshare(), Ok(vec![unshared.clone()]));

    let denied = |given: &[RegistryEvent]| {
        let request = CanTaskRequest { from: id("bob"), to: id("bound") };
        match ask(given, Question::CanTask(request)) {
            Ok(Answer::CanTask(answer)) => answer.denials,
            other => panic!("{other:?} is no answer to can-task"),
        }
    };
    assert_eq!(denied(&given), []);
    assert_eq!(denied(&[given, vec![unshared]].concat()), [Denial::NotAccepted]);
}

#[test]
fn what_one_owner_shared_is_not_shared_by_the_next() {
    let of = |owner: &str| RegistryEvent::AgentRegistered {
        manifest: Box::new(manifest("bound")),
        node: None,
        registrant: id("bound"),
        owner: id(owner),
    };
    let with = patterns(&["thief"]).remove(0);
    let shared = RegistryEvent::AgentShared { agent: id("bound"), with, by: id("alice") };
    let shares =
        |given: &[RegistryEvent]| state(given).agent(&id("bound")).unwrap().shared_with.len();
    assert_eq!(shares(&[of("alice"), shared.clone(), of("alice")]), 1);
    assert_eq!(shares(&[of("alice"), shared, of("bob")]), 0);
}

#[test]
fn a_reason_is_one_short_line() {
    for reason in ["x".repeat(257), "two\nlines".to_owned()] {
        let deed = Deed::PutOut { principal: id("bob"), reason, how: crate::PutOut::Ban };
        check_order(&[], "root", deed, Err(ErrorCode::InvalidValue));
    }
}
