//! Cases for what /proc tells.

use super::*;

#[test]
fn a_name_may_hold_anything() {
    check("7 (sh) S 5 6 4 0 -1", Some((7, 5, 4, false)));
    check("7 (a) Z 9 9 9) S 5 6 4 0 -1", Some((7, 5, 4, false)));
    check("7 (a (b) c) R 5 6 4", Some((7, 5, 4, false)));
}

#[test]
fn who_waits_to_be_reaped_has_ended() {
    check("7 (sh) Z 5 6 4 0 -1", Some((7, 5, 4, true)));
}

#[test]
fn what_is_no_line_of_stat_is_skipped() {
    check("", None);
    check("7 sh S 5 6 4", None);
    check("7 (sh) S", None);
}

#[test]
fn a_walk_finds_parents_before_children_and_each_once() {
    let tree = |parent: Pid| match parent.as_raw_pid() {
        1 => vec![pid(2), pid(3)],
        2 => vec![pid(4), pid(3)],
        4 => vec![pid(1)],
        _ => Vec::new(),
    };
    assert_eq!(walk(pid(1), tree), [2, 3, 4].map(pid));
}

#[test]
fn both_ways_of_looking_see_this_process_below_its_parent() {
    let own = rustix::process::getpid();
    let parent = rustix::process::getppid().unwrap();
    assert!(children(parent).contains(&own));
    assert!(everybody().any(|entry| entry.pid == own && entry.parent == Some(parent)));
}

#[track_caller]
fn check(line: &str, expected: Option<(i32, i32, i32, bool)>) {
    let expected = expected.map(|(process, parent, session, ended)| Entry {
        pid: pid(process),
        parent: Some(pid(parent)),
        session: Some(pid(session)),
        ended,
    });
    assert_eq!(parse_stat(line), expected);
}

fn pid(raw: i32) -> Pid {
    Pid::from_raw(raw).unwrap()
}
