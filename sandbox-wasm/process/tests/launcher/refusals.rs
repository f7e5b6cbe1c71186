//! Why a run does not start, and that nothing is left of the attempt.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use crate::support::{Case, command};

#[tokio::test]
async fn an_unknown_program_is_named() {
    let case = command(&["no-such-program-anywhere"]);
    let error = check(&case, "COMMAND_NOT_FOUND").await;
    assert!(error.contains("no-such-program-anywhere"), "{error}");
}

#[tokio::test]
async fn a_program_outside_of_the_fixed_path_is_not_found_by_its_name() {
    let mut case = command(&["tool"]);
    fs::write(case.request.cwd.join("tool"), "#!/bin/sh\n").unwrap();
    executable(&case, "tool");
    case.config.environment.insert("PATH".to_owned(), case.request.cwd.display().to_string());
    check(&case, "COMMAND_NOT_FOUND").await;
}

#[tokio::test]
async fn a_file_that_is_no_program_is_not_executed() {
    let case = command(&["./data"]);
    fs::write(case.request.cwd.join("data"), "rm -rf /\n").unwrap();
    check(&case, "COMMAND_NOT_EXECUTABLE").await;
    // Executable, but neither a binary nor does it name an interpreter: no shell steps in.
    executable(&case, "data");
    check(&case, "COMMAND_NOT_EXECUTABLE").await;
}

#[tokio::test]
async fn a_script_whose_interpreter_is_missing_is_not_executable() {
    let case = command(&["./script"]);
    fs::write(case.request.cwd.join("script"), "#!/no/such/interpreter\n").unwrap();
    executable(&case, "script");
    check(&case, "COMMAND_NOT_EXECUTABLE").await;
}

#[tokio::test]
async fn a_missing_working_directory_is_named() {
    let mut case = command(&["true"]);
    case.request.cwd.push("missing");
    let error = check(&case, "CWD_MISSING").await;
    assert!(error.contains("missing"), "{error}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    check(&command(&[]), "SPEC_INVALID").await;
    check(&command(&[""]), "SPEC_INVALID").await;
    check(&command(&["true", "a\0b"]), "SPEC_INVALID").await;
    let mut case = command(&["true"]);
    case.request.env.insert("PATH".to_owned(), "/evil".to_owned());
    check(&case, "SPEC_INVALID").await;
}

#[tokio::test]
async fn more_arguments_than_the_kernel_takes_are_too_large() {
    // One argument may have 128 KiB, which is far below the launcher's own bound.
    check(&command(&["true", &"x".repeat(200_000)]), "TOO_LARGE").await;
    check(&command(&["true", &"x".repeat(20_000_000)]), "TOO_LARGE").await;
}

async fn check(case: &Case, code: &str) -> String {
    let error = case.try_start().await.unwrap_err();
    assert_eq!(error.code().as_str(), code, "{error}");
    case.assert_gone_within(Duration::from_secs(1)).await;
    error.to_string()
}

fn executable(case: &Case, name: &str) {
    let permissions = fs::Permissions::from_mode(0o755);
    fs::set_permissions(case.request.cwd.join(name), permissions).unwrap();
}
