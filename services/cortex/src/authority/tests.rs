//! Keys are made once, kept as a whole, and vouch for those whom they made.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

fn summary(path: &Path) -> trust::nats::Summary {
    Creds::from_file(&fs::read_to_string(path).unwrap()).unwrap().summary().clone()
}

#[test]
fn what_was_made_once_is_kept_and_only_its_owner_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broker.toml");
    let first = Authority::ensure(&path, "test", OperatorPlace::Here).unwrap();
    let second = Authority::ensure(&path, "test", OperatorPlace::Here).unwrap();
    assert!(first == second);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let operator = second.operator("/accounts".into()).unwrap();
    assert_eq!(operator.accounts[0].key, operator.system_account);
    let (_, about) = Jwt::parse(&operator.jwt).unwrap();
    assert_eq!((about.issuer, about.name.as_str()), (about.subject, "test"));
}

#[test]
fn the_operators_seed_can_be_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (path, apart) = (dir.path().join("broker.toml"), dir.path().join("usb"));
    let place = OperatorPlace::Apart(&apart);
    let authority = Authority::ensure(&path, "test", place).unwrap();
    let seed = fs::read_to_string(apart.join("operator.seed")).unwrap();
    let operator = Nkey::from_seed(NkeyKind::Operator, &seed).unwrap();
    let (_, about) = Jwt::parse(&authority.kept.operator_jwt).unwrap();
    assert_eq!(about.subject, operator.public().as_str());
    let kept = fs::read_to_string(&path).unwrap();
    assert!(!kept.contains(&seed) && !kept.contains("operator_seed"));
    // All that is done from day to day works without it.
    fs::remove_dir_all(&apart).unwrap();
    let authority = Authority::ensure(&path, "test", OperatorPlace::Here).unwrap();
    assert!(authority.operator("/accounts".into()).is_ok());
    for path in [&path, &dir.path().join("second.toml")] {
        fs::create_dir_all(&apart).unwrap();
        fs::write(apart.join("operator.seed"), "other").unwrap();
        let refused = Authority::ensure(path, "test", place).err().unwrap();
        assert_eq!(refused.code, ErrorCode::ConfigInvalid);
        assert!(refused.message.contains("is there already"), "{refused}");
    }
}

#[test]
fn credentials_are_kept_while_the_keys_vouch_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.creds");
    let authority = |file: &str| {
        Authority::ensure(&dir.path().join(file), "test", OperatorPlace::Here).unwrap()
    };
    let (ours, others) = (authority("a.toml"), authority("b.toml"));
    ours.ensure_creds(&path, &id("web"), Role::Node).unwrap();
    let first = summary(&path);
    assert_eq!(first.issuer, ours.scope(Role::Node).unwrap().public().as_str());
    ours.ensure_creds(&path, &id("web"), Role::Node).unwrap();
    assert_eq!(summary(&path), first);
    others.ensure_creds(&path, &id("web"), Role::Node).unwrap();
    assert_ne!(summary(&path).issuer, first.issuer);
    others.ensure_creds(&path, &id("web"), Role::Person).unwrap();
    assert_eq!(summary(&path).issuer, others.scope(Role::Person).unwrap().public().as_str());
    fs::write(&path, "torn").unwrap();
    let refused = ours.ensure_creds(&path, &id("web"), Role::Node).unwrap_err();
    assert!(refused.message.contains("web.creds"), "{refused}");
}

#[test]
fn a_damaged_file_is_named_and_no_seed_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broker.toml");
    Authority::ensure(&path, "test", OperatorPlace::Here).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let torn = text.replace("signing_seed = \"S", "signing_seed = S");
    fs::write(&path, torn).unwrap();
    let fault = Authority::ensure(&path, "test", OperatorPlace::Here).err().unwrap();
    assert!(fault.message.contains("broker.toml"), "{fault}");
    assert!(!fault.message.contains("SO") && !fault.message.contains("SA"), "{fault}");
}

#[test]
fn whoever_was_revoked_stays_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broker.toml");
    let mut authority = Authority::ensure(&path, "test", OperatorPlace::Here).unwrap();
    let out = new_key(NkeyKind::User).public();
    authority.kept.revoked.insert(out.to_string(), 77);
    assert_eq!(authority.cortex_claims().unwrap().revocations, BTreeMap::from([(out, 77)]));
    fs::write(&path, files::toml_text(&authority.kept)).unwrap();
    assert!(Authority::ensure(&path, "test", OperatorPlace::Here).unwrap() == authority);
}

#[test]
fn a_role_that_is_new_gets_a_key_and_the_others_keep_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broker.toml");
    let mut authority = Authority::ensure(&path, "test", OperatorPlace::Here).unwrap();
    let gateway = authority.kept.roles.remove("gateway").unwrap();
    fs::write(&path, files::toml_text(&authority.kept)).unwrap();
    let more = Authority::ensure(&path, "test", OperatorPlace::Here).unwrap();
    assert!(more.kept.roles["gateway"] != gateway);
    assert!(more.kept.roles["node"] == authority.kept.roles["node"]);
    assert!(Authority::ensure(&path, "test", OperatorPlace::Here).unwrap() == more);
}
