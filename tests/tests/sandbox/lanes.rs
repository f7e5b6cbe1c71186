//! The same attacks on a node without rights, and the lanes that this machine cannot provide.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, process::Command};

use crate::{
    attack::not_run,
    stage::{Stage, as_the_run, folder, is_root},
};

/// Where the attacker is, when whoever runs the attacks cannot compile it.
pub(crate) const ATTACKER: &str = "CORTEX_TEST_ATTACKER";

#[test]
fn all_attacks_fail_for_a_node_without_rights_too() {
    if !is_root() {
        return;
    }
    // Everybody may enter the folder of this copy, which is not so for every checkout.
    let place = folder();
    let program = place.path().join("sandbox");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let stage = Stage::new();
    let mut command = Command::new(&program);
    command.args(["attack", "--test-threads=2"]).env(ATTACKER, stage.attacker());
    as_the_run(command.current_dir(place.path()));
    let output = command.output().unwrap();
    std::io::stdout().lock().write_all(&output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn lanes_that_this_machine_does_not_have() {
    for (lane, why) in [
        ("Ubuntu 24.04", "AppArmor restricts user namespaces there; needs such a host"),
        ("Docker", "its default filter refuses namespaces; needs such a host"),
        ("old Landlock", "needs kernels before 6.12"),
        ("aarch64", "needs such a host"),
        ("cgroup v2", "needs a delegated group with memory, pids and cpu"),
    ] {
        not_run("lane", lane, why);
    }
}
