//! A node that pins nothing but a root: whom it believes, and until when.

use std::{collections::BTreeSet, time::Duration};

use schemas::{
    ErrorCode,
    claims::{CertificateClaims, RequestClaims, RosterClaims},
    enrolment::{AgentAccess, ROSTER_AGE_S_MAX},
    grants::Grants,
    key::{KeyOffer, PublicKeyBytes},
    manifest::PrincipalPattern,
};
use trust::{Anchor, KeyId, Purpose, Roster, SecretKey, TrustAnchors, certify, sign, task_id};
use zeroize::Zeroizing;

use super::fixture::{
    NOW_S, after, asking, cluster, draft, facts, facts_at, go, id, on_disk, profile, run_key,
    running, shown,
};
use crate::{
    Facts, Input, Node, Profile, ReceivedAncestor, ReceivedOffer, ReceivedRoster, RecordKind,
};

fn secret(purpose: Purpose, seed: u8) -> SecretKey {
    SecretKey::from_entropy(purpose, &Zeroizing::new([seed; 32]))
}

fn root() -> SecretKey {
    secret(Purpose::Root, 200)
}

fn enrolment() -> SecretKey {
    secret(Purpose::Enrolment, 201)
}

fn certificate(by: (&SecretKey, &str), of: &SecretKey, subject: &str) -> Vec<u8> {
    let (voucher, issuer) = by;
    let public = of.public();
    let claims = CertificateClaims {
        issuer: id(issuer),
        subject: id(subject),
        key: KeyOffer { purpose: public.purpose(), key: PublicKeyBytes(*public.as_bytes()) },
        issued_at_s: NOW_S - 1000,
        not_before_s: NOW_S - 1000,
        not_after_s: NOW_S + 10_000_000,
        bounds: None,
    };
    certify(&claims, &cluster(), voucher).unwrap()
}

fn of_enrolment() -> Vec<u8> {
    certificate((&root(), "root"), &enrolment(), "registry")
}

fn certified(key: &SecretKey, subject: &str) -> Vec<u8> {
    certificate((&enrolment(), "registry"), key, subject)
}

fn key(seed: u8) -> SecretKey {
    secret(if seed == 3 { Purpose::Scheduler } else { Purpose::TaskIssuer }, seed)
}

fn key_id(seed: u8) -> KeyId {
    key(seed).public().id()
}

/// Everybody's certificates, as an offer brings them.
fn certificates() -> Vec<Vec<u8>> {
    let of = [(1, "alice"), (2, "mallory"), (3, "scheduler"), (4, "n2"), (5, "olga")];
    let of = of.into_iter().map(|(seed, name)| certified(&key(seed), name));
    [of_enrolment()].into_iter().chain(of).collect()
}

fn pinning_root() -> Profile {
    let mut anchors = TrustAnchors::new(cluster());
    let pinned = Anchor {
        key: root().public().clone(),
        principal: id("root"),
        not_before_s: 0,
        not_after_s: u64::MAX,
        revoked_at_s: None,
        acts_for: BTreeSet::new(),
    };
    anchors.add(pinned).unwrap();
    Profile { anchors, ..profile("i1") }
}

fn claims(version: u64, issued_at_s: u64) -> RosterClaims {
    RosterClaims {
        issuer: id("registry"),
        issued_at_s,
        version,
        revoked: Vec::new(),
        overseers: Vec::new(),
        access: None,
    }
}

fn signed(claims: &RosterClaims) -> ReceivedRoster {
    let envelope = sign::<Roster>(claims, &cluster(), &enrolment()).unwrap();
    ReceivedRoster { envelope, certificates: vec![of_enrolment()] }
}

fn roster(claims: &RosterClaims) -> Input {
    Input::Roster(Box::new(signed(claims)))
}

fn revoking(version: u64, seed: u8) -> RosterClaims {
    RosterClaims { revoked: vec![key_id(seed)], ..claims(version, NOW_S) }
}

/// An offer of `issuer`'s with everybody's certificates.
fn offer_of(number: u8, issuer: &str, seed: u8) -> Input {
    let draft = draft(number, 1).with(|draft| {
        draft.request.issuer = id(issuer);
        draft.request.subject = id(issuer);
        draft.assignment.task = task_id(&id(issuer), &[number; 16]);
        draft.issuer_seed = seed;
    });
    Input::Offer(ReceivedOffer { certificates: certificates(), ..draft.sign() })
}

fn offer(number: u8) -> Input {
    offer_of(number, "alice", 1)
}

fn does(node: &mut Node, input: Input, facts: &Facts) -> Vec<String> {
    shown(&node.step(input, facts))
}

/// A node that has heard a first roster.
fn informed() -> Node {
    let mut node = Node::new(pinning_root());
    assert_eq!(does(&mut node, roster(&claims(1, NOW_S)), &facts()), ["keep roster"]);
    node
}

#[test]
fn a_node_that_pins_a_root_believes_whom_certificates_lead_to() {
    assert_eq!(does(&mut informed(), offer(1), &facts()), ["write accepted 1"]);
    let Input::Offer(bare) = offer(2) else { panic!("it is an offer") };
    let bare = ReceivedOffer { certificates: Vec::new(), ..bare };
    let done = does(&mut informed(), Input::Offer(bare), &facts());
    assert_eq!(done, ["refuse 1 KEY_UNKNOWN"], "nothing was said about the key");
}

#[test]
fn a_certificate_that_no_root_vouches_for_spoils_the_offer() {
    let Input::Offer(forged) = offer(1) else { panic!("it is an offer") };
    let rogue = secret(Purpose::Enrolment, 66);
    let mut certificates = certificates();
    certificates.insert(1, certificate((&rogue, "registry"), &key(2), "alice"));
    let forged = Input::Offer(ReceivedOffer { certificates, ..forged });
    assert_eq!(does(&mut informed(), forged, &facts()), ["refuse 1 CERTIFICATE_INVALID"]);
}

#[test]
fn without_a_roster_a_node_that_pins_a_root_takes_nothing_on_and_says_so() {
    let mut node = Node::new(pinning_root());
    assert_eq!(does(&mut node, offer(1), &facts()), ["refuse 1 ROSTER_STALE"]);
    assert!(!node.knows_who_is_out(facts().wall));
    assert!(node.roster_complaint(facts().wall).unwrap().contains("no roster"));
    let pinned = Node::new(profile("i1"));
    assert!(pinned.knows_who_is_out(facts().wall), "pinned keys are all there is to know");
    assert_eq!(pinned.roster_complaint(facts().wall), None);
}

#[test]
fn a_roster_that_is_too_old_stops_tasks_until_the_next() {
    let mut node = informed();
    does(&mut node, roster(&claims(1, NOW_S)), &facts());
    let late = after(ROSTER_AGE_S_MAX + 1);
    assert!(node.knows_who_is_out(after(ROSTER_AGE_S_MAX).wall));
    assert!(node.roster_complaint(late.wall).unwrap().contains("86401 s old"));
    let stale = node.stale_roster(late.wall).unwrap();
    assert_eq!(stale.code, ErrorCode::RosterStale);
    assert_eq!(
        does(&mut node, roster(&claims(1, NOW_S + ROSTER_AGE_S_MAX)), &late),
        ["keep roster"]
    );
    assert_eq!(node.roster_complaint(late.wall), None);
}

#[test]
fn the_same_roster_again_is_kept_for_its_age_and_not_more_often() {
    let mut node = informed();
    for (later_s, expected) in [(60, 0), (599, 0), (600, 1), (660, 0), (1200, 1)] {
        let done = does(&mut node, roster(&claims(1, NOW_S + later_s)), &after(later_s));
        assert_eq!(done.len(), expected, "after {later_s} s");
    }
    // One that was signed earlier comes late: it makes nothing older.
    does(&mut node, roster(&claims(1, NOW_S)), &after(1200));
    assert!(node.knows_who_is_out(after(1200 + ROSTER_AGE_S_MAX).wall));
}

#[test]
fn attack_47_a_key_on_the_roster_is_refused_and_what_runs_goes_on() {
    let mut node = informed();
    let first = run_key(1, 1);
    does(&mut node, offer(1), &facts());
    for input in [on_disk(&first, RecordKind::Accepted), go(&first, 1)] {
        does(&mut node, input, &facts());
    }
    let begun = does(&mut node, on_disk(&first, RecordKind::Started), &facts());
    assert_eq!(begun, ["run 1"]);
    assert_eq!(does(&mut node, roster(&revoking(2, 1)), &facts()), ["keep roster"]);
    assert_eq!(node.presence().running, [first], "it is not killed");
    assert_eq!(does(&mut node, offer(2), &facts()), ["refuse 1 KEY_REVOKED"]);
}

#[test]
fn attack_47_assignments_of_a_revoked_scheduler_are_refused() {
    let mut node = informed();
    let claims = RosterClaims { revoked: vec![key_id(3)], ..claims(2, NOW_S) };
    does(&mut node, roster(&claims), &facts());
    assert_eq!(does(&mut node, offer(1), &facts()), ["refuse 1 KEY_REVOKED"]);
}

#[test]
fn attack_47_a_rolled_back_roster_changes_nothing_before_or_after_a_restart() {
    let mut node = informed();
    does(&mut node, roster(&revoking(7, 1)), &facts());
    let kept = signed(&revoking(7, 1));
    let (mut restarted, _) = Node::recover(pinning_root(), Vec::new(), &facts());
    restarted.resume_roster(&kept, facts().wall).unwrap();
    for mut node in [node, restarted] {
        let older = roster(&claims(6, NOW_S + 30));
        assert_eq!(does(&mut node, older, &facts()), Vec::<String>::new());
        let complaint = node.roster_complaint(facts().wall).unwrap();
        assert!(complaint.contains("version 6") && complaint.contains("version 7"), "{complaint}");
        assert_eq!(does(&mut node, offer(1), &facts()), ["refuse 1 KEY_REVOKED"]);
        // The next one that counts ends the complaint, and may let the key in again.
        does(&mut node, roster(&claims(8, NOW_S)), &facts());
        assert_eq!(node.roster_complaint(facts().wall), None);
        assert_eq!(does(&mut node, offer(1), &facts()), ["write accepted 1"]);
    }
}

#[test]
fn attack_47_a_roster_of_anybody_else_is_refused() {
    let forge = |key: &SecretKey, certificates: Vec<Vec<u8>>| {
        let envelope = sign::<Roster>(&claims(9, NOW_S), &cluster(), key).unwrap();
        Input::Roster(Box::new(ReceivedRoster { envelope, certificates }))
    };
    let rogue = secret(Purpose::Enrolment, 66);
    let self_made = certificate((&secret(Purpose::Root, 67), "root"), &rogue, "registry");
    for certificates in [Vec::new(), vec![of_enrolment()], vec![self_made]] {
        let mut node = informed();
        assert_eq!(does(&mut node, forge(&rogue, certificates), &facts()), Vec::<String>::new());
        assert!(node.roster_complaint(facts().wall).is_some());
    }
    let ahead = roster(&claims(9, NOW_S + 3600));
    assert_eq!(does(&mut informed(), ahead, &facts()), Vec::<String>::new());
}

#[test]
fn overseers_may_task_every_node_as_long_as_the_roster_names_them() {
    let mut node = informed();
    assert_eq!(does(&mut node, offer_of(1, "olga", 5), &facts()), ["ask roster"]);
    let same = does(&mut node, roster(&claims(1, NOW_S)), &facts());
    assert_eq!(same, ["refuse 1 TASK_NOT_PERMITTED"]);
    let overseen = RosterClaims { overseers: vec![id("olga")], ..claims(2, NOW_S) };
    does(&mut node, roster(&overseen), &facts());
    assert_eq!(does(&mut node, offer_of(2, "olga", 5), &facts()), ["write accepted 1"]);
    does(&mut node, roster(&claims(3, NOW_S)), &facts());
    assert_eq!(does(&mut node, offer_of(3, "olga", 5), &facts()), ["ask roster"]);
}

#[test]
fn a_share_that_is_younger_than_the_roster_is_asked_for_before_the_node_says_no() {
    let mut node = informed();
    assert_eq!(does(&mut node, offer_of(1, "olga", 5), &facts()), ["ask roster"]);
    assert!(does(&mut node, offer_of(1, "olga", 5), &facts()).is_empty(), "it is asked for once");
    let overseen = RosterClaims { overseers: vec![id("olga")], ..claims(2, NOW_S) };
    let done = does(&mut node, roster(&overseen), &facts());
    assert_eq!(done, ["keep roster", "write accepted 1"]);
}

#[test]
fn an_offer_in_doubt_is_refused_when_no_roster_comes() {
    let mut node = informed();
    assert_eq!(does(&mut node, offer_of(1, "olga", 5), &facts()), ["ask roster"]);
    let later = |ms| facts_at(Duration::from_millis(ms));
    assert_eq!(node.next_wake(), Some(later(2_000).uptime));
    assert!(does(&mut node, Input::Tick, &later(1_999)).is_empty());
    assert_eq!(does(&mut node, Input::Tick, &later(2_000)), ["refuse 1 TASK_NOT_PERMITTED"]);
}

#[test]
fn a_flood_of_offers_in_doubt_is_refused_at_once() {
    let mut node = informed();
    for number in 0..64 {
        does(&mut node, offer_of(number, "olga", 5), &facts());
    }
    let refused = does(&mut node, offer_of(64, "olga", 5), &facts());
    assert_eq!(refused.len(), 1);
    assert!(refused[0].ends_with("TASK_NOT_PERMITTED"), "{refused:?}");
}

#[test]
fn whose_the_node_is_and_with_whom_it_is_shared_comes_with_the_roster() {
    let of = |(agent, issued_at_s): (&str, u64), owner: &str, shared: &[&str]| {
        let shared_with = shared.iter().map(|name| PrincipalPattern::parse(name).unwrap());
        let (agent, owner) = (id(agent), id(owner));
        let access = AgentAccess { agent, owner, shared_with: shared_with.collect() };
        roster(&RosterClaims { access: Some(access), ..claims(1, issued_at_s) })
    };
    let mut node = informed();
    let may = |node: &mut Node, name: &str, seed: u8| {
        let done = does(node, offer_of(seed, name, seed), &facts());
        done == ["write accepted 1"]
            || !done.is_empty() && !done[0].contains("NOT_PERMITTED") && done != ["ask roster"]
    };
    assert!(!may(&mut node.clone(), "olga", 5));
    let kept = does(&mut node, of(("n1", NOW_S), "alice", &["olga"]), &facts());
    assert_eq!(kept, ["keep roster"], "a share alone makes no new version");
    assert!(may(&mut node.clone(), "olga", 5));
    does(&mut node, of(("n1", NOW_S + 1), "olga", &[]), &facts());
    assert!(may(&mut node.clone(), "olga", 5));
    assert!(!may(&mut node.clone(), "alice", 1), "it has another owner");
    does(&mut node, of(("n1", NOW_S), "alice", &[]), &facts());
    assert!(!may(&mut node.clone(), "alice", 1), "an older roster says so");
    does(&mut node, of(("n2", NOW_S + 2), "alice", &[]), &facts());
    assert!(!may(&mut node.clone(), "alice", 1), "it is said of another node");
}

/// A task of alice's on n2 asks n1 for something, in her name.
fn child(change: impl FnOnce(&mut RequestClaims, &mut RequestClaims)) -> Input {
    let grants = Grants {
        agents: vec![PrincipalPattern::parse("n1").unwrap()],
        tasks_max: 1,
        ..Grants::default()
    };
    let mut parent = draft(1, 1).request;
    parent.audience = schemas::Audience::Node(id("n2"));
    parent.grants = grants;
    let mut child = draft(2, 1).request;
    child.issuer = id("n2");
    child.parent = Some(task_id(&id("alice"), &[1; 16]));
    change(&mut parent, &mut child);
    let given = draft(1, 1).with(|draft| {
        draft.request = parent;
        draft.assignment.node = id("n2");
    });
    let given = given.sign();
    let offered = draft(2, 1).with(|draft| {
        draft.assignment.task = task_id(&child.issuer, &[2; 16]);
        draft.request = child;
        draft.issuer_seed = 4;
    });
    let ancestors = vec![ReceivedAncestor { request: given.request, assignment: given.assignment }];
    Input::Offer(ReceivedOffer { certificates: certificates(), ancestors, ..offered.sign() })
}

/// A node that n2 may task.
fn trusting_n2() -> Node {
    let mut profile = pinning_root();
    profile.manifest.accepts_tasks_from = vec![PrincipalPattern::parse("n2").unwrap()];
    let mut node = Node::new(profile);
    does(&mut node, roster(&claims(1, NOW_S)), &facts());
    node
}

fn check_child(change: impl FnOnce(&mut RequestClaims, &mut RequestClaims), expected: &str) {
    let done = does(&mut trusting_n2(), child(change), &facts());
    assert_eq!(done, [expected]);
}

#[test]
fn a_child_is_taken_with_the_tasks_that_asked_for_it() {
    check_child(|_, _| (), "write accepted 1");
}

#[test]
fn a_child_of_an_agent_that_this_node_does_not_accept_is_refused() {
    let mut node = informed();
    assert_eq!(does(&mut node, child(|_, _| ()), &facts()), ["ask roster"]);
    let same = does(&mut node, roster(&claims(1, NOW_S)), &facts());
    assert_eq!(same, ["refuse 1 TASK_NOT_PERMITTED"]);
}

#[test]
fn a_child_without_its_ancestors_is_refused() {
    let Input::Offer(alone) = child(|_, _| ()) else { panic!("it is an offer") };
    let alone = Input::Offer(ReceivedOffer { ancestors: Vec::new(), ..alone });
    assert_eq!(does(&mut trusting_n2(), alone, &facts()), ["refuse 1 CHAIN_INVALID"]);
}

#[test]
fn a_child_that_goes_beyond_what_was_granted_is_refused() {
    let nothing = |parent: &mut RequestClaims, _: &mut RequestClaims| parent.grants.agents.clear();
    check_child(nothing, "refuse 1 GRANTS_EXCEEDED");
    let longer = |_: &mut RequestClaims, child: &mut RequestClaims| child.expires_at_s += 1;
    check_child(longer, "refuse 1 CHAIN_INVALID");
}

#[test]
fn attack_46_a_child_in_another_users_name_is_refused() {
    let other = |_: &mut RequestClaims, child: &mut RequestClaims| child.subject = id("mallory");
    check_child(other, "refuse 1 CHAIN_INVALID");
}

#[test]
fn attack_47_a_revoked_key_anywhere_in_the_chain_spoils_it() {
    for seed in [1, 3, 4] {
        let mut node = trusting_n2();
        does(&mut node, roster(&revoking(2, seed)), &facts());
        let done = does(&mut node, child(|_, _| ()), &facts());
        assert!(done[0].starts_with("refuse"), "key {seed}: {done:?}");
    }
}

/// Two machines with the same disk: both ask, one is told to run it, the other stands down.
#[test]
fn attack_98_of_two_copies_of_a_disk_one_runs_the_task() {
    let key = run_key(1, 1);
    let mut original = super::fixture::node();
    let mut disk = Vec::new();
    for input in asking(&key, 1) {
        for action in original.step(input, &facts()) {
            if let crate::Action::Write(record) = action {
                disk.push(record);
            }
        }
    }
    let (mut copy, asked) = Node::recover(profile("i2"), disk, &facts());
    assert_eq!(shown(&asked), ["ask 1 try 1"]);
    let mut begun = Vec::new();
    for input in [go(&key, 1), on_disk(&key, RecordKind::Started)] {
        begun.extend(does(&mut original, input.clone(), &facts()));
        // The go names the instance that it is for, so the copy gains nothing by hearing it.
        begun.extend(does(&mut copy, input, &facts()));
    }
    assert_eq!(begun, ["write started 1", "run 1"]);
    let mut control = super::fixture::node();
    let ran: Vec<String> = running(&key, 1)
        .into_iter()
        .flat_map(|input| does(&mut control, input, &facts()))
        .collect();
    assert!(ran.contains(&"run 1".to_owned()));
}
