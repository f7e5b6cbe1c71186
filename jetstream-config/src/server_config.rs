//! The configuration of the one nats-server that `cortex up` runs.
//!
//! **Invariant:** it syncs every write, and tells whoever is in Cortex's account that it does.
//! **Invariant:** no value can end its quotes: what could is refused, not escaped.

mod operator;

use std::{
    fmt,
    path::{Path, PathBuf},
};

pub use operator::{Account, Operator, OperatorServer, render_operator};
use schemas::subject::BROKER_STATUS;

/// Account that Cortex works in.
pub const CORTEX_ACCOUNT: &str = "CORTEX";
/// Account that the server itself works in.
pub const SYSTEM_ACCOUNT: &str = "SYS";
/// Largest message, in bytes: four frames.
const MAX_PAYLOAD_BYTES: u32 = 1024 * 1024;
/// Consumers a stream may have unless it says otherwise. Cortex makes none; this is for `nats` users.
const CONSUMERS_MAX: u32 = 10_000;
/// Memory for streams that are kept in memory, in bytes; Cortex has none.
const MAX_MEMORY_STORE_BYTES: u32 = 64 * 1024 * 1024;
/// Where the server tells how it stores, before the import gives it another name.
const STATUS_SERVICE: &str = "$SYS.REQ.SERVER.PING.JSZ";

/// A name that may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// Its password, or the bcrypt hash of it.
    pub password: String,
}

/// What differs between servers.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// The server's name.
    pub name: String,
    /// Address to listen on, for example `127.0.0.1`.
    pub host: String,
    /// Port to listen on; -1 lets the system choose.
    pub port: i32,
    /// Where the streams are kept.
    pub store_dir: PathBuf,
    /// Disk that streams may use, in bytes, see [`crate::streams::storage_bytes`].
    pub max_file_store_bytes: u64,
    /// Who may log in to [`CORTEX_ACCOUNT`].
    pub cortex_users: Vec<Login>,
    /// Who may log in to [`SYSTEM_ACCOUNT`].
    pub system_users: Vec<Login>,
}

/// A value cannot stand in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} holds a quote, a backslash or a control character, or is empty")]
pub struct InvalidServerConfig {
    setting: &'static str,
}

/// The text of nats-server's configuration file.
///
/// # Errors
///
/// Names the value that cannot be written.
pub fn render(config: &ServerConfig) -> Result<String, InvalidServerConfig> {
    let head = Head {
        name: &config.name,
        host: &config.host,
        port: config.port,
        store_dir: &config.store_dir,
        max_file_store_bytes: config.max_file_store_bytes,
    };
    let head = head.render()?;
    let cortex_users = users(&config.cortex_users)?;
    let system_users = users(&config.system_users)?;
    Ok(format!(
        r#"{head}
accounts {{
  {CORTEX_ACCOUNT} {{
    jetstream: enabled
    users: [
{cortex_users}    ]
    # By this Cortex sees version and sync_interval of every server.
    imports: [
      {{ service: {{ account: {SYSTEM_ACCOUNT}, subject: "{STATUS_SERVICE}" }}, to: "{BROKER_STATUS}" }}
    ]
  }}
  {SYSTEM_ACCOUNT} {{
    users: [
{system_users}    ]
    exports: [
      {{ service: "{STATUS_SERVICE}", response_type: stream, accounts: [{CORTEX_ACCOUNT}] }}
    ]
  }}
}}
system_account: {SYSTEM_ACCOUNT}
"#
    ))
}

/// What every server has, however its users log in.
struct Head<'a> {
    name: &'a str,
    host: &'a str,
    port: i32,
    store_dir: &'a Path,
    max_file_store_bytes: u64,
}

impl Head<'_> {
    fn render(&self) -> Result<String, InvalidServerConfig> {
        let (name, host) = (quoted("name", self.name)?, quoted("host", self.host)?);
        let store_dir = quoted("store_dir", &self.store_dir.to_string_lossy())?;
        let Head { port, max_file_store_bytes, .. } = self;
        Ok(format!(
            r#"# Written by Cortex at every start; changes are lost.
server_name: {name}
host: {host}
port: {port}
max_payload: {MAX_PAYLOAD_BYTES}

jetstream {{
  store_dir: {store_dir}
  # Acknowledged means on disk: Cortex refuses to run without this.
  sync_interval: always
  max_file_store: {max_file_store_bytes}
  max_memory_store: {MAX_MEMORY_STORE_BYTES}
  limits {{
    default_max_consumers: {CONSUMERS_MAX}
  }}
}}
"#
        ))
    }
}

fn users(logins: &[Login]) -> Result<String, InvalidServerConfig> {
    let mut lines = String::new();
    for Login { user, password } in logins {
        let (user, password) = (quoted("user", user)?, quoted("password", password)?);
        lines.push_str(&format!("      {{ user: {user}, password: {password} }}\n"));
    }
    Ok(lines)
}

fn quoted(setting: &'static str, value: &str) -> Result<String, InvalidServerConfig> {
    let breaks_out = |letter: char| letter == '"' || letter == '\\' || letter.is_control();
    if value.is_empty() || value.contains(breaks_out) {
        return Err(InvalidServerConfig { setting });
    }
    Ok(format!("\"{value}\""))
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ServerConfig {
        let login = |user: &str| Login { user: user.into(), password: "s3cret".into() };
        ServerConfig {
            name: "cortex-1".into(),
            host: "127.0.0.1".into(),
            port: 4222,
            store_dir: "/var/lib/cortex/nats".into(),
            max_file_store_bytes: 1 << 34,
            cortex_users: vec![login("registry"), login("scheduler")],
            system_users: vec![login("admin")],
        }
    }

    fn check(setting: &'static str, change: impl Fn(&mut ServerConfig)) {
        let mut changed = config();
        change(&mut changed);
        assert_eq!(render(&changed), Err(InvalidServerConfig { setting }));
    }

    #[test]
    fn it_syncs_always_and_lets_cortex_see_so() {
        let text = render(&config()).unwrap();
        for part in [
            "sync_interval: always",
            "port: 4222",
            "max_file_store: 17179869184",
            "{ user: \"scheduler\", password: \"s3cret\" }",
            "to: \"cortex.broker.jetstream\"",
            "response_type: stream",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_value_that_could_end_its_quotes_is_refused() {
        check("name", |config| config.name = "a\"b".into());
        check("host", |config| config.host = String::new());
        check("store_dir", |config| config.store_dir = "/a\nport: 1".into());
        check("user", |config| config.cortex_users[0].user = "a\\".into());
        check("password", |config| config.system_users[0].password = "\u{7}".into());
    }

    #[test]
    fn passwords_are_not_shown_when_debugging() {
        assert!(!format!("{:?}", config().system_users).contains("s3cret"));
    }
}
