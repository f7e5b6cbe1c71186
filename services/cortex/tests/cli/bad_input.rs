//! What is wrong is named by code, message and hint, and by the exit status.

use serde_json::Value;

use crate::support::Cortex;

#[test]
fn bad_requests_leave_with_code_message_hint_and_status() {
    let cortex = Cortex::up();
    for (line, code, status) in [
        ("agent show nobody", "AGENT_NOT_FOUND", 3),
        ("run --on nobody -- true", "NO_SUCH_NODE", 3),
        ("run --on local -- no-such-program", "COMMAND_NOT_FOUND", 3),
        ("task show 0123456789abcdef0123456789abcdef", "TASK_NOT_FOUND", 3),
        ("task show ffff", "TASK_NOT_FOUND", 3),
        ("--as eve run --on local -- true", "PERMISSION_DENIED", 4),
        ("rebuild cortex_nonsense", "INVALID_VALUE", 2),
        ("explain NO_SUCH_CODE", "INVALID_VALUE", 2),
        ("ctx select nowhere", "CONFIG_INVALID", 2),
        ("--url nats://127.0.0.1:1 agent ls", "UNREACHABLE", 5),
        ("up", "ALREADY_RUNNING", 1),
    ] {
        check(&cortex, line, code, status);
    }
}

#[test]
fn without_a_cortex_the_hint_says_how_to_get_one() {
    let absent = Cortex::absent();
    check(&absent, "agent ls", "NOT_RUNNING", 5);
    check(&absent, "down", "NOT_RUNNING", 5);
    assert!(
        absent.run(&["agent", "ls"]).stderr.contains("hint: start Cortex here with `cortex up`")
    );
}

#[test]
fn a_line_that_does_not_parse_is_answered_in_the_form_that_it_asks_for() {
    let absent = Cortex::absent();
    for line in [
        "-o json task ls --state sleepy",
        "task ls --state sleepy --output=json",
        "-ojson run --on local",
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ran = absent.run(&words);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let error: Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!(error["error"]["code"], "INVALID_VALUE", "{error}");
    }
    let plain = absent.run(&["task", "ls", "--state", "sleepy"]);
    assert!(plain.stderr.contains("timed-out"), "the error lists what is known: {plain:?}");
}

#[test]
fn damaged_requests_are_refused_before_anything_is_stored() {
    let cortex = Cortex::up();
    let signed = cortex.run(&["task", "sign", "--on", "local", "--", "true"]).stdout;
    let mut request: Value = serde_json::from_str(&signed).unwrap();
    let envelope = request["envelope"].as_str().unwrap().to_owned();
    // Within the signature, which is the last part.
    let at = envelope.len() - 40;
    let other = if &envelope[at..=at] == "A" { "B" } else { "A" };
    let damaged = format!("{}{other}{}", &envelope[..at], &envelope[at + 1..]);
    for (envelope, code) in [
        (Value::from(damaged), "SIGNATURE_INVALID"),
        (Value::from("!"), ""),
        (Value::Null, "UNSIGNED"),
    ] {
        request["envelope"] = envelope;
        let file = cortex.home.path().join("bad.json");
        std::fs::write(&file, request.to_string()).unwrap();
        let ran = cortex.run(&["task", "submit", &file.display().to_string()]);
        assert_ne!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.contains(code), "{code}: {ran:?}");
    }
    assert_eq!(cortex.json(&["task", "ls"]).as_array().unwrap().len(), 1, "only the first task");
}

fn check(cortex: &Cortex, line: &str, code: &str, status: i32) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ran = cortex.run(&words);
    assert_eq!(ran.code, Some(status), "{line}: {ran:?}");
    assert!(ran.stderr.contains(&format!("error {code}: ")), "{line}: {ran:?}");
    assert!(ran.stderr.contains("\nhint: "), "{line}: {ran:?}");
    assert_eq!(ran.stdout, "", "{line}: errors are no data");
}
