//! What is made of the registry's lists and events.

use schemas::{Capability, registry::RegistryEvent};

use super::harness::{Scene, agent, principal};
use crate::Observation;

#[test]
fn a_listed_fleet_forgets_whom_the_list_does_not_name() {
    let mut scene = Scene::with(&[("a", 1), ("b", 1)]);
    scene.observe(Observation::Listed([principal("b")].into()));
    assert!(scene.facts.fleet.get(&principal("a")).is_none());
    let events = scene.submit("t1", "can:shell.exec");
    assert_eq!(events[1], "t1 assigned to b at 1");
}

#[test]
fn a_manifest_that_changes_is_found_by_what_it_offers_now() {
    let mut scene = Scene::with(&[("a", 1)]);
    let mut view = agent("a", 1);
    view.manifest.capabilities.tools = vec![Capability::parse("proxmox.*").unwrap()];
    let registered = RegistryEvent::AgentRegistered {
        manifest: Box::new(view.manifest),
        node: view.node.map(Box::new),
        registrant: principal("a"),
        owner: view.owner,
    };
    scene.observe(Observation::Registry(Box::new(registered)));
    assert_eq!(scene.submit("t1", "can:shell.exec")[1], "t1 queued");
    assert_eq!(scene.submit("t2", "can:proxmox.create_vm")[1], "t2 assigned to a at 1");
}

#[test]
fn whoever_is_deregistered_gets_no_more_tasks() {
    let mut scene = Scene::with(&[("a", 1)]);
    let gone = RegistryEvent::AgentDeregistered { agent: principal("a"), by: principal("olga") };
    scene.observe(Observation::Registry(Box::new(gone)));
    assert_eq!(scene.submit("t1", "can:shell.exec")[1], "t1 queued");
}

#[test]
fn somebody_on_several_rings_is_met_once_and_everybody_is_met() {
    let mut scene = Scene::new();
    let names = ["proxmox.create_vm", "proxmox.*", "*"];
    for n in 0..20 {
        let mut view = agent(&format!("n{n}"), 1);
        let held = names.iter().take(1 + n % 3).map(|name| Capability::parse(name).unwrap());
        view.manifest.capabilities.tools = held.collect();
        scene.join(view);
    }
    let wanted = Capability::parse("proxmox.create_vm").unwrap();
    for from in [0, u64::MAX / 2, u64::MAX] {
        let met: Vec<_> = scene.facts.fleet.candidates(&wanted, from).collect();
        let distinct: std::collections::BTreeSet<_> = met.iter().collect();
        assert_eq!((met.len(), distinct.len()), (20, 20));
    }
}
