//! Cases for the environment of a run.

use super::*;

#[test]
fn a_secret_of_the_node_is_gone_and_the_locale_stays() {
    check(
        &[("LANG", "de_DE.UTF-8"), ("NATS_CREDS", "secret"), ("LD_PRELOAD", "/x.so")],
        &[],
        Ok(&[("HOME", "/scratch"), ("LANG", "de_DE.UTF-8"), ("PATH", FIXED_PATH)]),
    );
}

#[test]
fn the_path_and_home_of_the_node_are_not_those_of_a_run() {
    check(
        &[("PATH", "/evil"), ("HOME", "/root")],
        &[],
        Ok(&[("HOME", "/scratch"), ("PATH", FIXED_PATH)]),
    );
}

#[test]
fn what_a_task_names_is_set_and_outranks_the_node() {
    check(
        &[("TZ", "UTC"), ("TERM", "xterm")],
        &[("TZ", "Europe/Berlin"), ("GREETING", "hello = world")],
        Ok(&[
            ("GREETING", "hello = world"),
            ("HOME", "/scratch"),
            ("PATH", FIXED_PATH),
            ("TERM", "xterm"),
            ("TZ", "Europe/Berlin"),
        ]),
    );
}

#[test]
fn a_task_cannot_replace_path_and_home() {
    check(&[], &[("PATH", "/x")], Err(EnvironmentError::Reserved { name: "PATH".to_owned() }));
    check(&[], &[("HOME", "/x")], Err(EnvironmentError::Reserved { name: "HOME".to_owned() }));
}

#[test]
fn what_no_environment_can_hold_is_refused_by_name() {
    for name in ["", "A=B", "A\0"] {
        check(&[], &[(name, "")], Err(EnvironmentError::InvalidName { name: name.to_owned() }));
    }
    check(&[], &[("A", "b\0")], Err(EnvironmentError::InvalidValue { name: "A".to_owned() }));
}

#[track_caller]
fn check(
    host: &[(&str, &str)],
    named: &[(&str, &str)],
    expected: Result<&[(&str, &str)], EnvironmentError>,
) {
    assert_eq!(environment(&table(host), "/scratch", &table(named)), expected.map(table));
}

fn table(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
