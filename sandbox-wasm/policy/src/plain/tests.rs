//! Cases for the plain launcher's report.

use super::*;

const ROOT: HostFacts = HostFacts { uid: 0, capabilities: 0x1ff_ffff_ffff };
const USER: HostFacts = HostFacts { uid: 1000, capabilities: 0 };

#[test]
fn a_plain_process_as_root_enforces_two_properties() {
    check(ROOT, &[Property::NoNewPrivs, Property::FdsClosed]);
}

#[test]
fn a_plain_process_of_a_user_is_also_not_root() {
    check(USER, &[Property::NoNewPrivs, Property::UidUnprivileged, Property::FdsClosed]);
}

#[test]
fn every_property_stands_in_the_report() {
    let report = plain_report(ROOT);
    assert_eq!(report.properties.len(), Property::ALL.len());
    assert_eq!(report.tier, Tier::T0);
}

#[test]
fn what_is_not_enforced_says_why_and_what_is_says_by_what() {
    for facts in [ROOT, USER] {
        for (property, entry) in plain_report(facts).properties {
            match entry.level {
                Enforcement::Absent => assert!(entry.by.is_empty(), "{property}"),
                Enforcement::Partial | Enforcement::Enforced => {
                    assert!(!entry.by.is_empty(), "{property}");
                }
            }
            assert_eq!(entry.why.is_empty(), entry.level == Enforcement::Enforced, "{property}");
        }
    }
}

#[track_caller]
fn check(facts: HostFacts, enforced: &[Property]) {
    let report = plain_report(facts);
    let found: Vec<_> = Property::ALL.into_iter().filter(|it| report.enforces(*it)).collect();
    assert_eq!(found, enforced);
}
