//! Crash reports: written by a panic, counted once, kept within bounds.

use std::{fs, path::Path, process::Command};

use schemas::InstanceId;

use super::{ASIDE, KEPT_MAX, collect, write_panics};

/// Where the child process of the panic test writes; unset in every other process.
const CHILD_FOLDER: &str = "CORTEX_TEST_CRASH_FOLDER";

#[test]
fn without_reports_nothing_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let failures = collect(folder.path()).unwrap();
    assert_eq!((failures.panics, failures.last_panic), (0, None));
}

/// Not a case of its own: what the test below runs in a process that panics.
#[test]
fn child_that_panics() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    write_panics(Path::new(&folder), &InstanceId::parse("n1-1").unwrap());
    panic!("the moon is\nmade of cheese");
}

#[test]
fn a_panic_is_found_at_the_next_start_and_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::tests::child_that_panics"])
        .env(CHILD_FOLDER, folder.path())
        .output()
        .unwrap()
        .status;
    assert!(!status.success());
    let failures = collect(folder.path()).unwrap();
    assert_eq!(failures.panics, 1);
    let line = failures.last_panic.unwrap();
    assert!(line.contains("the moon is made of cheese"), "{line}");
    assert!(line.contains("crash/tests.rs"), "{line}");
    assert_eq!(collect(folder.path()).unwrap().panics, 0);
    assert!(folder.path().join(ASIDE).join("crash-n1-1.txt").exists());
}

#[test]
fn old_reports_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..KEPT_MAX + 5 {
        fs::write(folder.path().join(format!("crash-n1-{number}.txt")), "line\n").unwrap();
    }
    let panics = collect(folder.path()).unwrap().panics;
    assert_eq!(panics, u64::try_from(KEPT_MAX + 5).unwrap());
    assert_eq!(fs::read_dir(folder.path().join(ASIDE)).unwrap().count(), KEPT_MAX);
}
