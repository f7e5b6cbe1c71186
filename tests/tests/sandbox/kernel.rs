//! Attacks on the kernel.

use crate::{
    attack::{Attack, check, told},
    stage::Stage,
};

const REFUSED: &[&str] = &["blocked EPERM"];
/// SIGSYS, as the shell and the kernel number it.
const KILLED: &[&str] = &["killed 31"];

#[tokio::test]
async fn attack_a40_use_io_uring() {
    check(&Stage::new(), Attack::new("A40", &["io-uring"], &["blocked ENOSYS"])).await;
}

#[tokio::test]
async fn attack_a41_use_numbers_of_another_interface() {
    let stage = Stage::new();
    if cfg!(target_arch = "x86_64") {
        check(&stage, Attack::new("A41", &["int80"], KILLED)).await;
        // Where the kernel was built without it, only the filter tells the two apart.
        let without = stage.outside(&["x32"]);
        let inside = stage.inside(&["x32"]).await;
        told("A41", "x32", &inside, &without);
        assert!(["did", "blocked ENOSYS"].contains(&without.as_str()), "{without}");
        assert_eq!(inside, "killed 31");
    }
}

#[tokio::test]
async fn attack_a42_use_dangerous_calls() {
    let stage = Stage::new();
    for act in ["userfaultfd", "keyctl", "add-key"] {
        check(&stage, Attack::new("A42", &[act], REFUSED)).await;
    }
    // The filter answers before the kernel looks at the arguments, which are wrong.
    let bpf = Attack::new("A42", &["bpf"], REFUSED);
    check(&stage, Attack { outside: "blocked EINVAL", ..bpf }).await;
    check(&stage, Attack::of_root("A42", &["syslog"], REFUSED)).await;
}

#[tokio::test]
async fn attack_a43_type_into_a_terminal() {
    let stage = Stage::new();
    // The filter answers before the kernel looks at the file, which is no terminal.
    let push = Attack::new("A43", &["tiocsti"], REFUSED);
    check(&stage, Attack { outside: "blocked ENOTTY", ..push }).await;
}

#[tokio::test]
async fn attack_a44_open_devices() {
    let stage = Stage::new();
    check(&stage, Attack::new("A44", &["terminal"], &["blocked ENOENT"])).await;
    for device in ["/dev/kmsg", "/dev/tty"] {
        let inside = stage.inside(&["read", device]).await;
        assert_eq!(inside, "blocked ENOENT", "{device}");
    }
    check(&stage, Attack::of_root("A44", &["open-to-write", "/dev/kmsg"], &["blocked ENOENT"]))
        .await;
}

#[tokio::test]
async fn attack_a45_change_the_kernels_settings() {
    let stage = Stage::new();
    let denied = &["blocked EACCES"];
    for file in ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/panic"] {
        check(&stage, Attack::of_root("A45", &["open-to-write", file], denied)).await;
    }
    let away = &["blocked ENOENT"];
    check(&stage, Attack::new("A45", &["read", "/sys/kernel/uevent_seqnum"], away)).await;
}

#[tokio::test]
async fn attack_a46_outrank_the_filter_with_another() {
    let stage = Stage::new();
    let denied = &["blocked EPERM"];
    check(&stage, Attack::new("A46", &["own-filter"], denied)).await;
    // And what the filter hides must not break programs.
    assert_eq!(stage.inside(&["threads"]).await, "did");
}
