//! Lines that nats-server 2.15.1 and 2.12 wrote, and lines that strangers try to write.

use super::*;

const USER: &str = "UBSY3QER2TPD4SUJ23DKLJBY2UJQPAPDEI6VAJA243OVHMNK4M3CULRB";
const OTHER: &str = "UBGY4WK7DV6XJ5VBHI26FGZJTW4TI5TIAKEDAC4KHRRXH75PV63M4Q54";
const HEAD: &str = "[22733] 2026/11/20 12:51:36.287082 [ERR] 127.0.0.1:50308";

/// How the server names the user of a connection.
fn account() -> String {
    format!(
        "\"ABBOGXEEXPGRR22ZMNT6NYHM52FN5FG6QS2BXHYXJF6DKUIJUO6IQX4Q/local-810076dc/jwt:{USER}\""
    )
}

/// Checks what the line of a connection with that name tells of.
#[track_caller]
fn check(name: &str, ends: &str, then: Option<(&str, DeniedAction, &str)>) {
    let line = format!("{HEAD} - cid:40 - {name}{} - {ends}\n", account());
    check_line(&line, then);
}

#[track_caller]
fn check_line(line: &str, then: Option<(&str, DeniedAction, &str)>) {
    let then = then.map(|(login, action, subject)| Denial {
        login: login.to_owned(),
        action,
        subject: subject.to_owned(),
    });
    assert_eq!(read(line), then, "{line}");
}

#[test]
fn a_publication_is_read_with_key_and_subject() {
    let published = |subject| Some((USER, DeniedAction::Publish, subject));
    for (text, subject) in [
        (r#"Subject "foo.bar""#, "foo.bar"),
        (r#"Reply "$JS.ACK.foo""#, "$JS.ACK.foo"),
        (r#"Subject "a\"b""#, "a\"b"),
        (r#"Subject "foo\",Subject\"bar""#, "foo\",Subject\"bar"),
        (r#"Subject "x\\y""#, "x\\y"),
        (r#"Subject "x\\x1b""#, "x\\x1b"),
        (r#"Subject "a\x1b[31mred\a""#, "a\u{fffd}[31mred\u{fffd}"),
        (r#"Subject "\xff\xfe""#, "\u{fffd}\u{fffd}"),
        (r#"Subject "a\x00b""#, "a\u{fffd}b"),
        (r#"Subject "a\u202eb\U000e0001""#, "a\u{fffd}b\u{fffd}"),
        (r#"Subject "ü.ñ""#, "ü.ñ"),
        (r#"Subject "a..b""#, "a..b"),
        (r#"Subject "*""#, "*"),
    ] {
        let ends = format!("Publish Violation - {text}");
        check("\"v1.45.0:go:NATS CLI Version v0.3.0\" - ", &ends, published(subject));
    }
}

#[test]
fn a_subscription_is_read_alone_and_in_a_queue() {
    let subscribed = |subject| Some((USER, DeniedAction::Subscribe, subject));
    for (text, subject) in [
        (r#"Subject "foo.>", SID 1"#, "foo.>"),
        (r#"Subject "foo.q", Queue: "grp", SID 1"#, "foo.q"),
        (r#"Subject "ok.x", Queue: "\"q\x1b", SID 9"#, "ok.x"),
        (r#"Subject "x.>", Queue: "q\x1b\"", SID a",b"#, "x.>"),
    ] {
        check(
            "\"v1:raw:two\" - ",
            &format!("Subscription Violation - {text}"),
            subscribed(subject),
        );
    }
}

#[test]
fn who_it_was_is_never_what_a_connection_calls_itself() {
    let then = Some((USER, DeniedAction::Publish, "a"));
    for name in [
        String::new(),
        "\"x\" - ".to_owned(),
        format!("\"a/jwt:{OTHER}\" - "),
        format!(r#""v\" - \":\":a\\\"/jwt:{OTHER}" - "#),
        format!(
            r#""v1:raw:we\"ird - Publish Violation - JWT User \"{OTHER}\", Subject \"\n[ERR] " - "#
        ),
    ] {
        check(&name, r#"Publish Violation - Subject "a""#, then);
    }
}

#[test]
fn older_servers_name_the_key_elsewhere() {
    let older = |ends: &str| format!("{HEAD} - wid:7 - \"v0.51:rust:x/jwt:{OTHER}\" - {ends}");
    let user = format!("JWT User \"{USER}\"");
    for comma in [", ", " , "] {
        let line = older(&format!("Publish Violation - {user}{comma}Subject \"a.b\""));
        check_line(&line, Some((USER, DeniedAction::Publish, "a.b")));
    }
    let line = older(&format!("Subscription Violation - {user}, Subject \"a.>\", SID 3"));
    check_line(&line, Some((USER, DeniedAction::Subscribe, "a.>")));
    let line = older(r#"Publish Violation - User "N/A", Subject "a.b""#);
    check_line(&line, Some(("", DeniedAction::Publish, "a.b")));
}

#[test]
fn a_login_is_read_with_its_address_and_what_it_claims() {
    let from = |address: &str, ends: &str| {
        format!("[1] 2026/11/20 12:52:01 [ERR] {address} - cid:68 - {ends}")
    };
    let claimed = format!("authentication error - Nkey \"{USER}\"");
    for (line, login, address) in [
        (from("10.0.0.7:38598", "authentication error"), "", "10.0.0.7"),
        (from("10.0.0.7:1", r#"authentication error - User "ev\"il\n[ERR] x""#), "", "10.0.0.7"),
        (from("10.0.0.7:1", r#"authentication error - Nkey "UABC\"x""#), "", "10.0.0.7"),
        (from("[::1]:1", &claimed), USER, "::1"),
    ] {
        check_line(&line, Some((login, DeniedAction::Login, address)));
    }
}

#[test]
fn a_long_subject_is_cut_where_a_letter_ends() {
    let subject = "é".repeat(DENIED_SUBJECT_BYTES_MAX);
    let line =
        format!("{HEAD} - cid:1 - {} - Publish Violation - Subject \"{subject}\"", account());
    let found = read(&line).unwrap().subject;
    assert_eq!(found, format!("{}...", "é".repeat(126)));
    assert!(found.len() <= DENIED_SUBJECT_BYTES_MAX);
}

#[test]
fn nothing_else_is_taken_for_a_denial() {
    let name = "\"v1:raw:z\" - ";
    for ends in [
        r#"processPub Parse Error: "foo\", Subject \"bar 1""#,
        r#"Publish Violation - Subject "a" and more"#,
        r#"Publish Violation - Subject "a"#,
        r#"Publish Violation - Subject "a\q""#,
        r#"Publish Violation - Subject "a\x1""#,
        r#"Publish Violation - Subject """#,
        r#"Publish Violation - Queue "a""#,
        r#"Subscription Violation - Subject "a""#,
        r#"Subscription Violation - Subject "a", SID "#,
        "authentication error: late",
        "maximum control line exceeded",
    ] {
        check(name, ends, None);
    }
    let info = format!("{HEAD} - cid:1 - {} - Publish Violation - Subject \"a\"", account());
    check_line(&info.replace("[ERR]", "[INF]"), None);
    check_line(&info.replace("cid:", "rid:"), None);
    check_line(&format!("a \"{info}"), None);
    check_line("", None);
}
