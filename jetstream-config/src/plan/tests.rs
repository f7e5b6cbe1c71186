//! What is changed, and what is never changed without being asked.

use schemas::subject::{Bucket, LogName, ServiceName};
use serde_json::json;

use super::*;
use crate::{
    buckets,
    streams::{self, Replicas},
};

fn record() -> Wanted {
    streams::event_log(LogName::first(ServiceName::Registry), Replicas::One)
}

fn disposable() -> Wanted {
    buckets::bucket(Bucket::Agents, Replicas::One)
}

/// A short word for each change that is planned when `setting` of `wanted` is `actual` instead.
fn check(wanted: &Wanted, setting: &str, actual: Value, expected: &[&str]) {
    let mut settings = wanted.settings.clone();
    settings.insert(setting.to_owned(), actual);
    let changes =
        plan(std::slice::from_ref(wanted), &BTreeMap::from([(wanted.name().to_owned(), settings)]));
    let words: Vec<_> = changes.iter().map(word).collect();
    assert_eq!(words, expected, "{setting}");
}

fn word(change: &Change) -> &'static str {
    match change {
        Change::Create { .. } => "create",
        Change::Update { .. } => "update",
        Change::Shrink { .. } => "shrink",
        Change::Recreate { .. } => "recreate",
        Change::Drift { .. } => "drift",
    }
}

#[test]
fn what_is_missing_is_created_and_what_is_as_wanted_is_left_alone() {
    let wanted = [record(), disposable()];
    let actual = BTreeMap::from([(wanted[0].name().to_owned(), wanted[0].settings.clone())]);
    let settings = wanted[1].settings.clone();
    assert_eq!(plan(&wanted, &actual), [Change::Create { settings }]);
}

#[test]
fn more_room_is_given_and_room_is_taken_only_by_a_destructive_change() {
    for wanted in [record(), disposable()] {
        check(&wanted, "max_bytes", json!(1), &["update"]);
        check(&wanted, "max_bytes", json!(1_u64 << 50), &["shrink"]);
        check(&wanted, "max_bytes", json!(-1), &["shrink"]);
        check(&wanted, "num_replicas", json!(3), &["shrink"]);
        check(&wanted, "description", json!("another"), &["update"]);
    }
}

#[test]
fn whatever_decides_what_a_record_holds_is_drift_when_it_differs() {
    for (setting, actual) in [
        ("max_age", json!(3_600_000_000_000_u64)),
        ("max_msgs", json!(10)),
        ("max_msgs_per_subject", json!(1)),
        ("discard", json!("old")),
        ("deny_delete", json!(false)),
        ("deny_purge", json!(false)),
        ("retention", json!("workqueue")),
        ("storage", json!("memory")),
        ("subjects", json!(["cortex.evt.>"])),
        ("allow_rollup_hdrs", json!(true)),
        ("persist_mode", json!("async")),
        ("sealed", json!(true)),
        ("first_seq", json!(7)),
        ("a_setting_of_the_future", json!(1)),
    ] {
        check(&record(), setting, actual, &["drift"]);
    }
}

#[test]
fn a_disposable_stream_that_cannot_be_mended_is_made_anew() {
    check(&disposable(), "storage", json!("memory"), &["recreate"]);
    check(&disposable(), "persist_mode", Value::Null, &["recreate"]);
    check(&disposable(), "max_msgs_per_subject", json!(64), &["shrink"]);
}

#[test]
fn defaults_that_the_server_writes_out_are_no_difference() {
    for wanted in [record(), disposable()] {
        check(&wanted, "mirror_direct", json!(false), &[]);
        check(&wanted, "sealed", json!(false), &[]);
        check(&wanted, "allow_atomic", json!(false), &[]);
        check(&wanted, "metadata", json!({"_nats.req.level": "0"}), &[]);
        check(&wanted, "placement", json!({"tags": ["fast"]}), &[]);
        check(&wanted, "max_msgs", json!(0), &[]);
    }
    check(&record(), "persist_mode", json!("default"), &[]);
}

#[test]
fn growing_and_shrinking_are_two_changes_and_both_keep_what_operators_set() {
    let wanted = disposable();
    let mut settings = wanted.settings.clone();
    settings.insert("max_bytes".to_owned(), json!(1));
    settings.insert("max_age".to_owned(), json!(0));
    settings.insert("max_msgs".to_owned(), json!(5));
    settings.insert("num_replicas".to_owned(), json!(3));
    settings.insert("placement".to_owned(), json!({"tags": ["fast"]}));
    let actual = BTreeMap::from([(wanted.name().to_owned(), settings)]);
    let changes = plan(&[wanted], &actual);
    let [Change::Update { settings: updated, .. }, Change::Shrink { settings: shrunk, .. }] =
        changes.as_slice()
    else {
        panic!("{changes:?}")
    };
    assert_eq!((&updated["max_msgs"], &updated["num_replicas"]), (&json!(-1), &json!(3)));
    assert_eq!((&shrunk["max_msgs"], &shrunk["num_replicas"]), (&json!(-1), &json!(1)));
    assert!(updated.contains_key("placement") && shrunk.contains_key("placement"));
}

#[test]
fn a_difference_is_told_in_words() {
    let wanted = json!("new");
    let difference = Difference { setting: "discard".into(), wanted, actual: json!("old") };
    assert_eq!(difference.to_string(), r#"discard is "old", not "new""#);
}
