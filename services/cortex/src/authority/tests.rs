//! Keys are made once, kept as a whole, and vouch for those whom they made.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;
use crate::files::write_private;
use schemas::PrincipalId;
use trust::nats::{Creds, Role, Summary};

const HOUR_S: u64 = 3600;

fn summary(path: &Path) -> Summary {
    Creds::from_file(&fs::read_to_string(path).unwrap()).unwrap().summary().clone()
}

fn web(role: Role) -> User {
    User::new(PrincipalId::parse("web").unwrap(), role)
}

fn signer(authority: &Authority, role: Role) -> String {
    let key = authority.kept.roles[role.as_str()].key(NkeyKind::Account).unwrap();
    key.public().to_string()
}

/// Who is out by the account that the broker is given.
fn revoked(authority: &Authority) -> BTreeMap<PublicNkey, u64> {
    let operator = authority.operator().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let Account { key, jwt } = &operator.accounts[1];
    fs::write(dir.path().join(format!("{key}.jwt")), jwt).unwrap();
    let signer = authority.kept.signing_seed.key(NkeyKind::Operator).unwrap().public();
    Pushed::read(dir.path(), key, &signer).unwrap().revocations
}

fn ensure(home: &Home) -> Authority {
    Authority::ensure(home, "test", OperatorPlace::Here).unwrap()
}

#[test]
fn what_was_made_once_is_kept_and_only_its_owner_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let (first, second) = (ensure(&home), ensure(&home));
    assert!(first == second);
    assert_eq!(fs::metadata(home.broker_keys()).unwrap().permissions().mode() & 0o777, 0o600);
    let operator = second.operator().unwrap();
    assert_eq!(operator.accounts[0].key, operator.system_account);
    let (_, about) = Jwt::parse(&operator.jwt).unwrap();
    assert_eq!((about.issuer, about.name.as_str()), (about.subject, "test"));
}

#[test]
fn the_operators_seed_can_be_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (home, apart) = (Home::at(dir.path()), dir.path().join("usb"));
    let place = OperatorPlace::Apart(&apart);
    let authority = Authority::ensure(&home, "test", place).unwrap();
    let seed = fs::read_to_string(apart.join("operator.seed")).unwrap();
    let operator = Nkey::from_seed(NkeyKind::Operator, &seed).unwrap();
    let (_, about) = Jwt::parse(&authority.kept.operator_jwt).unwrap();
    assert_eq!(about.subject, operator.public().as_str());
    let kept = fs::read_to_string(home.broker_keys()).unwrap();
    assert!(!kept.contains(&seed) && !kept.contains("operator_seed"));
    // All that is done from day to day works without it.
    fs::remove_dir_all(&apart).unwrap();
    assert!(ensure(&home).operator().is_ok());
    for home in [&home, &Home::at(&dir.path().join("second"))] {
        fs::create_dir_all(&apart).unwrap();
        fs::write(apart.join("operator.seed"), "other").unwrap();
        let refused = Authority::ensure(home, "test", place).err().unwrap();
        assert_eq!(refused.code, ErrorCode::ConfigInvalid);
        assert!(refused.message.contains("is there already"), "{refused}");
    }
}

#[test]
fn a_renewal_keeps_the_key_and_lasts_as_long_as_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.creds");
    let [ours, others] = ["a", "b"].map(|name| ensure(&Home::at(&dir.path().join(name))));
    let user = web(Role::Node);
    let before_s = now_s();
    let Renewal::Until(until_s) = ours.renew(&path, &user, HOUR_S).unwrap() else {
        panic!("it is out")
    };
    let first = summary(&path);
    assert_eq!(first.issuer, signer(&ours, Role::Node));
    assert_eq!((first.expires_at_s, first.name.as_str()), (Some(until_s), "web"));
    assert!(before_s + HOUR_S <= until_s && until_s <= now_s() + HOUR_S, "{first:?}");
    ours.renew(&path, &user, 2 * HOUR_S).unwrap();
    let second = summary(&path);
    assert_eq!(second.subject, first.subject);
    assert!(until_s + HOUR_S <= second.expires_at_s.unwrap(), "{second:?}");
    // Another authority vouches for the same key, another principal has another one.
    others.renew(&path, &web(Role::Person), HOUR_S).unwrap();
    let third = summary(&path);
    assert_eq!(third.issuer, signer(&others, Role::Person));
    assert_eq!(third.subject, first.subject);
    let eve = User::new(PrincipalId::parse("eve").unwrap(), Role::Person);
    others.renew(&path, &eve, HOUR_S).unwrap();
    assert_ne!(summary(&path).subject, first.subject);
    fs::write(&path, "torn").unwrap();
    let refused = ours.renew(&path, &user, HOUR_S).unwrap_err();
    assert!(refused.message.contains("web.creds"), "{refused}");
}

#[test]
fn whoever_tells_servers_of_accounts_is_renewed_like_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("system.creds");
    let authority = ensure(&Home::at(dir.path()));
    authority.renew(&path, &User::system(), HOUR_S).unwrap();
    let first = summary(&path);
    let signing = authority.kept.system_seed.key(NkeyKind::Account).unwrap().public();
    assert_eq!((first.issuer.as_str(), first.name.as_str()), (signing.as_str(), "system"));
    assert!(first.expires_at_s.is_some());
    authority.renew(&path, &User::system(), HOUR_S).unwrap();
    assert_eq!(summary(&path).subject, first.subject);
}

#[test]
fn a_damaged_file_is_named_and_no_seed_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    ensure(&home);
    let text = fs::read_to_string(home.broker_keys()).unwrap();
    let torn = text.replace("signing_seed = \"S", "signing_seed = S");
    fs::write(home.broker_keys(), torn).unwrap();
    let fault = Authority::ensure(&home, "test", OperatorPlace::Here).err().unwrap();
    assert!(fault.message.contains("broker.toml"), "{fault}");
    assert!(!fault.message.contains("SO") && !fault.message.contains("SA"), "{fault}");
}

/// What the broker's directory has after somebody was revoked while it ran.
fn push(home: &Home, authority: &Authority, revoked: BTreeMap<PublicNkey, u64>, at_s: u64) {
    let jwt = authority.issuer().unwrap().account_jwt(&revoked, at_s);
    let path = home.broker_accounts().join(format!("{}.jwt", authority.kept.account));
    write_private(&path, jwt.as_str().as_bytes()).unwrap();
}

#[test]
fn whoever_was_revoked_while_the_broker_ran_stays_so() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let mut authority = ensure(&home);
    let [here, there, both] = [(); 3].map(|()| new_key(NkeyKind::User).public());
    authority.kept.revoked = BTreeMap::from([(here.to_string(), 77), (both.to_string(), 5)]);
    authority.kept.write(&home.broker_keys()).unwrap();
    let soon_s = now_s() + 10;
    push(&home, &authority, BTreeMap::from([(there.clone(), 88), (both.clone(), 6)]), soon_s);
    let all = BTreeMap::from([(here, 77), (there, 88), (both, 6)]);
    assert_eq!(revoked(&authority), all);
    // What is signed now replaces what was pushed.
    let operator = ensure(&home).operator().unwrap();
    let (_, about) = Jwt::parse(&operator.accounts[1].jwt).unwrap();
    assert!(soon_s < about.issued_at_s, "{about:?}");
    // A broker that dies while it writes leaves anything behind.
    let path = home.broker_accounts().join(format!("{}.jwt", authority.kept.account));
    fs::write(&path, "").unwrap();
    assert_eq!(revoked(&ensure(&home)), all);
}

#[test]
fn nobody_who_was_revoked_is_let_in_by_a_renewal() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let (authority, path) = (ensure(&home), home.creds("web"));
    authority.renew(&path, &web(Role::Node), HOUR_S).unwrap();
    let before = fs::read(&path).unwrap();
    let key = PublicNkey::parse(NkeyKind::User, &summary(&path).subject).unwrap();
    push(&home, &authority, BTreeMap::from([(key, now_s())]), now_s());
    assert_eq!(authority.renew(&path, &web(Role::Node), HOUR_S).unwrap(), Renewal::Out);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_role_that_is_new_gets_a_key_and_the_others_keep_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let mut authority = ensure(&home);
    let gateway = authority.kept.roles.remove("gateway").unwrap();
    authority.kept.write(&home.broker_keys()).unwrap();
    let more = ensure(&home);
    assert!(more.kept.roles["gateway"] != gateway);
    assert!(more.kept.roles["node"] == authority.kept.roles["node"]);
    assert!(ensure(&home) == more);
}

#[test]
fn what_lets_a_node_come_back_holds_its_own_key_and_outlives_its_login() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let (authority, login, back) = (ensure(&home), home.creds("web"), home.creds("back"));
    authority.renew(&login, &web(Role::Node), HOUR_S).unwrap();
    authority.let_renew(&login, &back, 9 * HOUR_S).unwrap();
    let (login, back) = (summary(&login), summary(&back));
    assert_eq!((&back.subject, &back.name), (&login.subject, &login.name));
    assert_eq!(back.issuer, signer(&authority, Role::Renewer));
    assert!(login.expires_at_s < back.expires_at_s);
}
