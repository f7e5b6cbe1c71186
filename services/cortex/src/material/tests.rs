//! Material is made once, kept, and fits together.

use super::*;

#[test]
fn what_was_made_once_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let first = Material::ensure(&home).unwrap();
    let anchors = files::read(&first.anchors).unwrap();
    let second = Material::ensure(&home).unwrap();
    assert!(first == second);
    assert_eq!(files::read(&second.anchors).unwrap(), anchors);
}

#[test]
fn both_keys_are_trusted_for_their_purpose_and_principal() {
    let dir = tempfile::tempdir().unwrap();
    let material = Material::ensure(&Home::at(dir.path())).unwrap();
    let anchors = TrustAnchors::from_file(&files::read(&material.anchors).unwrap()).unwrap();
    assert_eq!(anchors.cluster().as_str(), material.identities.cluster);
    for (path, principal) in [
        (&material.owner_key, material.identities.owner.as_str()),
        (&material.scheduler_key, "scheduler"),
    ] {
        let key = load_key(path).unwrap();
        let anchor = anchors.lookup(key.public().id(), key.public().purpose()).unwrap();
        assert_eq!(anchor.principal.as_str(), principal);
    }
}

#[test]
fn a_damaged_key_is_named_and_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let material = Material::ensure(&home).unwrap();
    write_private(&material.owner_key, b"{}").unwrap();
    let Err(fault) = Material::ensure(&home) else { panic!("a damaged key was accepted") };
    assert_eq!(fault.code, ErrorCode::ConfigInvalid);
    assert!(fault.message.contains("owner.json"), "{fault}");
    assert_eq!(files::read(&material.owner_key).unwrap(), "{}");
}

#[test]
fn every_account_has_a_name_and_password_of_its_own() {
    let who = Identities::invent();
    let accounts =
        [Account::Owner, Account::Registry, Account::Scheduler, Account::Node, Account::Admin];
    let names: BTreeSet<String> = accounts.iter().map(|account| who.login(*account).0).collect();
    let passwords: BTreeSet<String> =
        accounts.iter().map(|account| who.login(*account).1).collect();
    assert_eq!((names.len(), passwords.len()), (5, 5));
}

#[test]
fn the_person_has_the_systems_name_unless_it_is_taken_or_no_id() {
    for (user, expected) in [
        (Some("Ada.Lovelace"), "ada-lovelace"),
        (Some("root"), "root"),
        (Some("local"), "owner"),
        (Some("scheduler"), "owner"),
        (Some("---"), "owner"),
        (Some(""), "owner"),
        (None, "owner"),
    ] {
        assert_eq!(owner_from(user).as_str(), expected, "{user:?}");
    }
}
