//! How `cortex up` is started, in its first life and in later ones.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Holds the broker's port, below the home: 0 before the first life, then the one that it got.
pub(super) const PORT_FILE: &str = "port";

/// Variables of `cortex` that the user may have set for a Cortex of their own.
pub(super) const FOREIGN_VARIABLES: [&str; 8] = [
    "CORTEX_CONTEXT",
    "CORTEX_URL",
    "CORTEX_PRINCIPAL",
    "CORTEX_OUTPUT",
    "CORTEX_NATS_PORT",
    "CORTEX_SERVICE_CONFIG",
    "CORTEX_NODE_CONFIG",
    "CORTEX_LOGIN_LIFETIME_S",
];

/// Becomes `cortex up` itself, so that a signal to this process reaches it.
const SCRIPT: &str = r#"
home=$1; cortex=$2; shift 2
export CORTEX_HOME="$home"
exec "$cortex" up --nats-port "$(cat "$home/port")" "$@"
"#;

/// The words after `sh` that start it.
pub(super) fn up(binary: &Path, home: &Path) -> Result<Vec<OsString>> {
    fs::write(home.join(PORT_FILE), "0").context("writing the port")?;
    let script = format!("unset {}\n{SCRIPT}", FOREIGN_VARIABLES.join(" "));
    Ok(["-c".into(), script.into(), "up".into(), home.into(), binary.into()].into())
}

/// The words after `sh` that become a node with a home of its own.
pub(super) fn node(binary: &Path, home: &Path, settings: &Path) -> Vec<OsString> {
    let unset = FOREIGN_VARIABLES.join(" ");
    let script = format!("unset {unset}\nCORTEX_HOME=$1 exec \"$2\" agent run --config \"$3\"");
    ["-c".into(), script.into(), "node".into(), home.into(), binary.into(), settings.into()].into()
}
