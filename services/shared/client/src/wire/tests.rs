//! Headers and faults survive the way over the wire, and nonsense is named.

use schemas::FaultClass;

use super::*;

#[test]
fn request_headers_survive_the_way() {
    let sent = RequestHeaders {
        command_id: Some(CommandId::parse("c-1").unwrap()),
        not_after: Some(Timestamp(1_800_000_000_123)),
        trace: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
    };
    let headers = sent.write().unwrap();
    assert_eq!(RequestHeaders::read(Some(&headers)).unwrap(), sent);
}

#[test]
fn plain_tools_need_no_headers() {
    assert_eq!(RequestHeaders::read(None).unwrap(), RequestHeaders::default());
}

#[test]
fn another_protocol_version_is_refused_by_name() {
    check_header(HEADER_PROTOCOL, "2", ErrorCode::ProtocolMismatch, "they speak protocol 2");
}

#[test]
fn headers_that_make_no_sense_are_named() {
    check_header(HEADER_PROTOCOL, "one", ErrorCode::InvalidValue, HEADER_PROTOCOL);
    check_header(HEADER_NOT_AFTER, "-5", ErrorCode::InvalidValue, HEADER_NOT_AFTER);
    check_header(HEADER_COMMAND_ID, "a.b", ErrorCode::InvalidId, HEADER_COMMAND_ID);
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    for nonsense in [
        "",
        "garbage",
        trace,
        &format!("00-{trace}-{span}"),
        &format!("00-{trace}-{span}-01-"),
        &format!("00-{}-{span}-01", trace.to_uppercase()),
        &format!("00-{span}-{trace}-01"),
    ] {
        check_header(HEADER_TRACE, nonsense, ErrorCode::InvalidValue, HEADER_TRACE);
    }
}

#[test]
fn a_trace_with_a_line_break_cannot_add_a_header() {
    let headers = RequestHeaders { trace: Some("a\r\nX: y".to_owned()), ..Default::default() };
    assert_eq!(headers.write().unwrap_err().code, ErrorCode::InvalidValue);
}

#[test]
fn a_fault_survives_the_way_and_shows_in_the_headers() {
    let fault = Fault::new(ErrorCode::AgentNotFound, "no agent\nnamed bob")
        .with_details(serde_json::json!({ "id": "bob" }));
    let headers = fault_headers(&fault);
    let header = |name| headers.get(name).unwrap().as_str().to_owned();
    assert_eq!(header(HEADER_ERROR), "AGENT_NOT_FOUND: no agent named bob");
    assert_eq!(header(HEADER_ERROR_CODE), FaultClass::NotFound.status().to_string());
    assert_eq!(read_answer(Some(&headers), fault_body(&fault)).unwrap_err(), fault);
}

#[test]
fn an_error_answer_that_does_not_parse_is_still_an_error() {
    let headers = fault_headers(&Fault::new(ErrorCode::NotAllowed, "no"));
    let fault = read_answer(Some(&headers), Bytes::from_static(b"<html>")).unwrap_err();
    assert_eq!(fault.code, ErrorCode::Internal);
    assert!(fault.message.contains("NOT_ALLOWED: no"), "{fault}");
}

#[test]
fn an_answer_with_an_unknown_field_is_another_version() {
    let fault = read_body::<Fault>(br#"{"code":"EXPIRED","message":"","hint":"","new":1}"#);
    let fault = fault.unwrap_err();
    assert_eq!(fault.code, ErrorCode::ProtocolMismatch);
    assert!(fault.message.contains("`new`"), "{fault}");
}

fn check_header(name: &str, value: &str, code: ErrorCode, mentions: &str) {
    let mut headers = HeaderMap::new();
    headers.insert(name, value);
    let fault = RequestHeaders::read(Some(&headers)).unwrap_err();
    assert_eq!(fault.code, code, "{fault}");
    assert!(fault.message.contains(mentions), "{fault}");
}
