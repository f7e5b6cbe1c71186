//! Settings that are accepted, and what is said about those that are not.

use std::fs;

use schemas::PrincipalId;

use super::NodeConfig;

const PLAIN: &str = "id = \"n1\"\nurl = \"nats://127.0.0.1:4222\"\nstate_dir = \"state\"\nanchors = \"anchors.json\"\n";

/// A folder with PLAIN and more lines in its `node.toml`.
fn folder(more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("node.toml"), format!("{PLAIN}{more}")).unwrap();
    folder
}

/// Loads PLAIN with more lines; what is wrong, in the words of the error and its file's content.
fn load(more: &str) -> Result<NodeConfig, String> {
    let folder = folder(more);
    let config =
        NodeConfig::load(&folder.path().join("node.toml")).map_err(|error| error.to_string())?;
    config.manifest().map_err(|error| error.to_string())?;
    assert_eq!(config.state_dir, folder.path().join("state"));
    Ok(config)
}

fn check_refused(more: &str, expected: &str) {
    let error = load(more).expect_err("it was accepted");
    assert!(error.contains(expected), "{error:?} does not say {expected:?}");
}

#[test]
fn what_every_node_needs_is_enough() {
    let config = load("").unwrap();
    assert_eq!(config.drain_grace().as_secs(), 30);
    let manifest = config.manifest().unwrap();
    assert_eq!(manifest.id.as_str(), "n1");
    assert!(!manifest.accepts(&PrincipalId::parse("anybody").unwrap()));
}

#[test]
fn unknown_keys_are_named() {
    check_refused("slotz = 4\n", "slotz");
    check_refused("password = \"a\"\n", "password");
}

#[test]
fn settings_that_make_no_sense_are_named() {
    check_refused("slots = 0\n", "slots must be 1 to 4096");
    check_refused("drain_grace_ms = 864000000\n", "drain_grace_ms");
    check_refused("cluster = \"Two Words\"\n", "cluster");
}

#[test]
fn a_manifest_can_stand_inline() {
    let config = load("[manifest]\nid = \"n1\"\nname = \"N\"\nrole = \"worker\"\n").unwrap();
    assert_eq!(config.manifest().unwrap().name, "N");
}

#[test]
fn a_manifest_of_another_agent_is_refused() {
    check_refused("[manifest]\nid = \"n2\"\nname = \"N\"\nrole = \"worker\"\n", "id is n1");
}

#[test]
fn a_manifest_that_is_not_valid_is_refused() {
    check_refused("[manifest]\nid = \"n1\"\nname = \"\"\nrole = \"worker\"\n", "name is empty");
}

#[test]
fn a_manifest_file_that_is_missing_is_named() {
    check_refused("manifest = \"nowhere.json\"\n", "nowhere.json");
}

#[test]
fn those_who_are_accepted_are_added_to_the_manifest() {
    let config = load("accepts_tasks_from = [\"bob\", \"ci-*\"]\n").unwrap();
    let manifest = config.manifest().unwrap();
    assert!(manifest.accepts(&PrincipalId::parse("ci-7").unwrap()));
    assert!(!manifest.accepts(&PrincipalId::parse("mallory").unwrap()));
}

#[test]
fn what_is_written_can_be_read_again() {
    let config = load("slots = 3\ncreds = \"n1.creds\"\n").unwrap();
    let text = toml::to_string(&config).unwrap();
    let again: NodeConfig = toml::from_str(&text).unwrap();
    assert_eq!(again.slots, Some(3));
    assert!(again.creds.unwrap().is_absolute(), "it is found from anywhere");
}

#[test]
fn where_credentials_are_is_relative_to_the_file_and_checked() {
    let config = load("[credential_sources]\nkubernetes_secrets_dir = \"secrets\"\n").unwrap();
    let secrets = config.credential_sources.kubernetes_secrets_dir.unwrap();
    assert_eq!((secrets.file_name().unwrap(), secrets.is_absolute()), ("secrets".as_ref(), true));
    let plain = "[credential_sources]\nkubernetes_api = \"http://10.0.0.1\"\n";
    check_refused(plain, "credential_sources has a kubernetes_api that is no https:// address");
    check_refused("[credential_sources]\nvault = \"x\"\n", "vault");
}

#[test]
fn a_secret_in_the_place_of_its_reference_is_not_repeated() {
    let manifest = "[manifest]\nid = \"n1\"\nname = \"N\"\nrole = \"worker\"\n";
    for (line, expected) in [
        ("credentials.token = hunter22\n", "line 9: "),
        ("credentials.token = \"hunter22\"\n", "credentials.token must be a reference"),
        ("credentials.token = \"file:hunter22\"\n", "of the form file:PATH"),
    ] {
        let error = load(&format!("{manifest}{line}")).expect_err("it was accepted");
        assert!(error.contains(expected) && !error.contains("hunter22"), "{error}");
    }
}
