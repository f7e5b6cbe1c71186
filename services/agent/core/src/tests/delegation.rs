//! What a run may ask for in its turn, and what it may not.

use std::collections::BTreeMap;

use schemas::{
    Audience, Capability, ErrorCode, Fault,
    claims::RequestClaims,
    grants::{Grants, PathAccess, PathGrant},
    manifest::PrincipalPattern,
    task::{TaskSpec, Work},
};

use super::fixture::{NOW_S, draft, facts, id, profile, task};
use crate::{Asking, Budget, Delegation, Wanted, admit};

fn grants() -> Grants {
    Grants {
        capabilities: vec![Capability::parse("proxmox.*").unwrap()],
        agents: vec![PrincipalPattern::parse("n2").unwrap()],
        credentials: vec!["db".to_owned()],
        paths: vec![PathGrant { path: "/srv/data".to_owned(), access: PathAccess::Read }],
        network: vec!["db:5432".to_owned()],
        tasks_max: 3,
        until_s: Some(NOW_S + 600),
    }
}

fn asking() -> Asking {
    Asking {
        issuer: id("n1"),
        subject: id("alice"),
        parent: task(1),
        partition: 0,
        trace: Some("00-0123".to_owned()),
    }
}

fn budget(grants: Grants) -> Budget {
    Budget::new(asking(), Delegation { grants, until_s: NOW_S + 3600 })
}

fn wanted() -> Wanted {
    let argv = vec!["true".to_owned()];
    let work = Work::Command { argv, cwd: None, env: BTreeMap::new(), stdin: None };
    Wanted {
        audience: Audience::Node(id("n2")),
        spec: TaskSpec::new(work),
        spec_json: r#"{"work":{"kind":"command","argv":["true"]}}"#.to_owned(),
        grants: Grants::default(),
        lives_s: None,
    }
}

fn ask(budget: &mut Budget, wanted: &Wanted) -> Result<RequestClaims, Fault> {
    budget.ask(wanted, NOW_S, [9; 16]).map(|(claims, _)| claims)
}

/// A run with all of [`grants`] asks for what `change` makes of an allowed task.
fn check(change: impl FnOnce(&mut Wanted), expected: Result<(), (ErrorCode, &str)>) {
    let mut wanted = wanted();
    change(&mut wanted);
    let found = ask(&mut budget(grants()), &wanted);
    match (found, expected) {
        (Ok(_), Ok(())) => (),
        (Err(fault), Err((code, text))) => {
            assert_eq!(fault.code, code, "{fault}");
            assert!(fault.message.contains(text), "{fault}");
        }
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

const EXCEEDED: ErrorCode = ErrorCode::GrantsExceeded;

#[test]
fn a_child_is_asked_for_in_the_users_name_by_the_node_on_behalf_of_the_run() {
    let claims = ask(&mut budget(grants()), &wanted()).unwrap();
    assert_eq!((claims.issuer, claims.subject), (id("n1"), id("alice")));
    assert_eq!((claims.parent, claims.partition), (Some(task(1)), 0));
    assert_eq!(claims.trace.as_deref(), Some("00-0123"));
    assert_eq!((claims.issued_at_s, claims.expires_at_s), (NOW_S, NOW_S + 600));
}

#[test]
fn an_audience_that_was_granted_may_be_asked() {
    check(|_| (), Ok(()));
    let can = |name: &str| Audience::Can(Capability::parse(name).unwrap());
    check(|wanted| wanted.audience = can("proxmox.create_vm"), Ok(()));
    check(|wanted| wanted.audience = can("shell.exec"), Err((EXCEEDED, "capability")));
    check(|wanted| wanted.audience = Audience::Node(id("n3")), Err((EXCEEDED, "agent")));
    check(|wanted| wanted.audience = Audience::Node(id("n22")), Err((EXCEEDED, "agent")));
}

#[test]
fn credentials_that_were_granted_may_be_named() {
    check(|wanted| wanted.spec.credentials = vec!["db".to_owned()], Ok(()));
    let other = |wanted: &mut Wanted| wanted.spec.credentials = vec!["root".to_owned()];
    check(other, Err((EXCEEDED, "credential root")));
}

#[test]
fn grants_pass_on_as_far_as_they_were_granted() {
    let all = |wanted: &mut Wanted| wanted.grants = Grants { tasks_max: 2, ..grants() };
    check(all, Ok(()));
    let write = PathGrant { path: "/srv/data/x".to_owned(), access: PathAccess::Write };
    let beyond = [
        (Grants { paths: vec![write], ..Grants::default() }, "path"),
        (Grants { network: vec!["db:22".to_owned()], ..Grants::default() }, "network"),
        (Grants { credentials: vec!["root".to_owned()], ..Grants::default() }, "credential"),
        (
            Grants { agents: vec![PrincipalPattern::parse("*").unwrap()], ..Grants::default() },
            "agent",
        ),
        (Grants { until_s: Some(NOW_S + 601), ..Grants::default() }, "until_s"),
        (Grants { tasks_max: 4, ..Grants::default() }, "tasks_max"),
    ];
    for (grants, kind) in beyond {
        check(|wanted| wanted.grants = grants, Err((EXCEEDED, kind)));
    }
}

#[test]
fn a_child_ends_no_later_than_what_it_was_granted() {
    check(|wanted| wanted.lives_s = Some(600), Ok(()));
    check(|wanted| wanted.lives_s = Some(601), Err((EXCEEDED, "lives_s")));
    check(|wanted| wanted.lives_s = Some(u64::MAX), Err((EXCEEDED, "lives_s")));
    check(|wanted| wanted.lives_s = Some(0), Err((EXCEEDED, "lives_s")));
    let endless = Grants { until_s: None, ..grants() };
    let claims = ask(&mut budget(endless.clone()), &wanted()).unwrap();
    assert_eq!(claims.expires_at_s, NOW_S + 3600, "with the run's own request");
    let late = budget(endless).ask(&wanted(), NOW_S + 3600, [9; 16]).unwrap_err();
    assert_eq!(late.code, ErrorCode::Expired);
}

#[test]
fn the_budget_counts_what_children_may_ask_for_in_their_turn() {
    let mut budget = budget(grants());
    let with_one_of_its_own =
        Wanted { grants: Grants { tasks_max: 1, ..Grants::default() }, ..wanted() };
    let (_, spent) = budget.ask(&with_one_of_its_own, NOW_S, [1; 16]).unwrap();
    assert_eq!(ask(&mut budget, &with_one_of_its_own).unwrap_err().code, EXCEEDED);
    ask(&mut budget, &wanted()).unwrap();
    assert_eq!(ask(&mut budget, &wanted()).unwrap_err().code, EXCEEDED);
    budget.give_back(spent);
    ask(&mut budget, &wanted()).unwrap();
    ask(&mut budget, &wanted()).unwrap();
    assert_eq!(ask(&mut budget, &wanted()).unwrap_err().code, EXCEEDED);
}

#[test]
fn a_task_that_cannot_run_costs_nothing() {
    let mut budget = budget(Grants { tasks_max: 1, ..grants() });
    let mut broken = wanted();
    broken.spec.time_limit_ms = Some(0);
    assert!(ask(&mut budget, &broken).is_err());
    ask(&mut budget, &wanted()).unwrap();
}

#[test]
fn nobody_may_ask_for_anything_whose_request_grants_nothing() {
    let plain = admit(&draft(1, 1).sign(), &profile("i1"), facts().wall).unwrap();
    assert_eq!(plain.delegation, None);
    let granting = draft(1, 1).with(|draft| draft.request.grants = grants());
    let admission = admit(&granting.sign(), &profile("i1"), facts().wall).unwrap();
    let delegation = Delegation { grants: grants(), until_s: NOW_S + 3600 };
    assert_eq!(admission.delegation, Some(delegation));
}
