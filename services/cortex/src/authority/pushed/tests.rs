//! What the broker keeps is believed when we signed it, and read as it stands otherwise never.

use trust::nats::{AccountClaims, AccountKind, Nkey};
use zeroize::Zeroizing;

use super::*;

fn key(kind: NkeyKind) -> Nkey {
    Nkey::from_entropy(kind, &Zeroizing::new(rand::random()))
}

/// What is read of our account when this one signed that, about that one.
fn check(signer: Option<&Nkey>, about: Option<&PublicNkey>, believed: bool) {
    let dir = tempfile::tempdir().unwrap();
    let (ours, operator) = (key(NkeyKind::Account).public(), key(NkeyKind::Operator));
    let out = BTreeMap::from([(key(NkeyKind::User).public(), 7)]);
    let claims = AccountClaims {
        account: about.unwrap_or(&ours).clone(),
        name: "test".to_owned(),
        kind: AccountKind::System { signing_keys: Vec::new() },
        revocations: out.clone(),
    };
    let jwt = claims.sign(signer.unwrap_or(&operator), 1234).unwrap();
    std::fs::write(dir.path().join(format!("{ours}.jwt")), jwt.as_str()).unwrap();
    let pushed = Pushed::read(dir.path(), ours.as_str(), &operator.public()).unwrap();
    let expected = Pushed { issued_at_s: 1234, revocations: out };
    assert_eq!(pushed, if believed { expected } else { Pushed::default() });
}

#[test]
fn only_what_our_operator_signed_of_our_account_is_believed() {
    check(None, None, true);
    check(Some(&key(NkeyKind::Operator)), None, false);
    check(None, Some(&key(NkeyKind::Account).public()), false);
}

#[test]
fn there_is_nothing_before_the_first_start_and_after_damage() {
    let dir = tempfile::tempdir().unwrap();
    let operator = key(NkeyKind::Operator).public();
    let read = || Pushed::read(dir.path(), "ACC", &operator).unwrap();
    assert_eq!(read(), Pushed::default());
    std::fs::write(dir.path().join("ACC.jwt"), "torn").unwrap();
    assert_eq!(read(), Pushed::default());
}
