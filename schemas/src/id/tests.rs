//! What may name a principal, a task, a process or a command.

use super::*;

#[test]
fn ids_are_short_and_safe_in_subjects() {
    let longest = "x".repeat(ID_BYTES_MAX);
    let too_long = format!("{longest}x");
    for (raw, problem) in [
        ("a", None),
        ("0", None),
        ("web-1", None),
        ("web-", None),
        (longest.as_str(), None),
        (too_long.as_str(), Some("longer than 63 bytes")),
        ("", Some("empty")),
        ("-web", Some("starts with -")),
        ("Web", Some("only a-z, 0-9 and -")),
        ("a.b", Some("only a-z, 0-9 and -")),
        ("*", Some("only a-z, 0-9 and -")),
        (">", Some("only a-z, 0-9 and -")),
        ("a b", Some("only a-z, 0-9 and -")),
        ("a\0", Some("only a-z, 0-9 and -")),
        ("a\r\nb", Some("only a-z, 0-9 and -")),
        ("\u{e4}", Some("only a-z, 0-9 and -")),
        ("\u{430}", Some("only a-z, 0-9 and -")),
    ] {
        let error = PrincipalId::parse(raw).err().map(|error| error.to_string());
        match (error, problem) {
            (None, None) => (),
            (Some(error), Some(problem)) => assert!(error.contains(problem), "{raw:?}: {error}"),
            (error, _) => panic!("{raw:?} gave {error:?}"),
        }
    }
}

#[test]
fn a_control_character_is_shown_escaped() {
    let error = PrincipalId::parse("a\u{1b}[31m").unwrap_err().to_string();
    assert!(!error.contains('\u{1b}'), "{error:?}");
}

#[test]
fn an_instance_is_an_id_even_of_the_longest_name() {
    let longest = PrincipalId::parse(&"x".repeat(ID_BYTES_MAX)).unwrap();
    assert_eq!(longest.instance(u64::MAX).as_str().len(), ID_BYTES_MAX);
    let short = PrincipalId::parse("registry").unwrap();
    assert_eq!(short.instance(1).as_str(), "registry-0000000000000001");
}
