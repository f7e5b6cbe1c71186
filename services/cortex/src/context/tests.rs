//! Contexts are kept, selected and refused by name.

use super::*;

#[test]
fn a_context_is_kept_and_selected_by_name() {
    let (_dir, home) = home();
    let contexts = Contexts::new(&home);
    assert_eq!((contexts.names().unwrap(), contexts.selected().unwrap()), (vec![], None));
    contexts.write("lab", &context()).unwrap();
    contexts.write("home", &context()).unwrap();
    contexts.select("lab").unwrap();
    assert_eq!(contexts.names().unwrap(), ["home", "lab"]);
    assert_eq!(contexts.selected().unwrap().as_deref(), Some("lab"));
    assert_eq!(contexts.read("lab").unwrap(), context());
    contexts.remove("lab").unwrap();
    assert_eq!(contexts.selected().unwrap(), None);
}

#[test]
fn a_name_cannot_reach_outside_of_the_directory() {
    let (_dir, home) = home();
    for name in ["../evil", "a/b", "", ".hidden", "A"] {
        let fault = Contexts::new(&home).write(name, &context()).unwrap_err();
        assert_eq!(fault.code, ErrorCode::InvalidId, "{name:?}");
    }
}

#[test]
fn an_unknown_setting_is_named_and_no_password_is_quoted() {
    let (_dir, home) = home();
    let text = "url = \"u\"\nprincipal = \"bob\"\npasswort = \"hunter2\"\n";
    files::write_private(&home.contexts().join("lab.toml"), text.as_bytes()).unwrap();
    let fault = Contexts::new(&home).read("lab").unwrap_err();
    assert_eq!(fault.code, ErrorCode::ConfigInvalid);
    assert!(fault.message.contains("passwort"), "{fault}");
    assert!(!fault.message.contains("hunter2"), "{fault}");
}

#[test]
fn a_context_logs_in_with_its_credentials_file() {
    let options = context().connect_options();
    assert!(
        matches!(options.credentials, Credentials::CredsFile(path) if path.ends_with("bob.creds"))
    );
    assert_eq!(options.inbox_prefix, "_INBOX.bob");
    let options = Context { creds: None, ..context() }.connect_options();
    assert!(matches!(options.credentials, Credentials::None));
}

fn context() -> Context {
    let mut context = Context::new("nats://127.0.0.1:4222", PrincipalId::parse("bob").unwrap());
    context.creds = Some("/creds/bob.creds".into());
    context
}

fn home() -> (tempfile::TempDir, Home) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    (dir, home)
}
