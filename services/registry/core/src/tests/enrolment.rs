//! An invite becomes a principal, once, for one set of keys.

use schemas::{
    enrolment::Invite,
    key::KeyPurpose,
    principal::{Standing, UserRole},
    registry::CertifiedKey,
};

use super::{cast::*, *};
use crate::{ABUSES_RECORDED_MAX, Deed, Grant, Offer, principals::KEYS_MAX};

const HOUR_MS: u64 = 3_600_000;

fn came_in(name: &str, number: u8) -> Vec<RegistryEvent> {
    let keys = vec![fresh(name, number)];
    let (invite, login) = (INVITE.to_owned(), login(name, number));
    vec![RegistryEvent::InviteRedeemed { invite, principal: id(name), login, keys }]
}

fn invited() -> Vec<RegistryEvent> {
    vec![invite_made("new", "alice")]
}

fn pending() -> Vec<RegistryEvent> {
    [invited(), vec![redeemed("new", 1)]].concat()
}

fn active() -> Vec<RegistryEvent> {
    [pending(), vec![confirmed("new")]].concat()
}

fn granted(answer: Answer) -> Grant {
    let Answer::Granted(grant) = answer else { panic!("{answer:?} grants nothing") };
    *grant
}

#[test]
fn an_invite_is_redeemed_and_its_keys_are_certified() {
    check(&invited(), &now(), &redeem(offer("new", 1)), Ok(came_in("new", 1)));
    let grant = granted(answer_to(&invited(), &redeem(offer("new", 1))));
    assert_eq!((grant.principal, grant.owner), (id("new"), id("alice")));
    assert_eq!((grant.login, grant.keys), (login("new", 1), vec![fresh("new", 1)]));
    let state = state(&pending());
    assert_eq!(state.principals().get(&id("new")).unwrap().standing, Standing::Pending);
}

#[test]
fn attack_91_the_same_keys_may_try_again_wherever_a_join_was_interrupted() {
    for given in [pending(), active()] {
        check(&given, &now(), &redeem(offer("new", 1)), Ok(Vec::new()));
        let grant = granted(answer_to(&given, &redeem(offer("new", 1))));
        assert_eq!((grant.login, grant.keys), (login("new", 1), vec![certified("new", 1)]));
    }
}

#[test]
fn attack_89_an_invite_brings_in_one_set_of_keys_however_many_redeem_it_at_once() {
    let mut live = state(&invited());
    let mut came_in = Vec::new();
    for number in [1, 2, 1, 3] {
        let decided = Registry::decide(&live, &redeem(offer("new", number)), &now()).unwrap();
        for event in &decided.events {
            Registry::evolve(&mut live, event, &Recorded { at_ms: NOW_MS, term: 1 });
        }
        if let Answer::Granted(grant) = decided.answer {
            came_in.push(grant.login);
        }
    }
    assert_eq!(came_in, [login("new", 1), login("new", 1)]);
}

#[test]
fn attack_92_other_keys_are_refused_and_an_alarm_is_recorded() {
    let alarm = |number| RegistryEvent::InviteAbused {
        invite: INVITE.to_owned(),
        principal: id("new"),
        login: login("new", number),
    };
    for given in [pending(), active()] {
        check(&given, &now(), &redeem(offer("new", 2)), Ok(vec![alarm(2)]));
        let Answer::Refused(fault) = answer_to(&given, &redeem(offer("new", 2))) else {
            panic!("other keys were let in");
        };
        assert_eq!(fault.code, ErrorCode::InviteUsed);
        let more = Offer {
            keys: [offer("new", 1).keys, offer("new", 3).keys].concat(),
            ..offer("new", 1)
        };
        assert!(matches!(answer_to(&given, &redeem(more)), Answer::Refused(_)));
    }
    let known = [pending(), vec![alarm(2)]].concat();
    check(&known, &now(), &redeem(offer("new", 2)), Ok(Vec::new()));
    let many = (0..ABUSES_RECORDED_MAX).map(|n| alarm(10 + u8::try_from(n).unwrap()));
    let many: Vec<_> = pending().into_iter().chain(many).collect();
    check(&many, &now(), &redeem(offer("new", 2)), Ok(Vec::new()));
}

#[test]
fn attack_90_an_invite_that_has_run_out_lets_nobody_in_who_has_it() {
    let mut late = now();
    late.now_ms = NOW_MS + HOUR_MS;
    for given in [invited(), pending(), active()] {
        check(&given, &late, &redeem(offer("new", 1)), Err(ErrorCode::InviteExpired));
    }
    late.now_ms -= 1;
    check(&pending(), &late, &redeem(offer("new", 1)), Ok(Vec::new()));
}

#[test]
fn whoever_does_not_know_the_secret_learns_nothing() {
    let mut wrong = redemption(offer("new", 1));
    wrong.secret_hash.0[31] ^= 1;
    let wrong = Command::Redeem(Box::new(wrong));
    for given in [Vec::new(), invited(), pending(), active()] {
        check(&given, &now(), &wrong, Err(ErrorCode::InviteUnknown));
    }
    check(&[], &now(), &redeem(offer("new", 1)), Err(ErrorCode::InviteUnknown));
}

#[test]
fn an_invite_is_redeemed_with_its_own_login_alone() {
    for caller in ["alice", "root", "invite-00000000000000000000000000000002"] {
        let redemption = crate::Redemption { caller: id(caller), ..redemption(offer("new", 1)) };
        let command = Command::Redeem(Box::new(redemption));
        check(&invited(), &now(), &command, Err(ErrorCode::NotAllowed));
    }
}

#[test]
fn attack_93_no_key_and_no_login_is_certified_twice() {
    let others = Offer { keys: offer("alice", 0).keys, ..offer("new", 1) };
    check(&invited(), &now(), &redeem(others), Err(ErrorCode::KeyNotValid));
    let others = Offer { login: login("alice", 0), ..offer("new", 1) };
    check(&invited(), &now(), &redeem(others), Err(ErrorCode::KeyNotValid));
    let mut renamed = offer("new", 1);
    renamed.keys = vec![key("alice", 0, KeyPurpose::NodeLog)];
    check(&invited(), &now(), &redeem(renamed), Err(ErrorCode::KeyNotValid));
    let again = [active(), vec![evicted("new"), invite_made("new", "alice")]].concat();
    check(&again, &now(), &redeem(offer("new", 1)), Err(ErrorCode::KeyRevoked));
    let login_again = Offer { login: login("new", 1), ..offer("new", 2) };
    check(&again, &now(), &redeem(login_again), Err(ErrorCode::KeyNotValid));
    check(&again, &now(), &redeem(offer("new", 2)), Ok(came_in("new", 2)));
}

#[test]
fn whoever_comes_back_again_and_again_has_so_many_keys_and_no_more() {
    let number = |n: usize| u8::try_from(n + 2).unwrap();
    let life = |n: usize| [invite_made("new", "alice"), redeemed("new", number(n)), evicted("new")];
    let lives = |n: usize| (0..n).flat_map(life).chain(invited()).collect::<Vec<_>>();
    let next = || redeem(offer("new", 1));
    check(&lives(KEYS_MAX), &now(), &next(), Err(ErrorCode::NotAllowed));
    check(&lives(KEYS_MAX - 1), &now(), &next(), Ok(came_in("new", 1)));
}

#[test]
fn nobody_gets_a_key_of_the_control_plane_by_invitation() {
    for purpose in
        [KeyPurpose::Scheduler, KeyPurpose::Checkpoint, KeyPurpose::Enrolment, KeyPurpose::Root]
    {
        let wanted = Offer { keys: vec![key("new", 1, purpose)], ..offer("new", 1) };
        check(&invited(), &now(), &redeem(wanted), Err(ErrorCode::KeyNotValid));
    }
    let nothing = Offer { keys: Vec::new(), ..offer("new", 1) };
    check(&invited(), &now(), &redeem(nothing), Err(ErrorCode::InvalidValue));
}

#[test]
fn who_came_in_is_active_once_it_was_heard_under_its_own_name() {
    check(&pending(), &now(), &renew("new"), Ok(vec![confirmed("new")]));
    let registration = RegistryEvent::AgentRegistered {
        manifest: Box::new(manifest("new")),
        node: None,
        registrant: id("new"),
        owner: id("alice"),
    };
    let then = vec![confirmed("new"), registration];
    check(&pending(), &now(), &register("new", manifest("new")), Ok(then));
    check(&active(), &now(), &renew("new"), Ok(Vec::new()));
    let early = order("new", Deed::RotateKeys(offer("new", 2)));
    check(&pending(), &now(), &early, Err(ErrorCode::NotAllowed));
}

#[test]
fn certificates_are_renewed_in_the_last_third_of_their_life() {
    let third_s = schemas::enrolment::CERTIFICATE_LIFETIME_S / 3;
    let mut facts = now();
    facts.now_ms = (CAST_ENDS_S - third_s) * 1000;
    check(&[], &facts, &renew("web"), Ok(Vec::new()));
    facts.now_ms += 1000;
    let not_after_s = facts.now_ms / 1000 + schemas::enrolment::CERTIFICATE_LIFETIME_S;
    let renewed = vec![CertifiedKey { not_after_s, ..certified("web", 0) }];
    let event = RegistryEvent::KeysRenewed { principal: id("web"), keys: renewed.clone() };
    check(&[], &facts, &renew("web"), Ok(vec![event.clone()]));
    let grant = granted(Registry::decide(&state(&[]), &renew("web"), &facts).unwrap().answer);
    assert_eq!(grant.keys, renewed);
    check(&[event], &facts, &renew("web"), Ok(Vec::new()));
}

#[test]
fn attack_97_a_renewal_that_comes_after_the_eviction_is_refused() {
    for out in [evicted("new"), banned("new")] {
        let given = [active(), vec![out]].concat();
        check(&given, &now(), &renew("new"), Err(ErrorCode::PrincipalOut));
        check(&given, &now(), &redeem(offer("new", 1)), Err(ErrorCode::PrincipalOut));
    }
    check(&[], &now(), &renew("nobody"), Err(ErrorCode::PrincipalNotFound));
}

#[test]
fn an_invite_ends_with_whoever_made_it_and_whoever_it_was_for() {
    let for_bob = Invite { owner: Some(id("bob")), ..invite("new") };
    for (given, out) in [
        (invited(), evicted("alice")),
        (invited(), banned("new")),
        (vec![made(for_bob, "olga")], evicted("bob")),
        (
            vec![made(invite("new"), "olga")],
            RegistryEvent::RoleSet { person: id("olga"), role: UserRole::User, by: id("root") },
        ),
    ] {
        let given = [given, vec![out]].concat();
        check(&given, &now(), &redeem(offer("new", 1)), Err(ErrorCode::InviteUnknown));
    }
}
