//! Cases for the report of walls.

use super::*;

const HELD: Shown = Shown { inside: false, outside: true };

#[test]
fn with_namespaces_all_is_enforced_but_what_needs_cgroups_or_a_proxy() {
    check(
        &seen(Tier::T3),
        &[Property::NetAllowlisted, Property::MemoryLimited, Property::CpuLimited],
    );
}

#[test]
fn what_succeeded_behind_the_walls_is_not_enforced() {
    let mut evidence = seen(Tier::T3);
    evidence.acts.insert(Property::NetDenied, Shown { inside: true, outside: true });
    let report = walls_report(&evidence);
    assert_eq!(report.level(Property::NetDenied), Enforcement::Absent);
}

#[test]
fn an_act_that_fails_without_walls_too_shows_nothing() {
    let mut evidence = seen(Tier::T3);
    evidence.acts.insert(Property::ProcHidden, Shown { inside: false, outside: false });
    let entry = walls_report(&evidence).properties.remove(&Property::ProcHidden).unwrap();
    assert_eq!(entry.level, Enforcement::Partial);
    assert!(!entry.by.is_empty() && entry.why.contains("nothing was shown"), "{entry:?}");
}

#[test]
fn a_folder_that_is_mounted_for_writing_has_no_quota() {
    let mut evidence = seen(Tier::T3);
    evidence.mounts = vec![Mount::same("/work", Access::ReadWrite)];
    let report = walls_report(&evidence);
    assert_eq!(report.level(Property::DiskLimited), Enforcement::Partial);
    assert_eq!(report.level(Property::HostSocketsBlocked), Enforcement::Partial);
    assert!(report.enforces(Property::FsWriteConfined));
}

#[test]
fn without_namespaces_less_is_enforced_and_an_old_landlock_keeps_no_signals() {
    let mut evidence = seen(Tier::T1);
    let report = walls_report(&evidence);
    assert!(report.enforces(Property::NetDenied) && report.enforces(Property::TreeKill));
    assert!(!report.enforces(Property::FsWriteConfined) && !report.enforces(Property::PidsLimited));
    evidence.landlock_abi = Some(5);
    let report = walls_report(&evidence);
    assert_eq!(report.level(Property::SignalsConfined), Enforcement::Absent);
    assert_eq!(report.level(Property::TreeKill), Enforcement::Partial);
}

#[test]
fn root_and_capabilities_are_told() {
    let evidence = Evidence { uid: 0, capabilities: 1, ..seen(Tier::T1) };
    let report = walls_report(&evidence);
    assert_eq!(report.level(Property::UidUnprivileged), Enforcement::Absent);
    assert_eq!(report.level(Property::NoCaps), Enforcement::Absent);
}

fn seen(tier: Tier) -> Evidence {
    Evidence {
        tier,
        uid: 1000,
        capabilities: 0,
        landlock_abi: Some(7),
        acts: Property::ALL.into_iter().map(|property| (property, HELD)).collect(),
        mounts: Vec::new(),
    }
}

#[track_caller]
fn check(evidence: &Evidence, not_enforced: &[Property]) {
    let report = walls_report(evidence);
    let found: Vec<_> = Property::ALL.into_iter().filter(|it| !report.enforces(*it)).collect();
    assert_eq!(found, not_enforced);
    for (property, entry) in &report.properties {
        assert_eq!(entry.why.is_empty(), entry.level == Enforcement::Enforced, "{property}");
    }
}
