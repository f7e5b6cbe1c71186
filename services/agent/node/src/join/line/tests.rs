//! Lines that are read, and what is said about those that are not.

use schemas::{PrincipalId, key::PublicKeyBytes, principal::PrincipalKind};
use zeroize::Zeroizing;

use super::{InvalidLine, InviteLine, RootKey};

fn line() -> InviteLine {
    InviteLine {
        url: "tls://a.example:443,wss://b.example".to_owned(),
        ca: Some("-----BEGIN CERTIFICATE-----".to_owned()),
        cluster: "c1".to_owned(),
        root: RootKey {
            key: PublicKeyBytes([7; 32]),
            principal: PrincipalId::parse("root").unwrap(),
        },
        principal: PrincipalId::parse("n1").unwrap(),
        kind: PrincipalKind::Agent,
        invite: "0123456789abcdef0123456789abcdef".to_owned(),
        secret: Zeroizing::new("c2VjcmV0".to_owned()),
        jwt: "eyJ".to_owned(),
        seed: Zeroizing::new("SUAseed".to_owned()),
    }
}

fn check(text: &str, expected: InvalidLine) {
    let error = InviteLine::parse(text).map(drop).expect_err("it was read");
    assert_eq!(error, expected);
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("c2VjcmV0") && !shown.contains("SUAseed"), "{shown}");
}

#[test]
fn a_line_is_read_as_it_was_written() {
    let text = line().to_text();
    let read = InviteLine::parse(&format!("  {}\n", *text)).unwrap();
    assert_eq!(read.to_text(), text);
    assert_eq!((&*read.secret, &*read.seed), (&*line().secret, &*line().seed));
    assert_eq!(read.redeemer().as_str(), "invite-0123456789abcdef0123456789abcdef");
}

#[test]
fn whatever_was_cut_off_or_is_something_else_is_refused() {
    let text = line().to_text();
    check("", InvalidLine::Prefix);
    check("eyJhbGciOiJub25lIn0", InvalidLine::Prefix);
    for end in "cortex-invite-1.".len()..text.len() {
        check(&text[..end], InvalidLine::Damaged);
    }
    check(&format!("{}A", *text), InvalidLine::Damaged);
    check(&"x".repeat(70_000), InvalidLine::TooLong);
}

#[test]
fn an_invite_that_could_reach_other_subjects_is_refused() {
    for invite in ["", "*", "a.b", "0123456789ABCDEF0123456789ABCDEF"] {
        let other = InviteLine { invite: invite.to_owned(), ..line() };
        check(&other.to_text(), InvalidLine::Part("invite"));
    }
}

#[test]
fn debugging_text_shows_no_secret() {
    let shown = format!("{:?}", line());
    assert!(!shown.contains("c2VjcmV0") && !shown.contains("SUAseed") && !shown.contains("eyJ"));
}
