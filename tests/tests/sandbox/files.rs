//! Attacks on files.

use crate::{
    attack::{Attack, check, not_run},
    stage::Stage,
};

/// Not there, or nothing that could be changed.
const AWAY: &[&str] = &["blocked ENOENT"];
const REFUSED: &[&str] = &["blocked EPERM"];

#[tokio::test]
async fn attack_a01_change_files_outside() {
    let stage = Stage::new();
    let file = stage.file("file");
    check(&stage, Attack::new("A01", &["truncate", &file], AWAY)).await;
    check(&stage, Attack::new("A01", &["write", &stage.path("made")], AWAY)).await;
    check(&stage, Attack::new("A01", &["write", &file], AWAY)).await;
    check(&stage, Attack::new("A01", &["rename", &file, &stage.path("moved")], AWAY)).await;
    check(&stage, Attack::new("A01", &["unlink", &stage.path("moved")], AWAY)).await;
}

#[tokio::test]
async fn attack_a01_change_what_is_given_for_reading() {
    let stage = Stage::new();
    for place in
        [stage.given().join("made"), "/usr/made".into(), "/made".into(), "/etc/made".into()]
    {
        let inside = stage.inside(&["write", place.to_str().unwrap()]).await;
        assert!(
            ["blocked EROFS", "blocked EACCES"].contains(&inside.as_str()),
            "{place:?} {inside}"
        );
    }
}

#[tokio::test]
async fn attack_a02_read_a_secret() {
    let stage = Stage::new();
    check(&stage, Attack::new("A02", &["read", &stage.file("secret")], AWAY)).await;
    check(&stage, Attack::new("A02", &["read", "/etc/hostname"], AWAY)).await;
}

#[tokio::test]
async fn attack_a03_change_times_and_modes_of_own_files_outside() {
    let stage = Stage::new();
    let file = stage.file("file");
    check(&stage, Attack::new("A03", &["times", &file], AWAY)).await;
    check(&stage, Attack::new("A03", &["chmod", &file], AWAY)).await;
}

#[tokio::test]
async fn attack_a04_write_through_a_link() {
    let stage = Stage::new();
    check(&stage, Attack::new("A04", &["symlink", &stage.file("file")], AWAY)).await;
}

#[tokio::test]
async fn attack_a05_swap_links_while_results_are_collected() {
    not_run("A05", "race", "the node collects no files yet");
    not_run("A15", "archive", "the node collects no files yet");
    not_run("A16", "outputs", "the node collects no files yet");
}

#[tokio::test]
async fn attack_a06_link_a_file_into_the_own_directory() {
    let stage = Stage::new();
    check(&stage, Attack::new("A06", &["hardlink", &stage.file("file")], AWAY)).await;
}

#[tokio::test]
async fn attack_a07_reach_a_file_by_a_detour() {
    let stage = Stage::new();
    let file = stage.file("file");
    check(&stage, Attack::new("A07", &["detour", &file], &["blocked ENOENT", "blocked EACCES"]))
        .await;
}

#[tokio::test]
async fn attack_a08_make_what_a_shell_would_run() {
    let stage = Stage::new();
    check(&stage, Attack::new("A08", &["write", &stage.path(".bashrc")], AWAY)).await;
}

#[tokio::test]
async fn attack_a09_mount() {
    let stage = Stage::new();
    for act in ["mount", "fsopen", "open-tree"] {
        check(&stage, Attack::new("A09", &[act], REFUSED)).await;
    }
}

#[tokio::test]
async fn attack_a10_name_a_file_by_its_handle() {
    check(&Stage::new(), Attack::new("A10", &["handle"], REFUSED)).await;
}

#[tokio::test]
async fn attack_a11_change_the_root() {
    check(&Stage::new(), Attack::new("A11", &["chroot"], REFUSED)).await;
}

#[tokio::test]
async fn attack_a12_leave_a_trap_for_the_host() {
    let stage = Stage::new();
    check(&stage, Attack::new("A12", &["setuid-bit"], REFUSED)).await;
    check(&stage, Attack::of_root("A12", &["device"], &["blocked EPERM", "blocked EACCES"])).await;
}

#[tokio::test]
async fn attack_a14_use_what_the_node_has_open() {
    let stage = Stage::new();
    // As a careless library of the node might have opened it.
    let file = std::fs::File::open("/dev/null").unwrap();
    let leaked = rustix::io::fcntl_dupfd_cloexec(&file, 300).unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    check(&stage, Attack::new("A14", &["descriptors"], &["blocked EBADF"])).await;
}
