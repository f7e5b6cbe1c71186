//! Attacks on how a run is launched.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::{
    attack::{not_run, told},
    stage::Stage,
};

#[tokio::test]
async fn attack_a70_inherit_the_nodes_environment() {
    let mut stage = Stage::new();
    let secrets = ["NATS_CREDS", "LD_PRELOAD", "BASH_ENV", "GIT_SSH_COMMAND", "NODE_OPTIONS"];
    for name in secrets {
        stage.config.environment.insert(name.to_owned(), "/secret".to_owned());
    }
    stage.config.environment.insert("PATH".to_owned(), ".:/evil".to_owned());
    let outside = std::process::Command::new("/usr/bin/env")
        .envs(&stage.config.environment)
        .output()
        .unwrap();
    let outside = String::from_utf8_lossy(&outside.stdout).matches("=/secret").count();
    let (_, inside) = stage.run(&["env"]).await;
    told("A70", "environment", &inside.replace('\n', " "), &format!("{outside} secrets"));
    assert_eq!(outside, secrets.len());
    assert!(!inside.contains("secret") && !inside.contains("evil"), "{inside}");
}

#[tokio::test]
async fn attack_a71_be_called_like_a_harmless_program() {
    let stage = Stage::new();
    let decoy = stage.given().join("ls");
    fs::write(&decoy, "#!/bin/sh\necho decoy\n").unwrap();
    fs::set_permissions(&decoy, fs::Permissions::from_mode(0o755)).unwrap();
    // The decoy is where the run begins, and would be found by a path with a dot in it.
    let path = format!("{}:/usr/bin:/bin", stage.given().display());
    let outside = std::process::Command::new("ls").env("PATH", path).output().unwrap();
    let mut run = stage.start(&["ls", "/"]).await;
    let program = run.proof().program.clone();
    while run.next_chunk().await.is_some() {}
    run.wait().await;
    told("A71", "called ls", &program, String::from_utf8_lossy(&outside.stdout).trim());
    assert_eq!((program.as_str(), outside.stdout.as_slice()), ("/usr/bin/ls", &b"decoy\n"[..]));
}

#[tokio::test]
async fn attack_a72_exchange_the_program_after_it_was_looked_at() {
    let stage = Stage::new();
    let tool = stage.given().join("tool");
    fs::copy("/usr/bin/true", &tool).unwrap();
    let mut run = stage.start(&[tool.to_str().unwrap()]).await;
    let first = run.proof().program_sha256;
    while run.next_chunk().await.is_some() {}
    run.wait().await;
    fs::remove_file(&tool).unwrap();
    fs::copy("/usr/bin/false", &tool).unwrap();
    let mut run = stage.start(&[tool.to_str().unwrap()]).await;
    let second = run.proof().program_sha256;
    while run.next_chunk().await.is_some() {}
    let exit = run.wait().await;
    // What is hashed is the descriptor that is executed, so the proof names what really ran.
    assert_eq!(exit.status, sandbox_process::Status::Code(1));
    assert!(first.is_some() && second.is_some() && first != second);
    told("A72", "exchanged", "the hash tells", "the path is the same");
}

#[tokio::test]
async fn attacks_that_concern_what_is_not_built_yet() {
    not_run("A28", "pdeathsig", "a pid namespace ends with its first process, whatever it cleared");
    not_run("A64", "stdin", "see the launcher's own tests: it is a file in memory");
    not_run("A73", "memfd", "allowed: what is executed from memory has the same walls");
    not_run("A75", "signatures", "see the tests of trust and of the node");
    not_run("A80-87", "consent", "not built yet");
    not_run("A90-102", "wasm", "not built yet");
}
