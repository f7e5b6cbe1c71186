//! Where a line comes from, and what is none.

use super::*;

#[track_caller]
fn check(input: &str, then: Result<&str, &str>) {
    let line = read(input.as_bytes());
    match (&line, then) {
        (Ok(line), Ok(then)) => assert_eq!(line.as_str(), then),
        (Err(fault), Err(problem)) => assert!(fault.message.contains(problem), "{fault}"),
        (_, _) => panic!("{:?}, not {then:?}", line.map(|line| line.len())),
    }
}

#[test]
fn a_line_is_the_argument_or_what_comes_over_standard_input() {
    assert_eq!(given("cortex-invite-1.x".to_owned()).unwrap().as_str(), "cortex-invite-1.x");
    check("cortex-invite-1.x\n", Ok("cortex-invite-1.x"));
    check("  cortex-invite-1.x", Ok("cortex-invite-1.x"));
}

#[test]
fn what_is_no_line_is_not_waited_for_nor_repeated() {
    check(" \n", Err("holds no invite line"));
    check(&"x".repeat(64 * 1024 + 1), Err("more than 65536 bytes"));
}
