//! What takes the place of what once the registry has certified new keys.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use schemas::{PrincipalId, Timestamp, principal::PrincipalKind};
use trust::nats::{Role, UserClaims};

use super::*;

fn key(kind: NkeyKind) -> Nkey {
    Nkey::from_entropy(kind, &Zeroizing::new(rand::random()))
}

fn jwt(login: &Nkey, role: Role) -> String {
    let account = key(NkeyKind::Account);
    let claims = UserClaims {
        principal: PrincipalId::parse("ann").unwrap(),
        role,
        key: login.public(),
        account: account.public(),
        issued_at_s: 1,
        expires_at_s: Some(2),
    };
    claims.sign(&account).unwrap().as_str().to_owned()
}

fn membership(login: &Nkey) -> Membership {
    let ann = PrincipalId::parse("ann").unwrap();
    Membership {
        principal: ann.clone(),
        kind: PrincipalKind::Person,
        role: None,
        owner: ann,
        cluster: "test".to_owned(),
        jwt: jwt(login, Role::Person),
        renewal_jwt: jwt(login, Role::Renewer),
        expires_at: Timestamp(2_000),
        certificates: vec!["Y2VydA==".to_owned()],
    }
}

#[test]
fn whatever_held_the_old_login_holds_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let places = Places {
        key: path("issuer.key"),
        certificates: path("issuer.certs"),
        creds: path("login.creds"),
        renewal: Some(path("renewal.creds")),
    };
    let old = SecretKey::from_entropy(Purpose::TaskIssuer, &Zeroizing::new([7; 32]));
    fs::write(&places.key, old.to_file().as_bytes()).unwrap();
    let about_old = STANDARD.encode(old.public().as_bytes());
    fs::write(&places.certificates, format!("Y2E=\n{about_old}\n")).unwrap();
    let new = pending_key(&places.key).unwrap();
    let login = pending_login(&places.creds).unwrap();
    take_over(&places, &membership(&login), &login).unwrap();
    for name in ["login.creds", "renewal.creds"] {
        let creds = Creds::from_file(&fs::read_to_string(path(name)).unwrap()).unwrap();
        assert_eq!(creds.summary().subject, login.public().as_str(), "{name}");
    }
    assert_eq!(load_key(&places.key).unwrap().public(), new.public());
    let certificates = fs::read_to_string(path("issuer.certs")).unwrap();
    assert_eq!(certificates, format!("Y2VydA==\n{about_old}\n"), "who signs now may have either");
    let mut left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["issuer.certs", "issuer.key", "login.creds", "renewal.creds"]);
}
