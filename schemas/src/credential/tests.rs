//! What is a reference, what is not, and that a refused text is never repeated.

use super::*;

#[track_caller]
fn check(text: &str, expected: CredentialReference) {
    assert_eq!(CredentialReference::parse(text), Ok(expected));
}

#[track_caller]
fn refused(text: &str, form: &str, problem: &str) {
    let error = CredentialReference::parse(text).unwrap_err();
    assert_eq!(error.to_string(), format!("must be a reference of the form {form}: {problem}"));
}

#[test]
fn every_form_is_read() {
    let text = str::to_owned;
    check("file:/etc/token", CredentialReference::File { path: text("/etc/token") });
    check("file:/with:colon", CredentialReference::File { path: text("/with:colon") });
    check("env:API_TOKEN2", CredentialReference::Env { name: text("API_TOKEN2") });
    check("systemd-cred:api.token", CredentialReference::SystemdCred { name: text("api.token") });
    let (service, account) = (text("github.com"), text("me@home"));
    check("keychain:github.com/me@home", CredentialReference::Keychain { service, account });
}

#[test]
fn a_kubernetes_secret_may_leave_out_namespace_and_key() {
    let secret = |namespace: Option<&str>, key: Option<&str>| {
        let (namespace, key) = (namespace.map(str::to_owned), key.map(str::to_owned));
        CredentialReference::KubernetesSecret { namespace, name: "px.creds".to_owned(), key }
    };
    check("k8s-secret:cortex/px.creds#token", secret(Some("cortex"), Some("token")));
    check("k8s-secret:px.creds#tls.crt", secret(None, Some("tls.crt")));
    check("k8s-secret:cortex/px.creds", secret(Some("cortex"), None));
    check("k8s-secret:px.creds", secret(None, None));
}

#[test]
fn a_text_without_a_known_beginning_is_refused() {
    for text in ["hunter2", "", "vault:x", "FILE:/x", " file:/x", "file"] {
        assert_eq!(CredentialReference::parse(text), Err(InvalidReference::Unknown), "{text}");
    }
}

#[test]
fn a_path_is_absolute_and_goes_nowhere_else() {
    refused("file:token", FILE, "the path is not absolute");
    refused("file:~/token", FILE, "the path is not absolute");
    refused("file:", FILE, "the path is not absolute");
    refused("file:/etc/", FILE, "the path names a folder");
    refused("file:/a/../b", FILE, "the path holds ..");
    refused("file:/a\nb", FILE, "the path holds a control character");
}

#[test]
fn a_name_must_be_one() {
    let problem = "the name must be letters, digits and _, not beginning with a digit";
    for text in ["env:", "env:1A", "env:A-B", "env:A=B", "env:A B"] {
        refused(text, ENV, problem);
    }
    for text in ["systemd-cred:", "systemd-cred:..", "systemd-cred:a/b", "systemd-cred:a b"] {
        refused(text, SYSTEMD, "the name is none of a file");
    }
    refused("keychain:github.com", KEYCHAIN, "there is no /");
    refused("keychain:/me", KEYCHAIN, "the service is empty");
    refused("keychain:github.com/", KEYCHAIN, "the account is empty");
    refused("keychain:a/b/c", KEYCHAIN, "there is a second /");
    refused("keychain:a/b\u{7}", KEYCHAIN, "it holds a control character");
}

#[test]
fn a_kubernetes_name_cannot_lead_elsewhere() {
    for text in ["k8s-secret:", "k8s-secret:..", "k8s-secret:ns/", "k8s-secret:A", "k8s-secret:a-"]
    {
        refused(text, KUBERNETES, "the name is none of Kubernetes");
    }
    for text in ["k8s-secret:/a", "k8s-secret:../a", "k8s-secret:a.b/c", "k8s-secret:-a/c"] {
        refused(text, KUBERNETES, "the namespace is none of Kubernetes");
    }
    refused("k8s-secret:a/b/c", KUBERNETES, "the name is none of Kubernetes");
    for text in ["k8s-secret:a#", "k8s-secret:a#..", "k8s-secret:a#..data", "k8s-secret:a#b/c"] {
        refused(text, KUBERNETES, "the key is none of a secret");
    }
}

#[test]
fn an_error_never_repeats_the_text() {
    for scheme in ["", "file:", "env:", "systemd-cred:", "keychain:", "k8s-secret:"] {
        let text = format!("{scheme}HUNTER two/of/them");
        let error = CredentialReference::parse(&text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("HUNTER"), "{error}");
    }
}

#[test]
fn the_name_of_a_credential_can_be_the_name_of_a_file() {
    assert_eq!(name_problem("proxmox.token_2-a"), None);
    assert_eq!(name_problem(&"a".repeat(64)), None);
    assert_eq!(name_problem(""), Some("is empty"));
    assert_eq!(name_problem(&"a".repeat(65)), Some("is longer than 64 bytes"));
    for name in [".hidden", "..", "a/b", "a b", "\u{e9}"] {
        let problem = "must be letters, digits, dots, - and _, and not begin with a dot";
        assert_eq!(name_problem(name), Some(problem), "{name}");
    }
}
