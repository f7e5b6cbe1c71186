//! Material is made once, kept, and fits together.

use super::*;

#[test]
fn what_was_made_once_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let first = Material::ensure(&home, OperatorPlace::Here).unwrap();
    let anchors = files::read(&first.anchors).unwrap();
    let second = Material::ensure(&home, OperatorPlace::Here).unwrap();
    assert!(first == second);
    assert_eq!(files::read(&second.anchors).unwrap(), anchors);
}

#[test]
fn both_keys_are_trusted_for_their_purpose_and_principal() {
    let dir = tempfile::tempdir().unwrap();
    let material = Material::ensure(&Home::at(dir.path()), OperatorPlace::Here).unwrap();
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
    let material = Material::ensure(&home, OperatorPlace::Here).unwrap();
    write_private(&material.owner_key, b"{}").unwrap();
    let Err(fault) = Material::ensure(&home, OperatorPlace::Here) else {
        panic!("a damaged key was accepted")
    };
    assert_eq!(fault.code, ErrorCode::ConfigInvalid);
    assert!(fault.message.contains("owner.json"), "{fault}");
    assert_eq!(files::read(&material.owner_key).unwrap(), "{}");
}

#[test]
fn everybody_who_logs_in_has_credentials_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let material = Material::ensure(&home, OperatorPlace::Here).unwrap();
    let mut keys = BTreeSet::new();
    for member in Member::ALL {
        let principal = material.identities.principal(member);
        let text = files::read(&home.creds(principal.as_str())).unwrap();
        let creds = trust::nats::Creds::from_file(&text).unwrap();
        assert_eq!(creds.summary().name, principal.as_str());
        keys.insert(creds.summary().subject.clone());
    }
    assert_eq!(keys.len(), Member::ALL.len());
}

#[test]
fn the_person_has_the_systems_name_unless_it_is_taken_or_no_id() {
    for (user, expected) in [
        (Some("Ada.Lovelace"), "ada-lovelace"),
        (Some("root"), "root"),
        (Some("local"), "owner"),
        (Some("admin"), "owner"),
        (Some("scheduler"), "owner"),
        (Some("---"), "owner"),
        (Some(""), "owner"),
        (None, "owner"),
    ] {
        assert_eq!(owner_from(user).as_str(), expected, "{user:?}");
    }
}
