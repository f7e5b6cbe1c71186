//! One variable moves everything; without it XDG's rules hold.

use super::*;

#[test]
fn cortex_home_moves_everything() {
    let home = check(&[("CORTEX_HOME", "/c"), ("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")]);
    assert_eq!(home, Home::at(Path::new("/c")));
    for path in [home.contexts(), home.keys(), home.broker_store(), home.logs(), home.run()] {
        assert!(path.starts_with("/c"), "{path:?}");
    }
}

#[test]
fn xdg_directories_are_used_where_they_are_set_and_absolute() {
    let home = check(&[("XDG_CONFIG_HOME", "/x"), ("XDG_DATA_HOME", "relative"), ("HOME", "/h")]);
    assert_eq!(home.contexts(), Path::new("/x/cortex/contexts"));
    assert_eq!(home.broker_store(), Path::new("/h/.local/share/cortex/nats"));
    assert_eq!(home.logs(), Path::new("/h/.local/state/cortex/logs"));
}

#[test]
fn nowhere_to_keep_things_is_an_error_that_says_what_to_set() {
    let fault = Home::from_variables(|_| None).unwrap_err();
    assert_eq!(fault.code, ErrorCode::ConfigInvalid);
    assert!(fault.hint.contains("CORTEX_HOME"));
}

fn check(variables: &[(&str, &str)]) -> Home {
    let variable =
        |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, v)| PathBuf::from(v));
    Home::from_variables(variable).unwrap()
}
