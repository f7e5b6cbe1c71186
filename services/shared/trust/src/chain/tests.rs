//! Which requests may ask for one another.

use std::collections::BTreeSet;

use schemas::{
    Capability, Timestamp,
    grants::{Grants, PathAccess, PathGrant},
    manifest::PrincipalPattern,
};

use super::*;
use crate::{
    Anchor, ClusterName, Purpose, Recipient, SecretKey, TrustAnchors, Unverified, sign, task_id,
};

const NOW_S: u64 = 1_800_000_000;

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

fn key(owner: &str, purpose: Purpose) -> SecretKey {
    let mut entropy = [u8::from(purpose == Purpose::Scheduler); 32];
    entropy[..owner.len()].copy_from_slice(owner.as_bytes());
    SecretKey::from_entropy(purpose, &entropy.into())
}

fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

fn anchors() -> TrustAnchors {
    let mut anchors = TrustAnchors::new(cluster());
    let issuers = ["ann", "bob", "node-1", "node-2", "node-3"].map(|it| (it, Purpose::TaskIssuer));
    for (owner, purpose) in issuers.into_iter().chain([("scheduler", Purpose::Scheduler)]) {
        let anchor = Anchor {
            key: key(owner, purpose).public().clone(),
            principal: id(owner),
            not_before_s: NOW_S - 1_000_000,
            not_after_s: NOW_S + 1_000_000,
            revoked_at_s: None,
            acts_for: BTreeSet::new(),
        };
        anchors.add(anchor).unwrap();
    }
    anchors
}

fn grants(tasks_max: u32) -> Grants {
    Grants {
        agents: vec![PrincipalPattern::parse("node-*").unwrap()],
        credentials: vec!["db".to_owned()],
        paths: vec![PathGrant { path: "/srv".to_owned(), access: PathAccess::Read }],
        tasks_max,
        ..Grants::default()
    }
}

/// `ann` asks `node-1`.
fn root() -> RequestClaims {
    RequestClaims {
        issuer: id("ann"),
        subject: id("ann"),
        audience: "node:node-1".parse().unwrap(),
        expires_at_s: NOW_S + 3600,
        not_before_s: NOW_S - 600,
        issued_at_s: NOW_S - 600,
        nonce: [1; 16],
        spec_json: r#"{"work":{"kind":"command","argv":["true"]}}"#.to_owned(),
        grants: grants(3),
        parent: None,
        trace: None,
        partition: 0,
    }
}

/// `node-1` asks `node-2` for `ann`.
fn child() -> RequestClaims {
    RequestClaims {
        issuer: id("node-1"),
        audience: "node:node-2".parse().unwrap(),
        not_before_s: NOW_S,
        issued_at_s: NOW_S,
        grants: grants(2),
        parent: Some(task_id(&id("ann"), &[1; 16])),
        ..root()
    }
}

fn signed(claims: &RequestClaims) -> Vec<u8> {
    let key = key(claims.issuer.as_str(), Purpose::TaskIssuer);
    sign::<Request>(claims, &cluster(), &key).unwrap()
}

fn assignment_to(node: &str, claims: &RequestClaims) -> AssignmentClaims {
    AssignmentClaims {
        issuer: id("scheduler"),
        issued_at_s: claims.issued_at_s,
        expires_at_s: claims.issued_at_s + 120,
        task: task_id(&claims.issuer, &claims.nonce),
        request_hash: crate::envelope_hash(&signed(claims)),
        node: id(node),
        epoch: 1,
        attempt: 1,
        term: 1,
    }
}

fn assigned(claims: &AssignmentClaims) -> Vec<u8> {
    sign::<Assignment>(claims, &cluster(), &key("scheduler", Purpose::Scheduler)).unwrap()
}

/// A request and the assignment of it, both signed.
type Link = (Vec<u8>, Vec<u8>);

fn link(claims: &RequestClaims, node: &str) -> Link {
    (signed(claims), assigned(&assignment_to(node, claims)))
}

fn verify(
    anchors: &TrustAnchors,
    request: &RequestClaims,
    ancestors: &[Link],
) -> Result<Verified<Request>, EnvelopeError> {
    let links: Vec<_> =
        ancestors.iter().map(|(request, assignment)| ChainLink { request, assignment }).collect();
    let trust = Trust { anchors, now: Timestamp::from_seconds(NOW_S) };
    let envelope = signed(request);
    Unverified::with_chain(&envelope, &links).verify(trust, &Recipient::Scheduler { partition: 0 })
}

#[track_caller]
fn check(request: &RequestClaims, ancestors: &[Link], expected: Option<ErrorCode>) {
    let refused = verify(&anchors(), request, ancestors).err();
    let code = refused.as_ref().map(EnvelopeError::code);
    assert_eq!(code, expected, "{:?}", refused.map(|error| error.to_fault().message));
}

const INVALID: Option<ErrorCode> = Some(ErrorCode::ChainInvalid);
const EXCEEDED: Option<ErrorCode> = Some(ErrorCode::GrantsExceeded);

#[test]
fn a_request_of_a_task_counts_with_the_chain_that_led_to_it() {
    let verified = verify(&anchors(), &child(), &[link(&root(), "node-1")]).unwrap();
    assert_eq!(verified.ancestors().len(), 1);
    assert_eq!(*verified.ancestors()[0].claims(), root());
    check(&root(), &[], None);
}

#[test]
fn a_request_of_a_task_is_worth_nothing_alone() {
    check(&child(), &[], INVALID);
    // Not even in the node's own name.
    check(&RequestClaims { subject: id("node-1"), ..child() }, &[], INVALID);
    check(&root(), &[link(&root(), "node-1")], INVALID);
}

#[test]
fn without_a_parent_nobody_asks_in_anothers_name() {
    let orphan = RequestClaims { parent: None, ..child() };
    check(&orphan, &[], Some(ErrorCode::NotAllowed));
}

#[test]
fn each_names_the_task_before_it_in_the_same_name() {
    let link = [link(&root(), "node-1")];
    let other = Some(task_id(&id("ann"), &[2; 16]));
    check(&RequestClaims { parent: other, ..child() }, &link, INVALID);
    check(&RequestClaims { subject: id("bob"), ..child() }, &link, INVALID);
    check(&RequestClaims { subject: id("node-1"), ..child() }, &link, INVALID);
    // A chain that does not begin with somebody's own request.
    let grandchild = RequestClaims {
        issuer: id("node-2"),
        audience: "node:node-3".parse().unwrap(),
        grants: grants(1),
        parent: Some(task_id(&id("node-1"), &[1; 16])),
        ..child()
    };
    check(&grandchild, &[self::link(&child(), "node-2")], INVALID);
    check(&grandchild, &[self::link(&root(), "node-1"), self::link(&child(), "node-2")], None);
}

#[test]
fn only_the_node_that_was_to_run_a_task_asks_for_more() {
    check(&RequestClaims { issuer: id("node-2"), ..child() }, &[link(&root(), "node-1")], INVALID);
    // A stolen scheduler's key does not move a task that was for one node.
    let elsewhere = [link(&root(), "node-2")];
    check(&RequestClaims { issuer: id("node-2"), ..child() }, &elsewhere, INVALID);
    let anywhere = RequestClaims { audience: "can:shell.exec".parse().unwrap(), ..root() };
    check(&RequestClaims { issuer: id("node-2"), ..child() }, &[link(&anywhere, "node-2")], None);
}

#[test]
fn an_assignment_belongs_to_its_request_and_is_the_schedulers() {
    let root_claims = root();
    let with = |assignment: Vec<u8>| [(signed(&root_claims), assignment)];
    let good = assignment_to("node-1", &root_claims);
    check(&child(), &with(assigned(&good)), None);
    let task = task_id(&id("ann"), &[9; 16]);
    check(&child(), &with(assigned(&AssignmentClaims { task, ..good.clone() })), INVALID);
    let request_hash = schemas::Sha256Hash::ZERO;
    check(&child(), &with(assigned(&AssignmentClaims { request_hash, ..good.clone() })), INVALID);
    check(&child(), &with(signed(&root_claims)), INVALID);
    check(&child(), &with(Vec::new()), INVALID);
    let mut flipped = assigned(&good);
    *flipped.last_mut().unwrap() ^= 1;
    check(&child(), &with(flipped), INVALID);
    let late = NOW_S + CLOCK_SKEW_S + 1;
    let late = AssignmentClaims { issued_at_s: late, expires_at_s: late + 9, ..good };
    check(&child(), &with(assigned(&late)), INVALID);
}

#[test]
fn a_changed_request_breaks_the_chain() {
    let (mut request, assignment) = link(&root(), "node-1");
    *request.last_mut().unwrap() ^= 1;
    check(&child(), &[(request, assignment)], INVALID);
}

#[test]
fn a_task_that_was_not_valid_asked_for_nothing() {
    let root = |not_before_s, expires_at_s| {
        let claims = RequestClaims { not_before_s, expires_at_s, ..root() };
        let child = RequestClaims {
            parent: Some(task_id(&claims.issuer, &claims.nonce)),
            expires_at_s: expires_at_s.max(NOW_S + 1),
            ..child()
        };
        (child, [link(&claims, "node-1")])
    };
    let judge = |(child, chain): (RequestClaims, [Link; 1]), expected| {
        check(&child, &chain, expected);
    };
    judge(root(NOW_S + CLOCK_SKEW_S, NOW_S + 60), None);
    judge(root(NOW_S + CLOCK_SKEW_S + 1, NOW_S + 60), INVALID);
    judge(root(NOW_S - 600, NOW_S), INVALID);
    judge(root(NOW_S - 600, NOW_S + 1), None);
}

#[test]
fn a_task_does_not_outlive_the_one_that_asked_for_it() {
    let link = [link(&root(), "node-1")];
    check(&RequestClaims { expires_at_s: NOW_S + 3600, ..child() }, &link, None);
    check(&RequestClaims { expires_at_s: NOW_S + 3601, ..child() }, &link, INVALID);
}

#[test]
fn a_task_asks_for_no_more_than_it_was_granted() {
    let link = [link(&root(), "node-1")];
    let judge = |claims: RequestClaims, expected| check(&claims, &link, expected);
    judge(child(), None);
    judge(RequestClaims { audience: "node:db".parse().unwrap(), ..child() }, EXCEEDED);
    judge(RequestClaims { audience: "can:shell.exec".parse().unwrap(), ..child() }, EXCEEDED);
    let spec = |name| {
        let work = r#""work":{"kind":"command","argv":["true"]}"#;
        format!(r#"{{{work},"credentials":["{name}"]}}"#)
    };
    judge(RequestClaims { spec_json: spec("db"), ..child() }, None);
    judge(RequestClaims { spec_json: spec("root"), ..child() }, EXCEEDED);
    let with = |grants| RequestClaims { grants, ..child() };
    judge(with(grants(2)), None);
    judge(with(grants(3)), EXCEEDED);
    let capabilities = vec![Capability::parse("shell.exec").unwrap()];
    judge(with(Grants { capabilities, ..grants(2) }), EXCEEDED);
    let paths = vec![PathGrant { path: "/srv".to_owned(), access: PathAccess::Write }];
    judge(with(Grants { paths, ..grants(2) }), EXCEEDED);
    judge(with(Grants { network: vec!["db:5432".to_owned()], ..grants(2) }), EXCEEDED);
}

#[test]
fn a_task_without_grants_asks_for_nothing() {
    let childless = RequestClaims { grants: Grants::default(), ..root() };
    let none = RequestClaims { grants: Grants::default(), ..child() };
    check(&none, &[link(&childless, "node-1")], EXCEEDED);
    let spent = RequestClaims { grants: grants(0), ..root() };
    check(&none, &[link(&spent, "node-1")], EXCEEDED);
}

/// A chain of that many requests: the last one, and those before it.
fn chain_of(length: usize) -> (RequestClaims, Vec<Link>) {
    let mut last = RequestClaims { grants: grants(20), ..root() };
    let mut links = Vec::new();
    for depth in 1..length {
        let node = format!("node-{}", 1 + (depth + 1) % 2);
        let next = RequestClaims {
            issuer: id(&node),
            audience: format!("node:node-{}", 1 + depth % 2).parse().unwrap(),
            grants: grants(20 - u32::try_from(depth).unwrap()),
            parent: Some(task_id(&last.issuer, &last.nonce)),
            not_before_s: NOW_S,
            issued_at_s: NOW_S,
            nonce: [u8::try_from(depth).unwrap(); 16],
            ..root()
        };
        links.push(link(&last, &node));
        last = next;
    }
    (last, links)
}

#[test]
fn a_chain_has_at_most_eight_requests() {
    for length in 1..=CHAIN_LENGTH_MAX {
        let (last, links) = chain_of(length);
        let verified = verify(&anchors(), &last, &links).unwrap();
        assert_eq!(verified.ancestors().len(), length - 1);
    }
    let (last, links) = chain_of(CHAIN_LENGTH_MAX + 1);
    check(&last, &links, INVALID);
    let mut swapped = chain_of(4);
    swapped.1.swap(0, 1);
    check(&swapped.0, &swapped.1, INVALID);
}

#[test]
fn attack_47_a_revoked_key_breaks_the_chain_whenever_it_signed() {
    let (last, links) = chain_of(3);
    let keys = [("ann", Purpose::TaskIssuer), ("scheduler", Purpose::Scheduler)];
    for (owner, purpose) in keys {
        let mut anchors = anchors();
        anchors.set_revoked(BTreeSet::from([key(owner, purpose).public().id()]));
        let error = verify(&anchors, &last, &links).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ChainInvalid, "{owner}");
        assert!(error.to_fault().message.contains("is revoked"), "{}", error.to_fault());
    }
}

#[test]
fn a_verified_chain_can_be_verified_again() {
    let anchors = anchors();
    let (last, links) = chain_of(3);
    let verified = verify(&anchors, &last, &links).unwrap();
    let trust = Trust { anchors: &anchors, now: Timestamp::from_seconds(NOW_S) };
    let links: Vec<_> =
        links.iter().map(|(request, assignment)| ChainLink { request, assignment }).collect();
    let again = verify_chain(&verified, &links, trust).unwrap();
    let tasks = |chain: &[Verified<Request>]| {
        chain.iter().map(|request| request.task().clone()).collect::<Vec<_>>()
    };
    assert_eq!(tasks(&again), tasks(verified.ancestors()));
}
