//! Cases for the wire form of the sandbox report.

use super::*;

#[test]
fn every_property_is_written_as_the_word_that_names_it() {
    for property in Property::ALL {
        let json = serde_json::to_string(&property).unwrap();
        assert_eq!(json, format!("\"{property}\""));
    }
}

#[test]
fn the_list_of_properties_holds_each_once_and_in_order() {
    assert!(Property::ALL.is_sorted_by(|left, right| left < right));
    assert_eq!(Property::ALL.last(), Some(&Property::FdsClosed));
}

#[test]
fn only_enforced_satisfies_a_requirement() {
    check(Enforcement::Enforced, true);
    check(Enforcement::Partial, false);
    check(Enforcement::Absent, false);
}

#[test]
fn a_property_that_is_not_named_is_absent() {
    let report = SandboxReport { tier: Tier::T0, properties: BTreeMap::new() };
    assert_eq!(report.level(Property::TreeKill), Enforcement::Absent);
    assert!(!report.enforces(Property::TreeKill));
}

#[test]
fn a_report_survives_the_way_through_json() {
    let report = report(Enforcement::Partial);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(
        json,
        r#"{"tier":"t0","properties":{"tree_kill":{"level":"partial","by":["subreaper"],"why":"w"}}}"#
    );
    assert_eq!(serde_json::from_str::<SandboxReport>(&json).unwrap(), report);
}

#[test]
fn an_unknown_property_is_named_in_the_error() {
    let json = r#"{"tier":"t0","properties":{"tree_kil":{"level":"partial"}}}"#;
    let error = serde_json::from_str::<SandboxReport>(json).unwrap_err();
    assert!(error.to_string().contains("tree_kil"), "{error}");
}

#[track_caller]
fn check(level: Enforcement, satisfies: bool) {
    assert_eq!(report(level).enforces(Property::TreeKill), satisfies, "{level}");
}

fn report(level: Enforcement) -> SandboxReport {
    let entry = PropertyReport { level, by: vec!["subreaper".to_owned()], why: "w".to_owned() };
    SandboxReport { tier: Tier::T0, properties: BTreeMap::from([(Property::TreeKill, entry)]) }
}
