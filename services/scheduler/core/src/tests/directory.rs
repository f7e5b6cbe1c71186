//! What is made of the registry's principals: roles, owners, who is out, which keys are revoked.

use std::collections::BTreeSet;

use schemas::{
    ErrorCode, Timestamp,
    enrolment::TokenView,
    grants::Grants,
    key::{KeyOffer, KeyPurpose, PublicKeyBytes},
    manifest::PrincipalPattern,
    principal::{Standing, UserRole},
    registry::{CertifiedKey, RegistryEvent},
    task::{TaskState, Verdict},
};

use super::harness::{Scene, agent, check, key_of, member, principal, refuse, report, task_id};
use crate::{Command, Observation, Revocations, limits};

fn revoked(key: &str) -> RegistryEvent {
    RegistryEvent::KeyRevoked {
        principal: principal("ann"),
        key: key_of(key),
        by: principal("adam"),
        reason: "lost".to_owned(),
    }
}

fn evicted(who: &str) -> RegistryEvent {
    let (principal, by) = (principal(who), principal("adam"));
    RegistryEvent::PrincipalEvicted { principal, by, reason: "left".to_owned() }
}

fn new_key(not_before_s: u64) -> CertifiedKey {
    let offer = KeyOffer { purpose: KeyPurpose::TaskIssuer, key: PublicKeyBytes([9; 32]) };
    CertifiedKey { id: key_of("new"), offer, not_before_s, not_after_s: u64::MAX }
}

/// Whoever comes in, or back, brings a new key.
fn redeemed(who: &str) -> RegistryEvent {
    RegistryEvent::InviteRedeemed {
        invite: "i".to_owned(),
        principal: principal(who),
        login: String::new(),
        keys: vec![new_key(0)],
    }
}

fn token(name: &str, revoked_at: Option<Timestamp>) -> TokenView {
    TokenView {
        token: name.to_owned(),
        name: String::new(),
        owner: principal("ann"),
        key: key_of(name),
        grants: Grants::default(),
        created_at: Timestamp(0),
        expires_at: Timestamp(u64::MAX),
        revoked_at,
    }
}

fn with_key(scene: &Scene, task: &str, key: &str) -> Command {
    let Command::Submit(mut submission) = scene.submission(task, "node:a") else { panic!() };
    submission.key = key_of(key);
    Command::Submit(submission)
}

/// Enrols `ann`, who has two keys and a token.
fn enrolled() -> Scene {
    let mut scene = Scene::with(&[("a", 9)]);
    scene.enrol("ann", UserRole::User);
    scene.observe(Observation::Token(Box::new(token("t-one", None))));
    scene
}

#[test]
fn a_revoked_key_signs_nothing_any_more_and_others_of_its_owner_do() {
    let mut scene = enrolled();
    scene.recorded(revoked("old"));
    let old = with_key(&scene, "t1", "old");
    check(&mut scene, &old, Err(ErrorCode::KeyRevoked));
    scene.submit("t2", "node:a");
}

#[test]
fn a_key_that_is_listed_as_revoked_is_refused_as_well() {
    let mut scene = enrolled();
    let mut view = member("ann", Some(UserRole::User));
    view.keys[0].revoked_at = Some(Timestamp(1));
    scene.observe(Observation::Principal(Box::new(view)));
    let request = scene.submission("t1", "node:a");
    check(&mut scene, &request, Err(ErrorCode::KeyRevoked));
}

#[test]
fn the_end_of_a_token_is_the_end_of_its_key() {
    let mut scene = enrolled();
    let made = RegistryEvent::TokenCreated {
        token: Box::new(token("t-two", None)),
        voucher: key_of("ann"),
        certificate: String::new(),
        sealed: String::new(),
    };
    scene.recorded(made);
    scene.observe(Observation::Token(Box::new(token("t-three", Some(Timestamp(1))))));
    for (task, key, then) in
        [("t1", "t-one", true), ("t2", "t-two", true), ("t3", "t-three", false)]
    {
        let command = with_key(&scene, task, key);
        let taken = scene.decide(&command).map(drop);
        assert_eq!(taken, if then { Ok(()) } else { Err(ErrorCode::KeyRevoked) }, "{key}");
    }
    for name in ["t-one", "t-two"] {
        let (token, owner, by) = (name.to_owned(), principal("ann"), principal("ann"));
        scene.recorded(RegistryEvent::TokenRevoked { token, owner, by });
        let command = with_key(&scene, "t9", name);
        check(&mut scene, &command, Err(ErrorCode::KeyRevoked));
    }
}

#[test]
fn a_key_that_was_replaced_signs_for_a_while_and_what_waits_of_it_stays_good() {
    let mut scene = enrolled();
    let keys = vec![new_key(scene.moment.now_ms / 1000)];
    let (principal, login) = (principal("ann"), String::new());
    scene.recorded(RegistryEvent::KeysRotated { principal, login, keys });
    scene.submit("t1", "node:a");
    scene.pass_wall_ms(limits::ENDED_KEY_COUNTS_MS - 1);
    scene.submit("t2", "node:a");
    scene.pass_wall_ms(1);
    let late = scene.submission("t3", "node:a");
    check(&mut scene, &late, Err(ErrorCode::KeyNotValid));
    let with_new_key = with_key(&scene, "t3", "new");
    scene.decide(&with_new_key).unwrap();
    assert!(!scene.state_of("t2").is_final());
}

#[test]
fn a_key_that_is_listed_as_ended_signs_nothing_new() {
    let mut scene = enrolled();
    let mut view = member("ann", Some(UserRole::User));
    view.keys[0].not_after_s = scene.moment.now_ms / 1000 - 3600;
    scene.observe(Observation::Principal(Box::new(view)));
    let request = scene.submission("t1", "node:a");
    check(&mut scene, &request, Err(ErrorCode::KeyNotValid));
}

#[test]
fn whoever_is_out_asks_for_nothing_until_they_are_back() {
    let mut scene = enrolled();
    scene.recorded(evicted("ann"));
    let request = scene.submission("t1", "node:a");
    check(&mut scene, &request, Err(ErrorCode::PrincipalOut));
    scene.recorded(redeemed("ann"));
    check(&mut scene, &request, Err(ErrorCode::KeyRevoked));
    let with_new_key = with_key(&scene, "t1", "new");
    scene.decide(&with_new_key).unwrap();
    let mut view = member("ann", Some(UserRole::User));
    view.standing = Standing::Banned;
    scene.observe(Observation::Principal(Box::new(view)));
    let request = scene.submission("t2", "node:a");
    check(&mut scene, &request, Err(ErrorCode::PrincipalOut));
}

#[test]
fn what_nobody_has_started_ends_with_the_key_that_asked_for_it() {
    for event in [revoked("ann"), evicted("ann")] {
        let mut scene = Scene::with(&[("a", 2)]);
        scene.enrol("ann", UserRole::User);
        for task in ["t1", "t2", "t3"] {
            scene.submit(task, "node:a");
        }
        scene.start("t1", 1, "a-1");
        scene.recorded(event);
        assert_eq!(scene.settle(), ["t2 failed at 1", "t3 failed at 0"]);
        assert_eq!(scene.state_of("t1"), TaskState::Started);
        let outcome = scene.state.task(&task_id("t2")).unwrap().view.outcome.clone();
        let code = outcome.and_then(|outcome| outcome.fault).unwrap().code;
        assert!([ErrorCode::KeyRevoked, ErrorCode::PrincipalOut].contains(&code), "{code}");
        assert_eq!(scene.start("t2", 1, "a-1"), "TASK_FINISHED");
        scene.decide(&report("t1", 1, "a-1", Verdict::Succeeded)).unwrap();
    }
}

#[test]
fn what_was_taken_before_the_principals_were_listed_is_looked_at_again() {
    let mut scene = Scene::unlisted();
    scene.observe(Observation::Listed([principal("a")].into()));
    scene.join(agent("a", 1));
    assert_eq!(scene.submit("t1", "node:a"), ["t1 submitted", "t1 queued"]);
    let mut view = member("ann", Some(UserRole::User));
    view.standing = Standing::Evicted;
    scene.observe(Observation::Principal(Box::new(view)));
    scene.observe(Observation::PrincipalsListed([principal("ann")].into()));
    assert_eq!(scene.settle(), ["t1 failed at 0"]);
}

#[test]
fn owners_overseers_and_those_it_is_shared_with_task_an_agent_that_does_not_name_them() {
    let mut scene = Scene::with(&[("a", 9)]);
    for (person, role) in [
        ("adam", UserRole::Admin),
        ("otto", UserRole::Operator),
        ("audrey", UserRole::Auditor),
        ("uma", UserRole::User),
    ] {
        scene.enrol(person, role);
    }
    let (agent, by) = (principal("a"), principal("olga"));
    let with = PrincipalPattern::parse("fri*").unwrap();
    let shared = RegistryEvent::AgentShared { agent: agent.clone(), with: with.clone(), by };
    scene.recorded(shared);
    let denied = Err(ErrorCode::TaskNotPermitted);
    for (who, then) in [
        ("ann", Ok(())),
        ("olga", Ok(())),
        ("adam", Ok(())),
        ("otto", Ok(())),
        ("frieda", Ok(())),
        ("audrey", denied),
        ("uma", denied),
    ] {
        let Command::Submit(mut submission) = scene.submission(&format!("t-{who}"), "node:a")
        else {
            panic!()
        };
        (submission.issuer, submission.subject) = (principal(who), principal(who));
        assert_eq!(scene.decide(&Command::Submit(submission)).map(drop), then, "{who}");
    }
    let by = principal("olga");
    scene.recorded(RegistryEvent::AgentUnshared { agent, with, by });
    let Command::Submit(mut late) = scene.submission("t9", "node:a") else { panic!() };
    late.issuer = principal("frieda");
    check(&mut scene, &Command::Submit(late), denied.map(|()| [].as_slice()));
}

#[test]
fn a_role_that_is_given_or_taken_counts_at_once_for_what_waits() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.enrol("otto", UserRole::Operator);
    scene.submit("t1", "node:a");
    let Command::Submit(mut waiting) = scene.submission("t2", "node:a") else { panic!() };
    waiting.issuer = principal("otto");
    scene.decide(&Command::Submit(waiting)).unwrap();
    let set =
        |role| RegistryEvent::RoleSet { person: principal("otto"), role, by: principal("adam") };
    scene.recorded(set(UserRole::User));
    scene.start("t1", 1, "a-1");
    let done = report("t1", 1, "a-1", Verdict::Succeeded);
    check(&mut scene, &done, Ok(&["t1 succeeded at 1"]));
    scene.recorded(set(UserRole::Operator));
    assert_eq!(scene.settle(), ["t2 assigned to a at 1"]);
}

#[test]
fn a_node_that_was_put_out_gets_no_tasks() {
    let mut scene = Scene::with(&[("a", 1), ("b", 1)]);
    scene.observe(Observation::Principal(Box::new(member("a", None))));
    scene.recorded(evicted("a"));
    assert_eq!(scene.submit("t1", "can:shell.exec")[1], "t1 assigned to b at 1");
    assert_eq!(scene.submit("t2", "can:shell.exec")[1], "t2 queued");
    scene.decide(&refuse("t1", 1, "b-1", ErrorCode::JournalFailed)).unwrap();
    assert_eq!(scene.state_of("t1"), TaskState::Queued);
}

#[test]
fn keys_of_whoever_was_put_out_stay_out_of_use_when_they_are_back() {
    let mut revocations = Revocations::default();
    revocations.list(&member("ann", Some(UserRole::User)));
    assert!(!revocations.follow(&evicted("nobody")) || revocations.keys().is_empty());
    assert!(revocations.follow(&evicted("ann")));
    assert_eq!(revocations.keys(), BTreeSet::from([key_of("ann")]));
    assert!(!revocations.follow(&evicted("ann")));
    revocations.follow(&redeemed("ann"));
    assert_eq!(revocations.keys(), BTreeSet::from([key_of("ann")]));
    assert!(revocations.follow(&revoked("old")));
    assert_eq!(revocations.keys(), BTreeSet::from([key_of("ann"), key_of("old")]));
}
