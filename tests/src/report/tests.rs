//! A report's arithmetic and its file.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Better, Measurement, Report, percentile};

fn check(measurement: Measurement, expected: Value) {
    let Value::Object(row) = serde_json::to_value(measurement).unwrap() else {
        panic!("a row is an object")
    };
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(row.get(key), Some(value), "{key}");
    }
}

#[test]
fn a_value_is_the_median_of_its_runs_and_keeps_the_noise() {
    let row = Measurement::new("frames", "1/s", Better::Higher, &[3.0, 1.0, 2.0, 10.0]).unwrap();
    check(row, json!({"value": 2.5, "min": 1.0, "max": 10.0, "runs": 4, "met": null}));
}

#[test]
fn a_target_is_met_in_the_direction_that_is_better() {
    let of = |better| Measurement::new("m", "ms", better, &[2.0]).unwrap();
    check(of(Better::Lower).target(3.0), json!({"met": true, "target": 3.0, "better": "lower"}));
    check(of(Better::Lower).target(1.0), json!({"met": false}));
    check(of(Better::Higher).target(3.0), json!({"met": false, "better": "higher"}));
}

#[test]
fn a_ratio_is_the_value_over_the_baseline() {
    let row = Measurement::new("m", "ms", Better::Lower, &[3.0]).unwrap();
    check(row.baseline(2.0), json!({"baseline": 2.0, "ratio": 1.5}));
}

#[test]
fn nothing_measured_and_no_number_are_errors() {
    for runs in [&[][..], &[f64::NAN]] {
        assert!(Measurement::new("m", "ms", Better::Lower, runs).is_err(), "{runs:?}");
    }
}

#[test]
fn percentiles_are_samples() {
    let samples: Vec<_> = (1..=1000).rev().map(Duration::from_millis).collect();
    let of = |permille| percentile(&samples, permille).as_millis();
    assert_eq!((of(0), of(500), of(990), of(1000)), (1, 501, 991, 1000));
    assert_eq!(percentile(&[], 500), Duration::ZERO);
}

#[test]
fn a_row_names_the_machine_and_the_table_says_what_was_missed() {
    let mut report = Report::new("sample");
    report.add(Measurement::new("p50", "ms", Better::Lower, &[0.257]).unwrap().target(0.2));
    let rows: Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert!(rows[0]["machine"]["cores"].as_u64().unwrap() > 0, "{rows}");
    assert_eq!(rows[0]["metric"], "p50");
    let table = report.table();
    assert!(table.contains("| p50 | 0.26 ms | 0.26 .. 0.26 (1) | 0.20 (NOT MET) |"), "{table}");
}
