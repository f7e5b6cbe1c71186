//! Brokers that are too old or do not sync are refused.

use super::{check::judge, *};

fn report(version: &str, sync_always: Option<bool>, cluster_size: u32) -> BrokerReport {
    let server = ServerReport { name: "n0".into(), version: version.into(), sync_always };
    BrokerReport { servers: vec![server], cluster_size }
}

/// The code that a broker is refused with under full proof, empty if it is let in.
fn check(report: &BrokerReport, expected: &str) {
    let refused = judge(report, DurabilityProof::Required).err();
    let code = refused.as_ref().map_or("", |error| error.fault().code.as_str());
    assert_eq!(code, expected, "{report:?}");
}

#[test]
fn a_single_server_may_be_older_than_a_cluster() {
    check(&report("2.12.14", Some(true), 1), "BROKER_TOO_OLD");
    check(&report("2.12.15", Some(true), 1), "");
    check(&report("2.12.15", Some(true), 3), "BROKER_TOO_OLD");
    check(&report("2.14.4", Some(true), 3), "BROKER_TOO_OLD");
    check(&report("2.14.5", Some(true), 3), "");
    check(&report("2.15.0-dev", Some(true), 5), "");
    check(&report("2.9.10", Some(true), 1), "BROKER_TOO_OLD");
    check(&report("unheard of", Some(true), 1), "BROKER_TOO_OLD");
}

#[test]
fn a_broker_that_does_not_sync_or_does_not_tell_is_refused_unless_that_is_waived() {
    check(&report("2.15.1", Some(false), 1), "BROKER_NOT_DURABLE");
    check(&report("2.15.1", None, 1), "BROKER_NOT_DURABLE");
    for sync_always in [Some(false), None] {
        let waived = judge(&report("2.15.1", sync_always, 1), DurabilityProof::Waived);
        assert!(waived.is_ok(), "{sync_always:?}");
    }
    let old = judge(&report("2.9.10", None, 1), DurabilityProof::Waived).unwrap_err();
    assert!(old.fault().hint.contains("2.12.15"), "{}", old.fault().hint);
}

#[test]
fn versions_compare_by_number_and_only_whole_ones_parse() {
    assert!(Version::parse("2.9.10") < Version::parse("2.12.2"));
    assert_eq!(Version::parse("v2.15.1-RC.2").map(|v| v.to_string()).as_deref(), Some("2.15.1"));
    for text in ["", "2", "2.15", "2.15.1.4", "a.b.c", "2.15.x"] {
        assert_eq!(Version::parse(text), None, "{text}");
    }
}
