//! The configuration of a nats-server in operator mode: it believes whom the operator vouches for.
//!
//! **Invariant:** accounts are kept on disk: a server that kept them in memory would let revoked users
//! in again after a restart.

use std::path::PathBuf;

use super::{Head, InvalidServerConfig, quoted};

/// How often servers of a cluster compare the accounts that they keep.
const COMPARE_INTERVAL: &str = "2m";

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

/// A server in operator mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorServer {
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

/// The text of nats-server's configuration file.
///
/// # Errors
///
/// Names the value that cannot be written.
pub fn render_operator(config: &OperatorServer) -> Result<String, InvalidServerConfig> {
    let head = Head {
        name: &config.name,
        host: &config.host,
        port: config.port,
        store_dir: &config.store_dir,
        max_file_store_bytes: config.max_file_store_bytes,
    };
    Ok(format!("{}\n{}", head.render()?, config.operator.render()?))
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

/// Keys and JWTs stand without quotes.
fn token<'a>(setting: &'static str, value: &'a str) -> Result<&'a str, InvalidServerConfig> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let sound = !value.is_empty() && value.bytes().all(is_letter);
    if sound { Ok(value) } else { Err(InvalidServerConfig { setting }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator() -> Operator {
        Operator {
            jwt: "ey.op-_.sig".into(),
            system_account: "ASYS".into(),
            accounts_dir: "/var/lib/cortex/accounts".into(),
            accounts: vec![Account { key: "ASYS".into(), jwt: "ey.sys.sig".into() }],
        }
    }

    fn check(setting: &'static str, change: impl Fn(&mut Operator)) {
        let mut changed = operator();
        change(&mut changed);
        assert_eq!(changed.render(), Err(InvalidServerConfig { setting }));
    }

    #[test]
    fn it_keeps_accounts_on_disk_and_syncs_always() {
        let text = render_operator(&OperatorServer {
            name: "cortex-1".into(),
            host: "127.0.0.1".into(),
            port: 4222,
            store_dir: "/var/lib/cortex/nats".into(),
            max_file_store_bytes: 1 << 34,
            operator: operator(),
        });
        let text = text.unwrap();
        for part in [
            "sync_interval: always",
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
        check("operator", |config| config.jwt = "a b".into());
        check("system_account", |config| config.system_account = String::new());
        check("accounts_dir", |config| config.accounts_dir = "/a\"b".into());
        check("account", |config| config.accounts[0].key = "A }".into());
        check("account_jwt", |config| config.accounts[0].jwt = "a\nport: 1".into());
    }
}
