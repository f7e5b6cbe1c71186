//! Material is made once, kept, fits together, and is upgraded in place.

use std::{collections::BTreeSet, fs};

use schemas::{
    principal::{PrincipalKind, UserRole},
    registry::Seat,
};
use trust::{Anchor, ClusterName, PublicKey, Purpose, SecretKey, TrustAnchors};
use zeroize::Zeroizing;

use super::*;
use crate::{authority::look, clock::now, files::read};

const HOUR_S: u64 = 3600;

fn ensure(home: &Home) -> Material {
    Material::ensure(home, OperatorPlace::Here).unwrap()
}

fn anchors(home: &Home) -> TrustAnchors {
    TrustAnchors::from_file(&read(&home.anchors()).unwrap()).unwrap()
}

/// Every file below a directory, with what is in it.
fn snapshot(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(snapshot(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// What whoever trusts the root alone learns of a key from its certificates.
fn learn(home: &Home, key: &HomeKey) -> Anchor {
    let secret = load_key(&key.path).unwrap();
    let chain = Chain::read(&key.certificates).unwrap();
    chain.vouches_for(secret.public(), &anchors(home), now()).unwrap()
}

#[test]
fn what_was_made_once_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let first = ensure(&home);
    let files = snapshot(dir.path());
    assert!(first == ensure(&home));
    assert_eq!(snapshot(dir.path()), files);
}

#[test]
fn the_root_alone_is_pinned_and_leads_to_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let material = ensure(&home);
    let anchors = anchors(&home);
    assert_eq!(anchors.cluster().as_str(), material.identities.cluster);
    let pinned: Vec<_> = anchors.iter().map(|anchor| anchor.key.purpose()).collect();
    assert_eq!(pinned, [Purpose::Root]);
    let keys = &material.keys;
    for (key, purpose, principal) in [
        (&keys.enrolment, Purpose::Enrolment, "registry"),
        (&keys.owner, Purpose::TaskIssuer, material.identities.owner.as_str()),
        (&keys.node, Purpose::TaskIssuer, "local"),
        (&keys.scheduler, Purpose::Scheduler, "scheduler"),
    ] {
        let anchor = learn(&home, key);
        assert_eq!((anchor.key.purpose(), anchor.principal.as_str()), (purpose, principal));
        assert!(now().seconds() < anchor.not_after_s && anchor.not_before_s < now().seconds());
        assert_eq!(key.certified.not_after_s, anchor.not_after_s);
    }
}

#[test]
fn the_root_can_be_kept_apart_and_is_asked_for_when_it_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let (home, apart) = (Home::at(&dir.path().join("home")), dir.path().join("usb"));
    let place = OperatorPlace::Apart(&apart);
    let first = Material::ensure(&home, place).unwrap();
    assert!(!home.keys().join("root.key").exists());
    let away = dir.path().join("away");
    fs::rename(&apart, &away).unwrap();
    assert!(ensure(&home) == first);
    fs::remove_file(&first.keys.enrolment.certificates).unwrap();
    let fault = Material::ensure(&home, OperatorPlace::Here).err().unwrap();
    assert!(fault.message.contains("enrolment.certs"), "{fault}");
    assert!(Material::ensure(&home, place).is_err(), "nothing is in that directory");
    let again = Material::ensure(&home, OperatorPlace::Apart(&away)).unwrap();
    assert!(again.keys.enrolment.certified.id == first.keys.enrolment.certified.id);
    // Another home's root is no root of this one.
    let others = dir.path().join("others");
    Material::ensure(&Home::at(&dir.path().join("b")), OperatorPlace::Apart(&others)).unwrap();
    let fault = Material::ensure(&home, OperatorPlace::Apart(&others)).err().unwrap();
    assert!(fault.message.contains("another than the one that is trusted"), "{fault}");
}

/// A home as it was when keys were pinned one by one.
struct Earlier {
    owner: SecretKey,
    scheduler: SecretKey,
    /// One that a person pinned by hand.
    friend: PublicKey,
    since_s: u64,
}

impl Earlier {
    fn make(home: &Home) -> Self {
        let identities = ensure_identities(&home.keys().join("identities.toml")).unwrap();
        let key = |purpose| SecretKey::from_entropy(purpose, &Zeroizing::new(rand::random()));
        let [owner, friend] = [Purpose::TaskIssuer; 2].map(key);
        let scheduler = key(Purpose::Scheduler);
        let since_s = now().seconds() - 1000 * HOUR_S;
        let mut anchors = TrustAnchors::new(ClusterName::parse(&identities.cluster).unwrap());
        for (key, principal) in
            [(&owner, identities.owner.as_str()), (&scheduler, "scheduler"), (&friend, "friend")]
        {
            let anchor = Anchor {
                key: key.public().clone(),
                principal: PrincipalId::parse(principal).unwrap(),
                not_before_s: since_s,
                not_after_s: now().seconds() + HOUR_S,
                revoked_at_s: None,
                acts_for: BTreeSet::new(),
            };
            anchors.add(anchor).unwrap();
        }
        for (name, key) in [("owner", &owner), ("scheduler", &scheduler)] {
            let path = home.keys().join(format!("{name}.json"));
            write_private(&path, key.to_file().as_bytes()).unwrap();
        }
        write_private(&home.anchors(), anchors.to_file().as_bytes()).unwrap();
        Self { owner, scheduler, friend: friend.public().clone(), since_s }
    }
}

#[test]
fn a_home_of_an_earlier_version_is_upgraded_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let earlier = Earlier::make(&home);
    let material = ensure(&home);
    let keys = &material.keys;
    for (key, before) in [(&keys.owner, &earlier.owner), (&keys.scheduler, &earlier.scheduler)] {
        assert_eq!(load_key(&key.path).unwrap().public(), before.public());
        // What it signed before still counts.
        assert_eq!(learn(&home, key).not_before_s, earlier.since_s);
    }
    let pinned: Vec<_> = anchors(&home).iter().map(|anchor| anchor.key.purpose()).collect();
    assert_eq!(pinned.len(), 2, "{pinned:?}");
    assert!(pinned.contains(&Purpose::Root));
    assert!(anchors(&home).lookup(earlier.friend.id(), Purpose::TaskIssuer).is_ok());
    assert!(ensure(&home) == material);
}

#[test]
fn an_upgrade_that_was_cut_short_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    Earlier::make(&home);
    let before = read(&home.anchors()).unwrap();
    let first = ensure(&home);
    // Everything was there but the last file.
    write_private(&home.anchors(), before.as_bytes()).unwrap();
    assert!(ensure(&home) == first);
    assert_eq!(anchors(&home).iter().count(), 2);
}

#[test]
fn a_damaged_key_is_named_and_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let owner = ensure(&home).keys.owner.path;
    write_private(&owner, b"{}").unwrap();
    let Err(fault) = Material::ensure(&home, OperatorPlace::Here) else {
        panic!("a damaged key was accepted")
    };
    assert_eq!(fault.code, schemas::ErrorCode::ConfigInvalid);
    assert!(fault.message.contains("owner.key"), "{fault}");
    assert_eq!(read(&owner).unwrap(), "{}");
}

#[test]
fn everybody_who_logs_in_has_credentials_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let material = ensure(&home);
    assert_eq!(material.log_everybody_in(&home, HOUR_S).unwrap(), []);
    let mut keys = BTreeSet::new();
    let users = material.identities.users();
    for user in &users {
        let summary = look(&home.creds(user.principal.as_str())).unwrap().unwrap();
        assert_eq!(summary.name, user.principal.as_str());
        let ends_s = summary.expires_at_s.unwrap();
        assert!(ends_s <= now().seconds() + HOUR_S, "{summary:?}");
        keys.insert(summary.subject);
    }
    assert_eq!(keys.len(), Member::ALL.len() + 1);
}

#[test]
fn the_registry_is_told_who_was_there_first() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let material = ensure(&home);
    material.log_everybody_in(&home, HOUR_S).unwrap();
    let path = material.write_issuing(&home, "nats://here:1", 77).unwrap();
    let text = read(&path).unwrap();
    let issuing: toml::Table = toml::from_str(&text).unwrap();
    let broker = issuing["broker"].as_table().unwrap();
    assert_eq!(broker["url"].as_str(), Some("nats://here:1"));
    assert!(broker["operator_signing_seed"].as_str().unwrap().starts_with("SO"));
    for role in Role::ALL {
        assert!(broker["roles"][role.as_str()].as_str().unwrap().starts_with("SA"), "{role}");
    }
    let founders: Vec<Seat> = issuing["founders"].clone().try_into().unwrap();
    let owner = &material.identities.owner;
    let expected = [
        (owner.as_str(), PrincipalKind::Person, Some(UserRole::Admin), owner.as_str(), 1),
        ("admin", PrincipalKind::Person, Some(UserRole::Admin), "admin", 0),
        ("local", PrincipalKind::Agent, None, owner.as_str(), 1),
        ("registry", PrincipalKind::Service, None, "registry", 0),
        ("scheduler", PrincipalKind::Service, None, "scheduler", 1),
    ];
    let seats: Vec<_> = founders
        .iter()
        .map(|it| (it.id.as_str(), it.kind, it.role, it.owner.as_str(), it.keys.len()))
        .collect();
    assert_eq!(seats, expected);
    for seat in &founders {
        let summary = look(&home.creds(seat.id.as_str())).unwrap().unwrap();
        assert_eq!(seat.login, summary.subject);
    }
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
