//! Key files keep their secret and refuse what is no key.

use super::*;

fn file() -> String {
    key().to_file().to_string()
}

fn key() -> SecretKey {
    SecretKey::from_entropy(Purpose::Scheduler, &[0xcd; 32].into())
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let error = SecretKey::from_file(text).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    assert!(
        !format!("{error} {error:?}").contains("cdcd"),
        "the error shows the secret: {error:?}"
    );
}

#[test]
fn a_key_is_read_as_it_is_written() {
    let text = file();
    let read = SecretKey::from_file(&text).unwrap();
    assert_eq!(read.public(), key().public());
    assert_eq!(*read.to_file(), text);
    assert!(text.len() < FILE_BYTES_MAX, "writing would move the secret");
}

#[test]
fn a_file_that_is_not_as_written_is_refused_without_showing_the_secret() {
    let text = file();
    check("", "line 1");
    check(&text[..text.len() - 3], "line");
    check(&text.replace("cortex-secret-key-v1", "cortex-secret-key-v2"), "does not say");
    check(&text.replace("\"format\"", "\"more\": 1, \"format\""), "line 2");
    check(&text.replace("scheduler", "schedule"), "line 3");
    check(&text.replacen("cdcd", "CDCD", 1), "64 lowercase");
    check(&text.replacen("cdcd", "cd", 1), "64 lowercase");
    check(&text.replacen("cdcd", "\\u0063dcd", 1), "line 6");
    check(&text.replace(&format!("{:?}", "cd".repeat(32)), "205"), "line 6");
}

#[test]
fn a_secret_under_another_name_is_refused() {
    let text = file();
    let other = SecretKey::from_entropy(Purpose::Scheduler, &[1; 32].into());
    check(&text.replace("scheduler", "task-issuer"), "do not belong");
    let id = key().public().id().to_string();
    check(&text.replace(&id, &other.public().id().to_string()), "do not belong");
    let public = hex(key().public().as_bytes());
    check(&text.replace(&public, &hex(other.public().as_bytes())), "do not belong");
}
