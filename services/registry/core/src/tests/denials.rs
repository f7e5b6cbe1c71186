//! What the broker forbade: who may tell of it, what is recorded, and who reads it.

use schemas::{
    principal::{PrincipalKind, UserRole},
    registry::{
        DENIALS_REPORTED_MAX, DeniedAccess, DeniedAction, ReportDenialsAnswer,
        ReportDenialsRequest, Seat,
    },
};

use super::{cast::*, *};
use crate::{BROKER_ADMIN, sees_event};

/// A public key that stands for one.
fn nkey(letter: char) -> String {
    format!("U{}", letter.to_string().repeat(55))
}

/// Two who log in with keys as the broker knows them, and who looks after it.
fn given() -> Vec<RegistryEvent> {
    let with_login = |name: &str, kind, letter| Seat { login: nkey(letter), ..seat(name, kind) };
    let admin = Seat {
        role: Some(UserRole::Admin),
        ..with_login(BROKER_ADMIN, PrincipalKind::Person, 'A')
    };
    let node = Seat { owner: id("alice"), ..with_login("node", PrincipalKind::Agent, 'N') };
    vec![seated(admin), seated(node), seated(with_login("ann", PrincipalKind::Person, 'P'))]
}

fn denied(letter: char, action: DeniedAction, subject: &str) -> DeniedAccess {
    let (subject, since) = (subject.to_owned(), Timestamp(7));
    DeniedAccess { login: nkey(letter), action, subject, count: 1, since }
}

fn published(letter: char, subject: &str) -> DeniedAccess {
    denied(letter, DeniedAction::Publish, subject)
}

fn report(caller: &str, denials: Vec<DeniedAccess>) -> Command {
    let request = ReportDenialsRequest { denials, suppressed: 0 };
    Command::ReportDenials { caller: id(caller), request }
}

fn recorded(principal: Option<&str>, entry: DeniedAccess) -> RegistryEvent {
    let DeniedAccess { login, action, subject, count, since } = entry;
    let (principal, by) = (principal.map(id), id(BROKER_ADMIN));
    RegistryEvent::AccessDenied { principal, login, action, subject, count, since, by }
}

#[test]
fn a_denial_is_recorded_with_whoever_has_or_had_the_key() {
    let rotated = RegistryEvent::KeysRotated {
        principal: id("ann"),
        login: nkey('Q'),
        keys: vec![certified("ann", 1)],
    };
    let given = [given(), vec![rotated, evicted("node")]].concat();
    for (letter, who) in [('N', Some("node")), ('P', Some("ann")), ('Q', Some("ann")), ('X', None)]
    {
        let entry = published(letter, "a.b");
        let then = vec![recorded(who, entry.clone())];
        check(&given, &now(), &report(BROKER_ADMIN, vec![entry]), Ok(then));
    }
}

#[test]
fn equal_ones_become_one_event_with_their_count_and_the_first_time() {
    let rotated = RegistryEvent::KeysRotated {
        principal: id("ann"),
        login: nkey('Q'),
        keys: vec![certified("ann", 1)],
    };
    let given = [given(), vec![rotated]].concat();
    let entries = vec![
        DeniedAccess { count: 2, since: Timestamp(9), ..published('P', "a") },
        DeniedAccess { count: 3, since: Timestamp(5), ..published('Q', "a") },
        published('P', "b"),
        denied('P', DeniedAction::Subscribe, "a"),
        DeniedAccess { count: u32::MAX, ..published('X', "a") },
        published('X', "a"),
        published('Y', "a"),
    ];
    let then = vec![
        recorded(None, DeniedAccess { count: u32::MAX, ..published('X', "a") }),
        recorded(None, published('Y', "a")),
        recorded(
            Some("ann"),
            DeniedAccess { count: 5, since: Timestamp(5), ..published('P', "a") },
        ),
        recorded(Some("ann"), published('P', "b")),
        recorded(Some("ann"), denied('P', DeniedAction::Subscribe, "a")),
    ];
    check(&given, &now(), &report(BROKER_ADMIN, entries.clone()), Ok(then));
    let answer = answer_to(&given, &report(BROKER_ADMIN, entries));
    assert_eq!(answer, Answer::DenialsReported(ReportDenialsAnswer { recorded: 5 }));
}

#[test]
fn a_failed_login_is_nobodys_whatever_it_claims() {
    let entry = denied('N', DeniedAction::Login, "127.0.0.1");
    let then = vec![recorded(None, entry.clone())];
    check(&given(), &now(), &report(BROKER_ADMIN, vec![entry]), Ok(then));
}

#[test]
fn what_was_not_told_of_is_an_event_too() {
    let request = ReportDenialsRequest { denials: Vec::new(), suppressed: 7 };
    let command = Command::ReportDenials { caller: id(BROKER_ADMIN), request };
    let then = RegistryEvent::DenialsSuppressed { count: 7, by: id(BROKER_ADMIN) };
    check(&given(), &now(), &command, Ok(vec![then]));
    check(&given(), &now(), &report(BROKER_ADMIN, Vec::new()), Ok(Vec::new()));
}

#[test]
fn only_services_and_the_admin_of_the_broker_tell_of_denials() {
    let entry = || vec![published('N', "a")];
    for caller in ["scheduler", BROKER_ADMIN] {
        let decided = Registry::decide(&state(&given()), &report(caller, entry()), &now());
        assert_eq!(decided.map(|it| it.events.len()), Ok(1), "{caller}");
    }
    for caller in ["root", "olga", "audrey", "alice", "ann", "node", "nobody", "registry"] {
        check(&given(), &now(), &report(caller, entry()), Err(ErrorCode::NotAllowed));
    }
    let demoted =
        RegistryEvent::RoleSet { person: id(BROKER_ADMIN), role: UserRole::User, by: id("root") };
    let then = Err(ErrorCode::NotAllowed);
    check(&[given(), vec![demoted]].concat(), &now(), &report(BROKER_ADMIN, entry()), then);
    let out = [given(), vec![evicted(BROKER_ADMIN)]].concat();
    check(&out, &now(), &report(BROKER_ADMIN, entry()), Err(ErrorCode::PrincipalOut));
    let invited = [
        made(person_invite(BROKER_ADMIN, UserRole::Admin), "root"),
        redeemed(BROKER_ADMIN, 1),
        confirmed(BROKER_ADMIN),
    ];
    check(&invited, &now(), &report(BROKER_ADMIN, entry()), Err(ErrorCode::NotAllowed));
}

#[test]
fn too_much_and_what_no_broker_says_is_refused_as_a_whole() {
    let full = vec![published('N', "a"); DENIALS_REPORTED_MAX];
    let folded = DeniedAccess { count: 64, ..published('N', "a") };
    let then = vec![recorded(Some("node"), folded)];
    check(&given(), &now(), &report(BROKER_ADMIN, full.clone()), Ok(then));
    let one_more = [full, vec![published('N', "a")]].concat();
    let forged = vec![published('N', "a"), published('N', "a\x1b[31m")];
    for entries in [one_more, forged] {
        check(&given(), &now(), &report(BROKER_ADMIN, entries), Err(ErrorCode::InvalidValue));
    }
}

#[test]
fn a_denial_is_read_by_those_who_see_everything_and_by_whoever_was_denied() {
    let state = state(&given());
    let theirs = recorded(Some("node"), published('N', "a"));
    let nobodys = recorded(None, published('X', "a"));
    let suppressed = RegistryEvent::DenialsSuppressed { count: 7, by: id(BROKER_ADMIN) };
    for (viewer, sees) in [
        ("root", [true; 3]),
        ("olga", [true; 3]),
        ("audrey", [true; 3]),
        ("scheduler", [true; 3]),
        ("node", [true, false, false]),
        ("alice", [false; 3]),
        ("ann", [false; 3]),
    ] {
        let seen = [&theirs, &nobodys, &suppressed].map(|it| sees_event(&state, &id(viewer), it));
        assert_eq!(seen, sees, "{viewer}");
    }
}

#[test]
fn denials_leave_nothing_in_the_state() {
    let before = state(&given());
    let suppressed = RegistryEvent::DenialsSuppressed { count: 7, by: id(BROKER_ADMIN) };
    let denied = vec![recorded(Some("node"), published('N', "a")), suppressed];
    assert_eq!(state(&[given(), denied].concat()), before);
}
