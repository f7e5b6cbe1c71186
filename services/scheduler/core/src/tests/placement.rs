//! Who is chosen, who is not, and why.

use std::collections::BTreeMap;

use schemas::{
    Capability, ErrorCode,
    registry::{AgentStatus, RegistryEvent, StatusSet},
    sandbox::{Enforcement, Property, PropertyReport},
    scheduler::Filter,
    task::{TaskSpec, Verdict, Work},
};

use super::harness::{BEGIN_MS, HOUR_MS, Scene, agent, principal, refuse, report, submit, task_id};
use crate::{Answer, Observation, Question};

/// The filters that exclude node `a` from a task that waits.
#[track_caller]
fn check(scene: &mut Scene, spec: TaskSpec, audience: &str, then: &[Filter]) {
    let events = scene.decide(&submit("t1", audience, spec, BEGIN_MS + HOUR_MS)).unwrap().0;
    assert_eq!(events[1], if then.is_empty() { "t1 assigned to a at 1" } else { "t1 queued" });
    if then.is_empty() {
        return;
    }
    let Ok(Answer::Why(why)) = scene.ask(&Question::Why(task_id("t1"))) else { panic!() };
    let verdict = why.nodes.iter().find(|verdict| verdict.node == principal("a")).unwrap();
    let found: Vec<Filter> = verdict.excluded_by.iter().map(|exclusion| exclusion.filter).collect();
    assert_eq!(found, then);
}

fn echo() -> TaskSpec {
    TaskSpec::new(Work::Echo { text: String::new() })
}

fn with_one(change: impl FnOnce(&mut schemas::registry::AgentView)) -> Scene {
    let mut scene = Scene::new();
    let mut view = agent("a", 1);
    change(&mut view);
    scene.join(view);
    scene
}

#[test]
fn a_node_needs_the_capability_of_the_work_itself() {
    let command = || {
        TaskSpec::new(Work::Command {
            argv: vec!["true".to_owned()],
            cwd: None,
            env: BTreeMap::new(),
            stdin: None,
        })
    };
    check(&mut Scene::with(&[("a", 1)]), command(), "node:a", &[]);
    let mut unable = with_one(|view| view.manifest.capabilities.tools.clear());
    check(&mut unable, command(), "node:a", &[Filter::Capability]);
}

#[test]
fn patterns_and_servers_cover_what_they_stand_for_and_no_more() {
    let cases = [
        ("proxmox.*", "can:proxmox.create_vm", true),
        ("proxmox.*", "can:proxmox.vm.create", true),
        ("*", "can:anything.at.all", true),
        ("shell.exec@v1", "can:shell.exec", true),
        ("shell.exec@v1", "can:shell.exec@v2", false),
        ("proxmox.create_vm", "can:proxmox.*", false),
        ("proxmoxer", "can:proxmox", false),
    ];
    for (held, audience, able) in cases {
        let held = Capability::parse(held).unwrap();
        let mut scene = with_one(|view| view.manifest.capabilities.tools = vec![held.clone()]);
        let then: &[Filter] = if able { &[] } else { &[Filter::Capability] };
        check(&mut scene, echo(), audience, then);
    }
    let server = vec![Capability::parse("proxmox").unwrap()];
    let mut scene = with_one(|view| view.manifest.capabilities.mcp_servers = server);
    check(&mut scene, echo(), "can:proxmox.create_vm", &[]);
}

#[test]
fn a_node_needs_every_label_and_every_enforced_property() {
    let mut spec = echo();
    spec.labels.insert("gpu".to_owned(), "a100".to_owned());
    spec.properties.push(Property::NetDenied);
    let mut bare = Scene::with(&[("a", 1)]);
    check(&mut bare, spec.clone(), "node:a", &[Filter::SandboxProperty, Filter::Label]);
    let report = |level| PropertyReport { level, by: Vec::new(), why: String::new() };
    for (level, then) in
        [(Enforcement::Partial, &[Filter::SandboxProperty][..]), (Enforcement::Enforced, &[])]
    {
        let mut scene = with_one(|view| {
            view.manifest.labels.insert("gpu".to_owned(), "a100".to_owned());
            let sandbox = &mut view.node.as_mut().unwrap().sandbox;
            sandbox.properties.insert(Property::NetDenied, report(level));
        });
        check(&mut scene, spec.clone(), "node:a", then);
    }
}

#[test]
fn an_agent_without_a_node_is_not_taskable() {
    let mut scene = with_one(|view| (view.enrolled, view.node) = (false, None));
    check(&mut scene, echo(), "node:a", &[Filter::Unenrolled, Filter::Slots]);
}

#[test]
fn a_silent_node_is_offline_whatever_the_registry_last_said() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.pass_ms(30_000);
    check(&mut scene, echo(), "node:a", &[Filter::Offline]);
    scene.beat("a-1", &[]);
    assert_eq!(scene.settle(), ["t1 assigned to a at 1"]);
}

#[test]
fn a_node_that_the_registry_calls_offline_and_that_was_never_heard_is_offline() {
    let mut scene = Scene::new();
    let mut view = agent("a", 1);
    view.status = AgentStatus::Offline;
    scene.observe(Observation::Agent(Box::new(view)));
    check(&mut scene, echo(), "node:a", &[Filter::Offline]);
}

#[test]
fn maintenance_and_draining_take_a_node_out_of_rotation() {
    let mut scene = Scene::with(&[("a", 1)]);
    let status = |status| RegistryEvent::AgentStatusSet {
        agent: principal("a"),
        set: StatusSet { by: principal("olga"), status, details: BTreeMap::new() },
    };
    scene.observe(Observation::Registry(Box::new(status(AgentStatus::Maintenance))));
    check(&mut scene, echo(), "node:a", &[Filter::OutOfRotation]);
    scene.observe(Observation::Registry(Box::new(RegistryEvent::AgentStatusReleased {
        agent: principal("a"),
        by: principal("olga"),
    })));
    assert_eq!(scene.settle(), ["t1 assigned to a at 1"]);

    let mut scene = Scene::with(&[("a", 1)]);
    let mut beat = schemas::agent::Heartbeat::bare(principal("a"));
    beat.draining = true;
    scene.observe(Observation::Heartbeat(Box::new(beat)));
    check(&mut scene, echo(), "node:a", &[Filter::OutOfRotation]);
}

#[test]
fn the_manifest_bounds_the_slots_of_the_node() {
    let mut scene = with_one(|view| {
        view.node.as_mut().unwrap().slots = 9;
        view.manifest.limits.max_tasks = Some(1);
    });
    scene.submit("t0", "node:a");
    check(&mut scene, echo(), "node:a", &[Filter::Slots]);
}

#[test]
fn emptier_nodes_come_first_and_failing_ones_last() {
    let mut scene = Scene::with(&[("a", 4), ("b", 4)]);
    scene.submit("t0", "node:a");
    let events = scene.submit("t1", "can:shell.exec");
    assert_eq!(events[1], "t1 assigned to b at 1");
    scene.decide(&refuse("t1", 1, "b-1", ErrorCode::JournalFailed)).unwrap();
    for task in ["t2", "t3"] {
        let events = scene.submit(task, "can:shell.exec");
        assert_eq!(events[1], format!("{task} assigned to a at 1"));
    }
}

#[test]
fn ties_fall_alike_in_every_replay_and_spread_over_the_fleet() {
    let names: Vec<String> = (0..8).map(|n| format!("n{n}")).collect();
    let fleet: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1000)).collect();
    let place = || -> Vec<String> {
        let mut first_choices = Vec::new();
        for task in 0..100 {
            let mut scene = Scene::with(&fleet);
            first_choices.push(scene.submit(&format!("t{task}"), "can:shell.exec")[1].clone());
        }
        first_choices
    };
    let (once, twice) = (place(), place());
    assert_eq!(once, twice);
    for name in &names {
        assert!(once.iter().any(|line| line.contains(&format!("to {name} "))), "{name}");
    }
}

#[test]
fn a_task_does_not_overtake_one_that_needs_the_same() {
    let mut scene = Scene::with(&[("a", 1)]);
    for task in ["t1", "t2"] {
        scene.submit(task, "can:shell.exec");
    }
    // The new node was heard of, but the loop has not compared it with the queue.
    scene.join(agent("b", 1));
    assert_eq!(scene.submit("t3", "can:shell.exec"), ["t3 submitted", "t3 queued"]);
    assert_eq!(scene.settle(), ["t2 assigned to b at 1"]);
}

#[test]
fn a_task_does_not_overtake_one_that_somebody_else_refused() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "can:shell.exec");
    scene.decide(&refuse("t1", 1, "a-1", ErrorCode::JournalFailed)).unwrap();
    scene.join(agent("b", 1));
    assert_eq!(scene.submit("t2", "can:shell.exec"), ["t2 submitted", "t2 assigned to a at 1"]);
    assert_eq!(scene.submit("t3", "can:shell.exec"), ["t3 submitted", "t3 queued"]);
    assert_eq!(scene.settle(), ["t1 assigned to b at 2"]);
}

#[test]
fn one_demand_that_nobody_can_meet_does_not_hold_up_the_others() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t0", "node:a");
    let mut picky = echo();
    picky.labels.insert("gpu".to_owned(), "a100".to_owned());
    scene.decide(&submit("t1", "can:shell.exec", picky, BEGIN_MS + HOUR_MS)).unwrap();
    scene.submit("t2", "can:shell.exec");
    scene.start("t0", 1, "a-1");
    let (events, _) = scene.decide(&report("t0", 1, "a-1", Verdict::Succeeded)).unwrap();
    assert_eq!(events, ["t0 succeeded at 1", "t2 assigned to a at 1"]);
}

#[test]
fn the_checker_sees_what_no_assignment_may_do() {
    let mut scene = Scene::with(&[("a", 1), ("b", 0)]);
    scene.submit("t1", "node:a");
    scene.submit("t2", "node:a");
    let assigned =
        |task: &str, node: &str, epoch| schemas::scheduler::SchedulerEvent::TaskAssigned {
            task: task_id(task),
            node: principal(node),
            epoch,
            attempt: 1,
            until: schemas::Timestamp(0),
        };
    let broken = [
        assigned("t2", "a", 1),
        assigned("t2", "b", 1),
        assigned("t1", "a", 2),
        assigned("t2", "c", 1),
        assigned("t9", "a", 1),
    ];
    for event in broken {
        let found = crate::violations(&scene.state, &scene.facts, std::slice::from_ref(&event));
        assert!(!found.is_empty(), "{event:?}");
    }
}
