//! Everybody is renewed at about half of a login's life, also after the clock was set.

use trust::nats::Summary;

use super::*;
use crate::authority::{OperatorPlace, look};

const HOUR_S: u64 = 3600;

struct Scene {
    _dir: tempfile::TempDir,
    home: Home,
    logins: Logins,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let material = Material::ensure(&home, OperatorPlace::Here).unwrap();
        let logins = Logins::open(&home, &material, HOUR_S).unwrap();
        Self { _dir: dir, home, logins }
    }

    fn admin(&self) -> Summary {
        look(&self.home.creds("admin")).unwrap().unwrap()
    }

    /// Signs the admin in anew with a JWT that has nothing to do with the logins.
    fn disturb(&self) {
        let Inner { authority, users, .. } = &*self.logins.inner;
        let users = users.lock().unwrap();
        let admin = &users[&PrincipalId::parse("admin").unwrap()];
        authority.renew(&admin.path, &admin.user, 7 * HOUR_S).unwrap();
    }

    fn rest_of_admin(&self, rests: std::ops::Range<u64>) {
        let mut users = self.logins.inner.users.lock().unwrap();
        users.get_mut(&PrincipalId::parse("admin").unwrap()).unwrap().rests = rests;
    }

    /// Whether the admin is renewed when nothing was to be done in that time.
    fn check(&self, rests: std::ops::Range<u64>, renewed: bool) {
        self.disturb();
        let before = self.admin();
        self.rest_of_admin(rests);
        self.logins.renew_due();
        assert_eq!(self.admin() != before, renewed);
        assert_eq!(self.admin().subject, before.subject);
    }
}

#[test]
fn whoever_is_due_is_renewed_by_the_wall_clock_alone() {
    let (scene, now_s) = (Scene::new(), now_s());
    scene.check(now_s..now_s + HOUR_S, false);
    scene.check(now_s - HOUR_S..now_s, true);
    // The clock was set back since.
    scene.check(now_s + HOUR_S..now_s + 2 * HOUR_S, true);
}

#[test]
fn a_failure_is_tried_again_at_the_next_look() {
    let scene = Scene::new();
    let path = scene.home.creds("admin");
    std::fs::write(&path, "torn").unwrap();
    scene.rest_of_admin(0..0);
    scene.logins.renew_due();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "torn");
    std::fs::remove_file(&path).unwrap();
    scene.logins.renew_due();
    assert!(scene.admin().expires_at_s.is_some());
}

#[test]
fn a_renewal_comes_at_about_half_of_the_life() {
    for (lifetime_s, random, rest) in [
        (3600, 0, 1440),
        (3600, 100, 1800),
        (3600, 200, 2160),
        (3600, 201, 1440),
        (2, 200, 1),
        (4, 0, 1),
    ] {
        assert_eq!(rest_s(lifetime_s, random), rest, "{lifetime_s} {random}");
    }
}
