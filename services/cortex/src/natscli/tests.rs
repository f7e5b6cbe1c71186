//! What is written is what the `nats` command knows, and what is printed is safe to evaluate.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};

use super::*;

#[test]
fn a_context_has_the_fields_that_the_nats_command_knows_and_only_its_owner_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lab.json");
    let mut context = Context::new("nats://h:4222", PrincipalId::parse("bob").unwrap());
    context.creds = Some("/creds/bob.creds".into());
    context.key = Some("/keys/bob.json".into());
    write(&path, &context).unwrap();
    let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let expected = json!({
        "description": "Cortex as bob", "url": "nats://h:4222", "inbox_prefix": "_INBOX.bob",
        "creds": "/creds/bob.creds",
    });
    assert_eq!(written, expected);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_is_printed_is_one_word_a_value() {
    let mut environment = Environment {
        context: "/home/o'brien/a b.json".into(),
        principal: PrincipalId::parse("bob").unwrap(),
        url: None,
    };
    let exports = "export NATS_CONTEXT='/home/o'\\''brien/a b.json'\nexport ME=bob\n";
    assert_eq!(environment.exports(), exports);
    environment.url = Some("nats://h; rm x".into());
    assert!(environment.exports().ends_with("\nexport NATS_URL='nats://h; rm x'\n"));
}
