//! Cases for how owners are shown.

use super::owner_map;

#[test]
fn the_owner_is_shown_as_the_run_and_the_run_as_nobody() {
    check(0, 65534, "0 65534 1\n1 1 65533\n65535 65535 4294901760\n");
    check(1000, 65534, "1000 65534 1\n0 0 1000\n1001 1001 64533\n65535 65535 4294901760\n");
    check(70000, 65534, "70000 65534 1\n0 0 65534\n65535 65535 4465\n70001 70001 4294897294\n");
    check(1000, 1001, "1000 1001 1\n0 0 1000\n1002 1002 4294966293\n");
}

#[test]
fn a_run_that_owns_the_folder_sees_it_as_it_is() {
    check(7, 7, "0 0 4294967295");
}

#[track_caller]
fn check(owner: u32, run: u32, expected: &str) {
    assert_eq!(owner_map(owner, run), expected);
}
