//! Whoever hands keys in has every one of them, and made the set for this use.

use zeroize::Zeroizing;

use super::*;

const INVITE: &str = "0123456789abcdef0123456789abcdef";

fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

fn invite(invite: &str) -> Possession<'_> {
    Possession::Invite { invite, secret_hash: Sha256Hash([9; 32]) }
}

fn login(seed: u8) -> Nkey {
    Nkey::from_entropy(NkeyKind::User, &Zeroizing::new([seed; 32]))
}

fn key(purpose: Purpose, seed: u8) -> SecretKey {
    SecretKey::from_entropy(purpose, &[seed; 32].into())
}

fn set() -> KeySet {
    let keys = [key(Purpose::NodeLog, 3), key(Purpose::TaskIssuer, 2)];
    let keys: Vec<_> = keys.iter().collect();
    prove_possession(&cluster(), &invite(INVITE), &login(1), &keys)
}

#[track_caller]
fn check(set: &KeySet, expected: &PossessionError) {
    let refused = check_possession(&cluster(), &invite(INVITE), set).unwrap_err();
    assert_eq!(refused, *expected);
}

fn unproven(key: &str) -> PossessionError {
    PossessionError::Proof { key: key.to_owned() }
}

#[test]
fn a_set_that_all_of_its_keys_signed_is_accepted() {
    let keys = check_possession(&cluster(), &invite(INVITE), &set()).unwrap();
    let expected = [key(Purpose::TaskIssuer, 2), key(Purpose::NodeLog, 3)];
    assert_eq!(keys, expected.map(|key| key.public().clone()));
    let principal = PrincipalId::parse("web").unwrap();
    let rotation = Possession::Rotation { principal: &principal };
    let set = prove_possession(&cluster(), &rotation, &login(1), &[&key(Purpose::NodeLog, 3)]);
    assert_eq!(check_possession(&cluster(), &rotation, &set).unwrap().len(), 1);
}

#[test]
fn a_set_counts_for_one_use_in_one_cluster() {
    let set = set();
    let check = |cluster: &str, possession: &Possession<'_>| {
        let cluster = ClusterName::parse(cluster).unwrap();
        let refused = check_possession(&cluster, possession, &set).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::PossessionUnproven);
    };
    check("staging", &invite(INVITE));
    check("test", &invite(&INVITE.replace('0', "1")));
    check("test", &Possession::Invite { invite: INVITE, secret_hash: Sha256Hash::ZERO });
    let principal = PrincipalId::parse(INVITE).unwrap();
    check("test", &Possession::Rotation { principal: &principal });
}

#[test]
fn a_key_that_somebody_else_has_is_not_handed_in() {
    let stolen = key(Purpose::NodeLog, 9);
    let mut set = set();
    set.keys[1].key = PublicKeyBytes(*stolen.public().as_bytes());
    check(&set, &unproven("login"));
    // Signed by those that one has, yet not by the stolen one.
    let message = message(&cluster(), &invite(INVITE), &set.login, &set.keys);
    set.login_proof = base64(&login(1).sign(&message));
    set.proofs[0] = base64(&key(Purpose::TaskIssuer, 2).sign(&message));
    check(&set, &unproven("node-log"));
    set.proofs[1] = set.proofs[0].clone();
    check(&set, &unproven("node-log"));
    let mut set = self::set();
    set.login = login(8).public().to_string();
    check(&set, &unproven("login"));
    let mut set = self::set();
    set.proofs.swap(0, 1);
    check(&set, &unproven("task-issuer"));
    for proof in ["", "AAAA", "not base64"] {
        let mut set = self::set();
        set.login_proof = proof.to_owned();
        check(&set, &unproven("login"));
    }
}

#[test]
fn a_set_has_one_form() {
    let mut short = set();
    short.proofs.pop();
    check(&short, &PossessionError::Count { keys: 2, proofs: 1 });
    let mut unsorted = set();
    unsorted.keys.swap(0, 1);
    unsorted.proofs.swap(0, 1);
    check(&unsorted, &PossessionError::Order);
    let two = [key(Purpose::NodeLog, 3), key(Purpose::NodeLog, 4)];
    let two = prove_possession(&cluster(), &invite(INVITE), &login(1), &[&two[0], &two[1]]);
    check(&two, &PossessionError::Order);
    let none = prove_possession(&cluster(), &invite(INVITE), &login(1), &[]);
    check(&none, &PossessionError::Empty);
    let account = Nkey::from_entropy(NkeyKind::Account, &Zeroizing::new([1; 32]));
    let account = KeySet { login: account.public().to_string(), ..set() };
    let refused = check_possession(&cluster(), &invite(INVITE), &account).unwrap_err();
    assert!(matches!(refused, PossessionError::Login(_)));
}

#[test]
fn attack_36_nobody_comes_in_with_a_key_that_makes_others() {
    for purpose in [Purpose::Enrolment, Purpose::Root] {
        let set = prove_possession(&cluster(), &invite(INVITE), &login(1), &[&key(purpose, 3)]);
        check(&set, &PossessionError::Purpose { purpose });
    }
}

#[test]
fn a_key_serves_once() {
    let both = [key(Purpose::TaskIssuer, 2), key(Purpose::NodeLog, 2)];
    let both = prove_possession(&cluster(), &invite(INVITE), &login(1), &[&both[0], &both[1]]);
    check(&both, &PossessionError::Shared { purpose: Purpose::NodeLog });
    let shared = [key(Purpose::TaskIssuer, 1)];
    let shared = prove_possession(&cluster(), &invite(INVITE), &login(1), &[&shared[0]]);
    check(&shared, &PossessionError::Shared { purpose: Purpose::TaskIssuer });
}

#[test]
fn attack_08_a_weak_key_is_not_handed_in() {
    let mut set = set();
    let mut identity = [0; 32];
    identity[0] = 1;
    set.keys[0].key = PublicKeyBytes(identity);
    let refused = check_possession(&cluster(), &invite(INVITE), &set).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::KeyWeak);
}

#[test]
fn attack_37_what_is_proven_is_no_nonce_no_checkpoint_and_no_envelope() {
    let message = message(&cluster(), &invite(INVITE), &set().login, &set().keys);
    assert_eq!(message[0], 0x85, "an array of five; COSE signs arrays of four");
    assert!(str::from_utf8(&message).is_err(), "nonces, checkpoints and JWTs are text");
}
