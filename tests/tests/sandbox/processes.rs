//! Attacks on other processes, on rights and on namespaces.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::{
    attack::{Attack, check, not_run},
    stage::{Stage, is_root},
};

const REFUSED: &[&str] = &["blocked EPERM"];
const NOBODY_THERE: &[&str] = &["blocked ESRCH"];

#[tokio::test]
async fn attack_a20_look_into_a_process() {
    let mut stage = Stage::new();
    let victim = stage.victim();
    for file in ["environ", "cmdline", "maps", "stat", "root/etc/passwd"] {
        let path = format!("/proc/{victim}/{file}");
        check(&stage, Attack::new("A20", &["read", &path], &["blocked ENOENT"])).await;
    }
}

#[tokio::test]
async fn attack_a21_take_over_a_process() {
    let mut stage = Stage::new();
    let victim = stage.victim();
    check(&stage, Attack::new("A21", &["seize", &victim], REFUSED)).await;
    for act in ["read-memory", "take-descriptor", "compare"] {
        check(&stage, Attack::new("A21", &[act], REFUSED)).await;
    }
}

#[tokio::test]
async fn attack_a22_signal_a_process() {
    let mut stage = Stage::new();
    let victim = stage.victim();
    for act in ["signal", "signal-pidfd", "signal-value"] {
        check(&stage, Attack::new("A22", &[act, &victim], NOBODY_THERE)).await;
    }
}

#[tokio::test]
async fn attack_a29_end_the_first_process() {
    let mut stage = Stage::new();
    let victim = stage.victim();
    let outside = stage.outside(&["end", &victim]);
    assert_eq!(outside, "did");
    // The first process of the namespaces has no handler, and then nobody within can end it.
    let inside = stage.inside(&["end", "1"]).await;
    crate::attack::told("A29", "end 1", &inside, &outside);
    assert_eq!(inside, "blocked EPERM");
    for file in ["cmdline", "environ", "maps", "fd/0", "mem"] {
        let inside = stage.inside(&["read", &format!("/proc/1/{file}")]).await;
        assert_eq!(inside, "blocked ENOENT", "{file}");
    }
}

#[tokio::test]
async fn attack_a30_make_or_join_namespaces() {
    let stage = Stage::new();
    check(&stage, Attack::new("A30", &["unshare-user"], REFUSED)).await;
    check(&stage, Attack::new("A30", &["clone-user"], REFUSED)).await;
    check(&stage, Attack::new("A30", &["clone3-user"], &["blocked ENOSYS"])).await;
    check(&stage, Attack::of_root("A30", &["join", "/proc/self/ns/net"], REFUSED)).await;
}

#[tokio::test]
async fn attack_a31_execute_a_file_that_gives_rights() {
    let stage = Stage::new();
    if !is_root() {
        not_run("A31", "root", "its control needs a file of root's");
        return;
    }
    // The file is the attacker itself, which so becomes a file that makes whoever runs it root.
    fs::set_permissions(stage.attacker(), fs::Permissions::from_mode(0o4755)).unwrap();
    check(&stage, Attack::new("A31", &["root"], REFUSED)).await;
}

#[tokio::test]
async fn attack_a32_keep_a_capability() {
    check(&Stage::new(), Attack::new("A32", &["capability"], REFUSED)).await;
}

#[tokio::test]
async fn attack_a33_change_the_personality() {
    check(&Stage::new(), Attack::new("A33", &["personality"], REFUSED)).await;
}

#[tokio::test]
async fn attack_a34_raise_a_limit() {
    let stage = Stage::new();
    // Processor time and data, as the kernel numbers them.
    for limit in ["0", "2"] {
        check(&stage, Attack::of_root("A34", &["raise-limit", limit], REFUSED)).await;
    }
}

#[tokio::test]
async fn attack_a74_read_the_policy_in_somebodys_arguments() {
    let mut stage = Stage::new();
    let _victim = stage.victim();
    // What a policy would hold is the path that is given; the own arguments hold it too, and are
    // left out.
    check(&stage, Attack::new("A74", &["see-argument", "1000"], &["blocked ENOENT"])).await;
}
