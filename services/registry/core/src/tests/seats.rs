//! Principals that nobody has to invite.

use schemas::{
    principal::{PrincipalKind, UserRole},
    registry::{CertifiedKey, Seat},
};

use super::{cast::*, *};

fn founder() -> Seat {
    Seat { role: Some(UserRole::Admin), ..seat("founder", PrincipalKind::Person) }
}

fn command(seat: Seat) -> Command {
    Command::Seat(Box::new(seat))
}

/// What is due once the settings name this founder.
fn due(given: &[RegistryEvent], seat: Seat) -> Vec<Command> {
    let (state, mut facts) = (state(given), now());
    Registry::observe(&state, &mut facts, Observation::Founders(vec![seat]));
    Registry::due(&state, &facts)
}

#[test]
fn a_founder_is_seated_once() {
    let seats = command(founder());
    assert_eq!(due(&[], founder()), std::slice::from_ref(&seats));
    check(&[], &now(), &seats, Ok(vec![seated(founder())]));
    let given = [seated(founder())];
    assert_eq!(due(&given, founder()), []);
    check(&given, &now(), &seats, Ok(Vec::new()));
}

#[test]
fn a_seat_with_new_keys_replaces_the_old_ones() {
    let given = [seated(founder())];
    let moved =
        Seat { login: login("founder", 1), keys: vec![certified("founder", 1)], ..founder() };
    check(&given, &now(), &command(moved.clone()), Ok(vec![seated(moved.clone())]));
    let after = state(&[given.to_vec(), vec![seated(moved.clone())]].concat());
    let founder_now = after.principals().get(&id("founder")).unwrap();
    assert!(founder_now.key(key_id("founder", 0)).unwrap().ended_at.is_some());
    assert!(after.principals().retired().contains_key(&login("founder", 0)));
    // Settings that are older than the log bring no old key back.
    let given = [given.to_vec(), vec![seated(moved)]].concat();
    check(&given, &now(), &command(founder()), Ok(Vec::new()));
    assert_eq!(due(&given, founder()), []);
}

#[test]
fn a_seat_whose_certificates_were_renewed_may_give_orders_for_longer() {
    let until = |not_after_s| {
        let key = CertifiedKey { not_after_s, ..certified("founder", 0) };
        Seat { keys: vec![key], ..founder() }
    };
    let given = [seated(founder())];
    let renewed = until(CAST_ENDS_S + 9);
    check(&given, &now(), &command(renewed.clone()), Ok(vec![seated(renewed.clone())]));
    let given = [given.to_vec(), vec![seated(renewed.clone())]].concat();
    let after = state(&given);
    let key = after.principals().get(&id("founder")).unwrap().key(key_id("founder", 0)).unwrap();
    assert!(key.is_current(Timestamp::from_seconds(CAST_ENDS_S + 8)));
    for seat in [renewed, until(CAST_ENDS_S - 9)] {
        check(&given, &now(), &command(seat), Ok(Vec::new()));
    }
}

#[test]
fn a_seat_undoes_no_rotation_no_role_and_no_eviction() {
    let rotated = RegistryEvent::KeysRotated {
        principal: id("founder"),
        login: login("founder", 1),
        keys: vec![certified("founder", 1)],
    };
    let demoted =
        RegistryEvent::RoleSet { person: id("founder"), role: UserRole::User, by: id("root") };
    for event in [rotated, demoted] {
        let given = [seated(founder()), event];
        check(&given, &now(), &command(founder()), Ok(Vec::new()));
    }
    for out in [evicted("founder"), banned("founder")] {
        let given = [seated(founder()), out];
        check(&given, &now(), &command(founder()), Err(ErrorCode::PrincipalOut));
        assert_eq!(due(&given, founder()), []);
    }
}

#[test]
fn a_seat_takes_nobodys_name_nor_keys() {
    let invited = [invite_made("founder", "root"), redeemed("founder", 1)];
    check(&invited, &now(), &command(founder()), Err(ErrorCode::PrincipalTaken));
    let stolen = Seat { keys: vec![certified("root", 0)], ..founder() };
    check(&[], &now(), &command(stolen), Err(ErrorCode::KeyNotValid));
    let stolen = Seat { login: login("root", 0), ..founder() };
    check(&[], &now(), &command(stolen), Err(ErrorCode::KeyNotValid));
    let other_kind = Seat { role: None, ..seat("root", PrincipalKind::Agent) };
    check(&[], &now(), &command(other_kind), Err(ErrorCode::PrincipalTaken));
}
