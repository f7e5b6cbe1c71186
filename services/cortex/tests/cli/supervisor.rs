//! `cortex up`: one a home, stops cleanly, and leaves nothing behind.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Cortex, eventually, is_alive, script};

#[test]
fn ctrl_c_and_sigterm_stop_everything_cleanly() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut cortex = Cortex::up();
        let pids = cortex.pids();
        assert!(cortex.end(signal).success());
        assert!(!pids.into_iter().any(is_alive), "{:?}", cortex.processes());
    }
}

#[test]
fn a_second_up_finds_the_first_and_says_so() {
    let cortex = Cortex::up();
    let second = cortex.run(&["-o", "json", "up", "--nats-port", "0"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    let error: Value = serde_json::from_str(&second.stderr).unwrap();
    assert_eq!(error["error"]["code"], "ALREADY_RUNNING");
    assert_eq!(error["error"]["details"]["pid"], cortex.record()["pid"]);
    assert_eq!(cortex.run(&["run", "--on", "local", "--", "true"]).code, Some(0));
}

#[test]
fn detached_it_stays_until_down_and_keeps_what_was_done() {
    let cortex = Cortex::absent();
    let up = ["up", "--detach", "--nats-port", "0"];
    let ran = cortex.run(&up);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("cortex run --on local -- uname -a"), "{ran:?}");
    assert_eq!(cortex.run(&up).code, Some(1));
    let pids = cortex.pids();
    assert_eq!(cortex.run(&["run", "--on", "local", "--", "true"]).code, Some(0));
    assert_eq!(cortex.run(&["down"]).code, Some(0));
    // Its lock is free a moment before the supervisor itself is gone.
    eventually("all are gone", || !pids.iter().copied().any(is_alive));
    assert_eq!(cortex.run(&["agent", "ls"]).code, Some(5));
    assert_eq!(cortex.run(&up).code, Some(0));
    assert_eq!(cortex.json(&["task", "ls"]).as_array().unwrap().len(), 3);
}

#[test]
fn an_ephemeral_home_is_removed_at_the_end() {
    let cortex = Cortex::absent();
    let mut command = cortex.command(&["up", "--ephemeral", "--nats-port", "0", "--detach"]);
    let output = command.env("TMPDIR", cortex.home.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let root = text.lines().find_map(|line| line.trim().strip_prefix("export CORTEX_HOME="));
    let root = std::path::PathBuf::from(root.unwrap_or_else(|| panic!("no home in {text}")));
    assert!(root.starts_with(cortex.home.path()) && root.exists());
    let down = cortex.command(&["down"]).env("CORTEX_HOME", &root).output().unwrap();
    assert!(down.status.success(), "{down:?}");
    eventually("the home is gone", || !root.exists());
}

#[test]
fn without_a_node_there_is_no_first_task() {
    let cortex = Cortex::absent();
    let ran = cortex.run(&["up", "--detach", "--nats-port", "0", "--no-node"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(cortex.json(&["agent", "ls"]), Value::Array(Vec::new()));
}

#[test]
fn a_taken_port_is_named_and_another_one_offered() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ran = Cortex::absent().run(&["up", "--nats-port", &port]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains(&port) && ran.stderr.contains("--nats-port 0"), "{ran:?}");
}

#[test]
fn a_broker_that_keeps_ending_is_given_up_with_the_end_of_its_log() {
    let cortex = Cortex::absent();
    let text = "#!/bin/sh\n[ \"$1\" = --version ] && echo 'nats-server: v2.15.1' && exit 0\n\
                echo 'the disk is on fire' >&2\nexit 3\n";
    let broken = script(cortex.home.path(), "nats-server", text);
    let output = cortex
        .command(&["up", "--nats-port", "0"])
        .env("CORTEX_NATS_SERVER", broken)
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("nats keeps ending") && text.contains("the disk is on fire"), "{text}");
}

#[test]
fn the_operators_seed_can_be_taken_away_before_anything_runs() {
    let mut cortex = Cortex::absent();
    let apart = tempfile::tempdir().unwrap();
    let directory = apart.path().to_str().unwrap().to_owned();
    let words = ["init", "--operator", &directory];
    assert_eq!(cortex.run(&words).code, Some(0));
    let seed = std::fs::read_to_string(apart.path().join("operator.seed")).unwrap();
    assert!(seed.starts_with("SO"), "no seed of an operator");
    let keys = cortex.home.path().join("config/keys/broker.toml");
    let kept = std::fs::read_to_string(keys).unwrap();
    assert!(!kept.contains(&seed), "the seed is kept here as well");
    drop(apart);

    let again = cortex.run(&words);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.stderr.contains("CONFIG_INVALID"), "{again:?}");
    assert_eq!(cortex.run(&["init"]).code, Some(0), "what is there is kept");
    cortex.start();
    assert_eq!(cortex.run(&["run", "--on", "local", "--", "true"]).code, Some(0));
    let found = cortex.run(&["doctor"]);
    assert!(found.code == Some(0) && found.stdout.contains("its own kept apart"), "{found:?}");
    let another = cortex.run(&["--as", "eve", "doctor"]);
    assert!(another.code == Some(1) && another.stdout.contains("not of eve"), "{another:?}");
}
