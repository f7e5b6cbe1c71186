//! What is wrong with a request is told by code, message and hint.

use schemas::{
    ErrorCode::{
        self, InvalidCapability, InvalidId, InvalidValue, MalformedJson, TooDeep, TooLarge,
        UnknownField,
    },
    Fault,
    protocol::{COMMAND_BYTES_MAX, DEPTH_MAX},
    registry::{GetAgentsRequest, RegisterRequest, RegistryEvent, WhoCanRequest},
    scheduler::{StartRequest, SubmitRequest},
    strict,
};
use serde::de::DeserializeOwned;

#[test]
fn what_is_no_json_is_malformed() {
    for (body, message) in [
        ("{", "EOF while parsing an object"),
        ("{\"limit\":1", "EOF while parsing an object"),
        ("nonsense", "expected"),
        ("{\"limit\":1}}", "trailing characters"),
        ("{\"limit\":1} {}", "trailing characters"),
        ("{'limit':1}", "key must be a string"),
        ("{\"limit\":1,}", "trailing comma"),
        ("{\"limit\":01}", "invalid number"),
        ("{\"limit\":NaN}", "expected"),
        ("{\"role\":\"\u{1}\"}", "control character"),
        ("\u{feff}{}", "expected value"),
        ("[]", "an array is no message"),
        (" [\"worker\"]", "an array is no message"),
    ] {
        check::<GetAgentsRequest>(body.as_bytes(), MalformedJson, message);
    }
    check::<GetAgentsRequest>(b"{\"role\":\"\xff\"}", MalformedJson, "invalid unicode");
    check::<GetAgentsRequest>(b"\xff\xfe", MalformedJson, "expected value");
    check::<GetAgentsRequest>(b"{\"role\":\"\\ud800\"}", MalformedJson, "hex escape");
}

#[test]
fn a_field_that_nobody_knows_is_named() {
    check::<GetAgentsRequest>(b"{\"rolle\":\"x\"}", UnknownField, "unknown field `rolle`");
    let nested = r#"{"manifest":{"id":"a","name":"a","role":"a","limits":{"max":1}}}"#;
    check::<RegisterRequest>(nested.as_bytes(), UnknownField, "unknown field `max`");
    let event = r#"{"type":"agent-archived","agent":"a","why":"x"}"#;
    check::<RegistryEvent>(event.as_bytes(), UnknownField, "unknown field `why`");
}

#[test]
fn a_value_that_makes_no_sense_is_refused_with_what_was_expected() {
    for (body, message) in [
        ("{\"limit\":\"10\"}", "expected u32"),
        ("{\"limit\":-1}", "expected u32"),
        ("{\"limit\":1.5}", "expected u32"),
        ("{\"limit\":1e3}", "expected u32"),
        ("{\"limit\":4294967296}", "expected u32"),
        ("{\"role\":7}", "expected a string"),
        ("{\"archived\":\"true\"}", "expected a boolean"),
        ("{\"archived\":null}", "expected a boolean"),
        ("{\"status\":\"gone\"}", "expected one of `online`, `degraded`, `offline`, `maintenance`"),
        ("{\"status\":\"Online\"}", "unknown variant `Online`"),
        ("7", "expected struct GetAgentsRequest"),
        ("null", "expected struct GetAgentsRequest"),
        ("\"text\"", "expected struct GetAgentsRequest"),
    ] {
        check::<GetAgentsRequest>(body.as_bytes(), InvalidValue, message);
    }
    check::<StartRequest>(b"{\"task\":\"a\"}", InvalidValue, "missing field `epoch`");
    check::<RegisterRequest>(b"", InvalidValue, "missing field `manifest`");
    check::<RegistryEvent>(b"{\"type\":\"agent-gone\"}", InvalidValue, "unknown variant");
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    check::<GetAgentsRequest>(
        b"{\"limit\":1,\"limit\":2}",
        InvalidValue,
        "duplicate field `limit`",
    );
    let labels = r#"{"manifest":{"id":"a","name":"a","role":"a","labels":{"gpu":"1","gpu":"2"}}}"#;
    check::<RegisterRequest>(labels.as_bytes(), InvalidValue, "duplicate key \"gpu\"");
    let escaped = r#"{"limit":1,"\u006cimit":2}"#;
    check::<GetAgentsRequest>(escaped.as_bytes(), InvalidValue, "duplicate field `limit`");
}

#[test]
fn ids_and_capabilities_have_codes_of_their_own() {
    check::<WhoCanRequest>(b"{\"capability\":\"a b\"}", InvalidCapability, "is not a capability");
    check::<WhoCanRequest>(b"{\"capability\":\"a\",\"from\":\"a.b\"}", InvalidId, "only a-z");
    let pattern = r#"{"manifest":{"id":"a","name":"a","role":"a","can_task":["a.*"]}}"#;
    check::<RegisterRequest>(pattern.as_bytes(), InvalidId, "write an id, prefix-* or *");
}

#[test]
fn what_is_too_large_is_not_even_read() {
    let body = |bytes: usize| {
        let frame = "{\"envelope\":\"\"}".len();
        format!("{{\"envelope\":\"{}\"}}", "x".repeat(bytes - frame))
    };
    let largest = body(COMMAND_BYTES_MAX);
    assert_eq!(largest.len(), COMMAND_BYTES_MAX);
    assert!(strict::parse::<SubmitRequest>(largest.as_bytes()).is_ok());
    let message = "65537 bytes, the limit is 65536";
    check::<SubmitRequest>(body(COMMAND_BYTES_MAX + 1).as_bytes(), TooLarge, message);
    check::<SubmitRequest>(&vec![b'['; 1 << 20], TooLarge, "1048576 bytes");
}

#[test]
fn what_is_too_deep_is_refused_before_anything_recurses() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!("{{\"rendering\":{open}{close}}}")
    };
    assert!(strict::parse::<SubmitRequest>(nested(DEPTH_MAX).as_bytes()).is_ok());
    let message = "nested deeper than 8 levels";
    check::<SubmitRequest>(nested(DEPTH_MAX + 1).as_bytes(), TooDeep, message);
    check::<SubmitRequest>(&vec![b'['; 60_000], TooDeep, message);
    check::<SubmitRequest>("{\"a\":".repeat(10_000).as_bytes(), TooDeep, message);
}

#[test]
fn every_refusal_is_short_whatever_was_sent() {
    let long = "x".repeat(60_000);
    for body in [format!("{{\"{long}\":1}}"), format!("{{\"after\":\"{long}\"}}")] {
        let fault = strict::parse::<GetAgentsRequest>(body.as_bytes()).unwrap_err();
        assert!(fault.message.len() < 1000, "{} bytes: {}", fault.message.len(), fault.code);
    }
}

#[test]
fn a_refusal_repeats_no_control_character() {
    let body = "{\"a\\r\\n\\u001b[2J\":1}";
    let fault = strict::parse::<GetAgentsRequest>(body.as_bytes()).unwrap_err();
    assert_eq!(fault.code, UnknownField);
    assert!(!fault.message.contains(char::is_control), "{fault:?}");
}

/// Parses a body and compares what is said of it.
#[track_caller]
fn check<T: DeserializeOwned>(body: &[u8], code: ErrorCode, message: &str) {
    let shown: String = String::from_utf8_lossy(body).chars().take(80).collect();
    let Err(fault) = strict::parse::<T>(body) else { panic!("{shown} was taken") };
    let Fault { code: found, message: said, hint, .. } = &fault;
    assert_eq!(*found, code, "{shown}: {said}");
    assert!(said.contains(message), "{shown}: {said}");
    assert_eq!(hint, code.hint());
}
