//! Certificates are kept while they count, and made anew before they end.

use std::collections::BTreeSet;

use trust::{ClusterName, Purpose};
use zeroize::Zeroizing;

use super::*;

const DAY_S: u64 = 24 * 3600;
/// When the first certificates are made.
const BEGIN_S: u64 = 1000 * DAY_S;
const LIFETIME_S: u64 = 100 * DAY_S;

struct Scene {
    dir: tempfile::TempDir,
    root: SecretKey,
    key: SecretKey,
    anchors: TrustAnchors,
}

fn key(purpose: Purpose) -> SecretKey {
    SecretKey::from_entropy(purpose, &Zeroizing::new(rand::random()))
}

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

impl Scene {
    fn new() -> Self {
        let (root, key) = (key(Purpose::Root), key(Purpose::Enrolment));
        let mut anchors = TrustAnchors::new(ClusterName::parse("test").unwrap());
        let anchor = Anchor {
            key: root.public().clone(),
            principal: id("root"),
            not_before_s: 0,
            not_after_s: u64::MAX,
            revoked_at_s: None,
            acts_for: BTreeSet::new(),
        };
        anchors.add(anchor).unwrap();
        Self { dir: tempfile::tempdir().unwrap(), root, key, anchors }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("key.certs")
    }

    fn ensure(&self, at_s: u64, by_root: bool) -> Result<CertifiedKey, Fault> {
        let candidate = Candidate {
            key: self.key.public(),
            principal: id("registry"),
            path: self.path(),
            since_s: at_s,
            lifetime_s: LIFETIME_S,
        };
        let voucher = Voucher { key: &self.root, principal: id("root"), chain: Chain::default() };
        let now = Timestamp(at_s * 1000);
        let certified = candidate.ensure(by_root.then_some(voucher), &self.anchors, now)?;
        assert_eq!(Chain::read(&self.path())?, certified.chain);
        Ok(certified.key)
    }

    /// Until when the certificate counts that is there after another look.
    fn check(&self, days: u64, by_root: bool, until_days: Option<u64>) {
        self.ensure(BEGIN_S, true).unwrap();
        let key = self.ensure(BEGIN_S + days * DAY_S, by_root);
        let until = key.as_ref().ok().map(|key| (key.not_after_s - BEGIN_S) / DAY_S);
        assert_eq!(until, until_days, "{key:?}");
        // Whatever it signed before still counts.
        assert!(key.is_err() || key.unwrap().not_before_s == BEGIN_S);
        std::fs::remove_file(self.path()).unwrap();
    }
}

#[test]
fn a_certificate_is_renewed_in_the_second_half_of_its_life() {
    let scene = Scene::new();
    scene.check(0, true, Some(100));
    scene.check(49, true, Some(100));
    scene.check(50, true, Some(150));
    scene.check(99, true, Some(199));
    scene.check(101, true, Some(201));
}

#[test]
fn without_the_root_it_is_kept_until_it_ends() {
    let scene = Scene::new();
    scene.check(50, false, Some(100));
    scene.check(99, false, Some(100));
    scene.check(101, false, None);
}

#[test]
fn what_cannot_be_read_or_believed_is_made_anew() {
    let scene = Scene::new();
    scene.ensure(BEGIN_S, true).unwrap();
    let good = std::fs::read(scene.path()).unwrap();
    let other = Scene::new();
    other.ensure(BEGIN_S, true).unwrap();
    let foreign = std::fs::read(other.path()).unwrap();
    for text in [&b"no base64"[..], b"", b"AAAA", &foreign] {
        std::fs::write(scene.path(), text).unwrap();
        assert!(scene.ensure(BEGIN_S, false).is_err());
        scene.ensure(BEGIN_S, true).unwrap();
        assert_eq!(std::fs::read(scene.path()).unwrap(), good);
    }
}
