//! What is read before any message is known; the contract tests go through the messages.

use super::*;

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    #[serde(default, deserialize_with = "unique_keys")]
    table: BTreeMap<String, u8>,
}

#[test]
fn nothing_counts_as_an_empty_message() {
    check("", Ok(&[]));
    check("{}", Ok(&[]));
    check(" \n", Err((ErrorCode::MalformedJson, "EOF")));
}

#[test]
fn a_key_stands_once() {
    check(r#"{"table":{"a":1,"b":2}}"#, Ok(&[("a", 1), ("b", 2)]));
    check(r#"{"table":{"a":1,"a":1}}"#, Err((ErrorCode::InvalidValue, "duplicate key \"a\"")));
    check(r#"{"table":{},"table":{}}"#, Err((ErrorCode::InvalidValue, "duplicate field `table`")));
    check(r#"{"table":[]}"#, Err((ErrorCode::InvalidValue, "expected an object")));
}

#[test]
fn brackets_inside_of_strings_are_not_depth() {
    let brackets = "[".repeat(DEPTH_MAX + 1);
    check(&format!(r#"{{"table":{{"{brackets}":1}}}}"#), Ok(&[(&brackets, 1)]));
    check(&format!(r#"{{"table":{{"\"{brackets}":1}}}}"#), Ok(&[(&format!("\"{brackets}"), 1)]));
    check(&brackets, Err((ErrorCode::TooDeep, "deeper than 8 levels")));
}

#[test]
fn the_limit_is_the_largest_size() {
    let body = br#"{"table":{}}"#;
    assert!(parse_within::<Message>(body, body.len()).is_ok());
    let fault = parse_within::<Message>(body, body.len() - 1).unwrap_err();
    assert_eq!(
        (fault.code, fault.message.as_str()),
        (ErrorCode::TooLarge, "12 bytes, the limit is 11")
    );
}

#[test]
fn an_unknown_field_is_named_for_machines() {
    for name in ["tabel", "", "a`b", "a`, expected `b"] {
        let body = serde_json::json!({ name: 1 }).to_string();
        let fault = parse::<Message>(body.as_bytes()).unwrap_err();
        assert_eq!((fault.code, &fault.details["field"]), (ErrorCode::UnknownField, &name.into()));
    }
    let fault = parse::<Message>(br#"{"table":7}"#).unwrap_err();
    assert!(fault.details.is_null(), "{fault:?}");
}

#[track_caller]
fn check(body: &str, then: Result<&[(&str, u8)], (ErrorCode, &str)>) {
    match (parse::<Message>(body.as_bytes()), then) {
        (Ok(message), Ok(table)) => {
            let table = table.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
            assert_eq!(message, Message { table });
        }
        (Err(fault), Err((code, part))) => {
            assert_eq!(fault.code, code, "{fault}");
            assert!(fault.message.contains(part), "{fault}");
        }
        (found, _) => panic!("{body} gave {found:?}"),
    }
}
