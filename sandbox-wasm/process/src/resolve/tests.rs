//! Cases for finding a program.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

#[test]
fn a_bare_name_is_looked_up_on_the_fixed_path() {
    let found = resolve("sh", Path::new("/nowhere")).unwrap();
    assert!(found.is_absolute() && found.ends_with("sh"), "{found:?}");
}

#[test]
fn a_bare_name_is_not_looked_up_in_the_working_directory() {
    let directory = directory_with("tool", 0o755);
    check("tool", directory.path(), Stage::Resolve);
    assert!(resolve("./tool", directory.path()).is_ok());
}

#[test]
fn a_file_that_is_not_executable_is_told_apart_from_none() {
    let directory = directory_with("data", 0o644);
    check("./data", directory.path(), Stage::Execute);
    check("./", directory.path(), Stage::Execute);
    check("./missing", directory.path(), Stage::Resolve);
    check("data/below", directory.path(), Stage::Resolve);
}

#[track_caller]
fn check(command: &str, cwd: &Path, stage: Stage) {
    assert_eq!(resolve(command, cwd).unwrap_err().stage, stage);
}

fn directory_with(name: &str, mode: u32) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(name);
    fs::write(&file, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    directory
}
