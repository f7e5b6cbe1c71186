//! Who may let whom in, and under which name.

use schemas::{
    enrolment::{GetInvitesAnswer, Invite, InviteState},
    principal::{PrincipalKind, UserRole},
    registry::Seat,
};

use super::{cast::*, *};
use crate::{Deed, INVITES_OPEN_MAX, MembershipQuestion, principals::AGENTS_OF_USER_MAX};

fn deed(invite: Invite) -> Deed {
    Deed::Invite(Box::new(invite))
}

#[track_caller]
fn invites(signer: &str, invite: Invite) {
    check_order(&[], signer, deed(invite.clone()), Ok(vec![made(invite, signer)]));
}

#[track_caller]
fn refused(given: &[RegistryEvent], signer: &str, invite: Invite, code: ErrorCode) {
    check_order(given, signer, deed(invite), Err(code));
}

#[test]
fn agents_are_invited_by_their_owners_and_those_who_oversee() {
    for signer in ["alice", "olga", "root"] {
        invites(signer, invite("new"));
    }
    let of_bob = || Invite { owner: Some(id("bob")), ..invite("new") };
    invites("olga", of_bob());
    invites("bob", of_bob());
    for signer in ["alice", "audrey", "web", "gateway"] {
        refused(&[], signer, of_bob(), ErrorCode::NotAllowed);
    }
    for signer in ["audrey", "web", "gateway"] {
        refused(&[], signer, invite("new"), ErrorCode::NotAllowed);
    }
}

#[test]
fn a_name_that_agents_of_others_trust_is_not_for_users_to_give() {
    let trusting =
        |pattern: &str| Manifest { accepts_tasks_from: patterns(&[pattern]), ..manifest("vault") };
    for (pattern, then) in [
        ("ne*", Err(ErrorCode::NotAllowed)),
        ("new", Err(ErrorCode::NotAllowed)),
        ("*", Ok(vec![made(invite("new"), "alice")])),
        ("old-*", Ok(vec![made(invite("new"), "alice")])),
    ] {
        let of_bob = [registered_by("bob", trusting(pattern))];
        check_order(&of_bob, "alice", deed(invite("new")), then);
        check_order(&of_bob, "olga", deed(invite("new")), Ok(vec![made(invite("new"), "olga")]));
        let of_alice = [registered_by("alice", trusting(pattern))];
        check_order(
            &of_alice,
            "alice",
            deed(invite("new")),
            Ok(vec![made(invite("new"), "alice")]),
        );
    }
    let tasking = Manifest { can_task: patterns(&["ne*"]), ..manifest("vault") };
    refused(&[registered_by("bob", tasking)], "alice", invite("new"), ErrorCode::NotAllowed);
}

#[test]
fn people_are_invited_by_those_who_oversee_and_beyond_users_by_admins_alone() {
    for role in UserRole::ALL {
        invites("root", person_invite("new", role));
        let by_operator = deed(person_invite("new", role));
        let then = if role == UserRole::User {
            Ok(vec![made(person_invite("new", role), "olga")])
        } else {
            Err(ErrorCode::NotAllowed)
        };
        check_order(&[], "olga", by_operator, then);
        refused(&[], "alice", person_invite("new", role), ErrorCode::NotAllowed);
    }
    invites("olga", Invite { role: None, ..person_invite("new", UserRole::User) });
}

#[test]
fn a_name_is_given_once() {
    let unenrolled = [registered_by("bob", manifest("hook"))];
    let promised = [invite_made("new", "bob")];
    let pending = [invite_made("new", "alice"), redeemed("new", 1)];
    let other = |name| Invite { invite: "f".repeat(32), ..invite(name) };
    for (given, signer, name) in [
        (&[][..], "alice", "web"),
        (&[], "root", "alice"),
        (&[], "root", "registry"),
        (&[], "root", "gateway"),
        (&[], "root", "invite-x"),
        (&unenrolled, "alice", "hook"),
        (&promised, "alice", "new"),
        (&promised, "olga", "new"),
        (&pending, "alice", "new"),
        (&pending, "root", "new"),
    ] {
        refused(given, signer, other(name), ErrorCode::PrincipalTaken);
    }
    refused(&promised, "bob", invite("elsewhere"), ErrorCode::PrincipalTaken);
    for (given, signer, name) in [
        (&unenrolled[..], "bob", "hook"),
        (&unenrolled, "olga", "hook"),
        (&promised, "bob", "new"),
        (&promised, "root", "new"),
    ] {
        let invite = other(name);
        check_order(given, signer, deed(invite.clone()), Ok(vec![made(invite, signer)]));
    }
}

#[test]
fn another_invite_for_a_name_ends_the_first() {
    let again = made(Invite { invite: "f".repeat(32), ..invite("new") }, "alice");
    let given = [invite_made("new", "alice"), again];
    check(&given, &now(), &redeem(offer("new", 1)), Err(ErrorCode::InviteUnknown));
}

#[test]
fn an_evicted_principal_comes_back_as_it_was_and_a_banned_one_never() {
    let mine = || invite("bound");
    let out = [evicted("bound")];
    for signer in ["alice", "olga"] {
        check_order(&out, signer, deed(mine()), Ok(vec![made(mine(), signer)]));
    }
    refused(&out, "bob", mine(), ErrorCode::PrincipalTaken);
    refused(&out, "root", person_invite("bound", UserRole::User), ErrorCode::PrincipalTaken);
    for out in [vec![banned("bound")], vec![evicted("bound"), banned("bound")]] {
        refused(&out, "root", mine(), ErrorCode::PrincipalOut);
    }
}

#[test]
fn an_agent_belongs_to_a_person_who_may_take_part() {
    let of = |owner: &str| Invite { owner: Some(id(owner)), ..invite("new") };
    refused(&[], "root", of("nobody"), ErrorCode::PrincipalNotFound);
    refused(&[], "root", of("web"), ErrorCode::InvalidValue);
    refused(&[evicted("bob")], "root", of("bob"), ErrorCode::PrincipalOut);
}

#[test]
fn an_invite_that_makes_no_sense_is_refused() {
    for invite in [
        Invite { lifetime_s: 0, ..invite("new") },
        Invite { lifetime_s: 24 * 3600 + 1, ..invite("new") },
        Invite { invite: "short".to_owned(), ..invite("new") },
        Invite { kind: PrincipalKind::Service, ..invite("new") },
        Invite { role: Some(UserRole::User), ..invite("new") },
        Invite { owner: Some(id("bob")), ..person_invite("new", UserRole::User) },
        Invite { capabilities: Some(Vec::new()), ..person_invite("new", UserRole::User) },
    ] {
        refused(&[], "root", invite, ErrorCode::InvalidValue);
    }
}

#[test]
fn one_principal_has_so_many_open_invites_and_no_more() {
    let number = |n: usize| Invite { invite: format!("{n:032x}"), ..invite(&format!("new-{n}")) };
    let given: Vec<_> = (0..INVITES_OPEN_MAX).map(|n| made(number(n), "alice")).collect();
    refused(&given, "alice", number(INVITES_OPEN_MAX), ErrorCode::NotAllowed);
    let one_less = &given[1..];
    let next = number(INVITES_OPEN_MAX);
    check_order(one_less, "alice", deed(next.clone()), Ok(vec![made(next, "alice")]));
}

#[test]
fn a_user_lets_in_so_many_agents_and_those_that_are_out_count() {
    let agent = |n: usize| Seat {
        id: id(&format!("m-{n}")),
        owner: id("alice"),
        login: format!("U{n}"),
        keys: Vec::new(),
        ..seat("m", PrincipalKind::Agent)
    };
    let out = |n: usize| evicted(&format!("m-{n}"));
    // One is of the cast.
    let seats: Vec<_> = (1..AGENTS_OF_USER_MAX).map(agent).map(seated).collect();
    let given: Vec<_> = seats.into_iter().chain((1..9).map(out)).collect();
    refused(&given, "alice", invite("new"), ErrorCode::NotAllowed);
    let back = invite("m-1");
    check_order(&given, "alice", deed(back.clone()), Ok(vec![made(back, "alice")]));
    let by_olga = Invite { owner: Some(id("alice")), ..invite("new") };
    check_order(&given, "olga", deed(by_olga.clone()), Ok(vec![made(by_olga, "olga")]));
    let first = &given[1..AGENTS_OF_USER_MAX - 1];
    check_order(first, "alice", deed(invite("new")), Ok(vec![invite_made("new", "alice")]));
}

#[test]
fn an_order_that_is_handed_in_again_is_answered_alike_and_changes_nothing() {
    let given = [invite_made("new", "alice"), taken("alice")];
    let again = order("alice", deed(invite("new")));
    check(&given, &now(), &again, Ok(Vec::new()));
    assert_eq!(answer_to(&given, &again), answer_to(&[], &again));
    let void = [given.to_vec(), vec![evicted("new")]].concat();
    check(&void, &now(), &again, Err(ErrorCode::InviteUnknown));
}

#[test]
fn open_invites_are_listed_for_their_parties() {
    let seen = |asker: &str, given: &[RegistryEvent]| {
        let question = Question::Membership(MembershipQuestion::Invites);
        match ask_as(asker, given, question) {
            Ok(Answer::Invites(GetInvitesAnswer { invites })) => invites,
            other => panic!("{other:?} lists no invites"),
        }
    };
    let made = vec![invite_made("new", "alice")];
    let pending = [made.clone(), vec![redeemed("new", 1)]].concat();
    let used = [pending.clone(), vec![confirmed("new")]].concat();
    for asker in ["alice", "root", "audrey", "scheduler"] {
        assert_eq!(seen(asker, &made)[0].state, InviteState::Unused);
        assert_eq!(seen(asker, &pending)[0].state, InviteState::Pending);
        assert_eq!(seen(asker, &used), []);
    }
    assert_eq!(seen("bob", &made), []);
}
