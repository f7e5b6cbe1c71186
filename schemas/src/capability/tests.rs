//! What a name of a capability is, and what it covers.

use super::*;

#[test]
fn words_joined_by_dots_are_names_and_nothing_else_is() {
    let longest = "x".repeat(CAPABILITY_BYTES_MAX);
    let too_long = format!("{longest}x");
    for (raw, valid) in [
        ("read_file", true),
        ("proxmox.create_vm", true),
        ("shell.exec@v1", true),
        ("proxmox.*", true),
        ("proxmox.*@v1", true),
        ("*", true),
        (longest.as_str(), true),
        (too_long.as_str(), false),
        ("", false),
        (".", false),
        ("a.", false),
        (".a", false),
        ("a..b", false),
        ("a b", false),
        ("a*", false),
        ("*.a", false),
        ("a.*.b", false),
        ("*@v1", false),
        ("a@", false),
        ("@v1", false),
        ("a@v1@v2", false),
        ("a.>", false),
        ("\u{e4}", false),
        ("a\n", false),
    ] {
        assert_eq!(Capability::parse(raw).is_ok(), valid, "{raw:?}");
    }
}

#[test]
fn a_name_tells_its_parts() {
    for (raw, name, version, stem, pattern) in [
        ("shell.exec@v1", "shell.exec", Some("v1"), "shell.exec", false),
        ("proxmox.*", "proxmox.*", None, "proxmox.", true),
        ("proxmox.*@v2", "proxmox.*", Some("v2"), "proxmox.", true),
        ("*", "*", None, "", true),
    ] {
        let capability = can(raw);
        assert_eq!(
            (capability.name(), capability.version(), capability.stem(), capability.is_pattern()),
            (name, version, stem, pattern),
            "{raw}"
        );
    }
}

#[test]
fn a_pattern_covers_what_is_below_it_and_not_the_other_way() {
    for (wide, narrow, covers) in [
        ("proxmox.*", "proxmox.create_vm", true),
        ("proxmox.*", "proxmox.vm.create", true),
        ("proxmox.*", "proxmox.vm.*", true),
        ("proxmox.*", "proxmox", false),
        ("proxmox.*", "proxmoxx.create_vm", false),
        ("proxmox.create_vm", "proxmox.*", false),
        ("*", "anything.at.all", true),
        ("*", "a.*", true),
        ("a.*", "*", false),
        ("a", "a", true),
        ("a", "b", false),
    ] {
        assert_eq!(can(wide).covers(&can(narrow)), covers, "{wide} covers {narrow}");
    }
}

#[test]
fn versions_must_agree_where_both_name_one() {
    for (ours, theirs, covers) in [
        ("a@v1", "a@v1", true),
        ("a@v1", "a@v2", false),
        ("a", "a@v2", true),
        ("a@v1", "a", true),
        ("a.*@v1", "a.b@v1", true),
        ("a.*@v1", "a.b@v2", false),
        ("a.*@v1", "a.b", true),
        ("*", "a@v9", true),
    ] {
        assert_eq!(can(ours).covers(&can(theirs)), covers, "{ours} covers {theirs}");
    }
}

#[test]
fn overlapping_is_mutual() {
    for (one, other, overlap) in [
        ("proxmox.*", "proxmox.create_vm", true),
        ("a.*", "a.b.*", true),
        ("a.*", "b.*", false),
        ("a.b@v1", "a.*@v2", false),
    ] {
        assert_eq!(can(one).overlaps(&can(other)), overlap, "{one} and {other}");
        assert_eq!(can(other).overlaps(&can(one)), overlap, "{other} and {one}");
    }
}

#[test]
fn an_error_shows_no_more_than_a_name_may_be_long() {
    let error = Capability::parse(&" ".repeat(100_000)).unwrap_err();
    assert!(error.to_string().len() < 2 * CAPABILITY_BYTES_MAX + 100);
}

fn can(raw: &str) -> Capability {
    Capability::parse(raw).unwrap()
}
