//! The configuration of a nats-server in operator mode: it believes whom the operator vouches for.
//!
//! **Invariant:** it syncs every write, and tells whoever is in Cortex's account that it does.
//! **Invariant:** accounts are kept on disk: a server that kept them in memory would let revoked users
//! in again after a restart.
//! **Invariant:** no value can be more than a value: what could is refused, not escaped.

use std::path::PathBuf;

/// Largest message, in bytes: four frames.
const MAX_PAYLOAD_BYTES: u32 = 1024 * 1024;
/// Consumers a stream may have unless it says otherwise. Cortex makes none; this is for `nats` users.
const CONSUMERS_MAX: u32 = 10_000;
/// Memory for streams that are kept in memory, in bytes; Cortex has none.
const MAX_MEMORY_STORE_BYTES: u32 = 64 * 1024 * 1024;
/// How often servers of a cluster compare the accounts that they keep.
const COMPARE_INTERVAL: &str = "2m";

/// What differs between servers.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Whom it believes.
    pub operator: Operator,
}

/// Whom a server believes, and the accounts that it is given at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The operator's JWT.
    pub jwt: String,
    /// Public key of the account that the servers themselves work in.
    pub system_account: String,
    /// Where the server keeps accounts that were pushed to it.
    pub accounts_dir: PathBuf,
    /// Accounts that it knows at once; of two JWTs for one account the later one counts.
    pub accounts: Vec<Account>,
}

/// An account and what the operator says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its public key.
    pub key: String,
    /// Its JWT.
    pub jwt: String,
}

/// A value cannot stand in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is empty, or holds what could be more than a value")]
pub struct InvalidServerConfig {
    setting: &'static str,
}

/// The text of nats-server's configuration file.
///
/// # Errors
///
/// Names the value that cannot be written.
pub fn render(config: &ServerConfig) -> Result<String, InvalidServerConfig> {
    let name = quoted("name", &config.name)?;
    let host = quoted("host", &config.host)?;
    let store_dir = quoted("store_dir", &config.store_dir.to_string_lossy())?;
    let operator = config.operator.render()?;
    let ServerConfig { port, max_file_store_bytes, .. } = config;
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

{operator}"#
    ))
}

impl Operator {
    /// The part of nats-server's configuration file that says whom it believes.
    ///
    /// # Errors
    ///
    /// Names the value that cannot be written.
    pub fn render(&self) -> Result<String, InvalidServerConfig> {
        let operator = token("operator", &self.jwt)?;
        let system = token("system_account", &self.system_account)?;
        let dir = quoted("accounts_dir", &self.accounts_dir.to_string_lossy())?;
        let mut accounts = String::new();
        for Account { key, jwt } in &self.accounts {
            let (key, jwt) = (token("account", key)?, token("account_jwt", jwt)?);
            accounts.push_str(&format!("  {key}: {jwt}\n"));
        }
        Ok(format!(
            r"operator: {operator}
system_account: {system}
resolver: {{
  type: full
  dir: {dir}
  allow_delete: false
  interval: {COMPARE_INTERVAL:?}
}}
resolver_preload: {{
{accounts}}}
"
        ))
    }
}

fn quoted(setting: &'static str, value: &str) -> Result<String, InvalidServerConfig> {
    let breaks_out = |letter: char| letter == '"' || letter == '\\' || letter.is_control();
    if value.is_empty() || value.contains(breaks_out) {
        return Err(InvalidServerConfig { setting });
    }
    Ok(format!("\"{value}\""))
}

/// Keys and JWTs stand without quotes.
fn token<'a>(setting: &'static str, value: &'a str) -> Result<&'a str, InvalidServerConfig> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let sound = !value.is_empty() && value.bytes().all(is_letter);
    if sound { Ok(value) } else { Err(InvalidServerConfig { setting }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ServerConfig {
        ServerConfig {
            name: "cortex-1".into(),
            host: "127.0.0.1".into(),
            port: 4222,
            store_dir: "/var/lib/cortex/nats".into(),
            max_file_store_bytes: 1 << 34,
            operator: Operator {
                jwt: "ey.op-_.sig".into(),
                system_account: "ASYS".into(),
                accounts_dir: "/var/lib/cortex/accounts".into(),
                accounts: vec![Account { key: "ASYS".into(), jwt: "ey.sys.sig".into() }],
            },
        }
    }

    fn check(setting: &'static str, change: impl Fn(&mut ServerConfig)) {
        let mut changed = config();
        change(&mut changed);
        assert_eq!(render(&changed), Err(InvalidServerConfig { setting }));
    }

    #[test]
    fn it_syncs_always_and_keeps_accounts_on_disk() {
        let text = render(&config()).unwrap();
        for part in [
            "sync_interval: always",
            "port: 4222",
            "max_file_store: 17179869184",
            "operator: ey.op-_.sig",
            "system_account: ASYS",
            "type: full",
            "dir: \"/var/lib/cortex/accounts\"",
            "  ASYS: ey.sys.sig",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_value_that_could_be_more_than_a_value_is_refused() {
        check("name", |config| config.name = "a\"b".into());
        check("host", |config| config.host = String::new());
        check("store_dir", |config| config.store_dir = "/a\nport: 1".into());
        check("operator", |config| config.operator.jwt = "a b".into());
        check("system_account", |config| config.operator.system_account = String::new());
        check("accounts_dir", |config| config.operator.accounts_dir = "/a\"b".into());
        check("account", |config| config.operator.accounts[0].key = "A }".into());
        check("account_jwt", |config| config.operator.accounts[0].jwt = "a\nport: 1".into());
    }
}
