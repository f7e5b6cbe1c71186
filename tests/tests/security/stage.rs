//! A server in operator mode, and whoever logs in to it.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use client::{Client, ConnectOptions, Credentials};
use cortex_tests::{NatsServer, ServerOptions};
use jetstream_config::server_config::{Account, Operator};
use jetstream_config::streams::{self, Replicas};
use jetstream_config::{Destructive, apply};
use schemas::{PrincipalId, subject::ServiceName};
use tempfile::TempDir;
use trust::nats::{
    AccountClaims, AccountKind, Creds, Jwt, Nkey, NkeyKind, OperatorClaims, PublicNkey, Role,
    Scope, UserClaims,
};
use zeroize::Zeroizing;

pub(crate) const REGISTRY: Role = Role::Service(ServiceName::Registry);
pub(crate) const SCHEDULER: Role = Role::Service(ServiceName::Scheduler);

/// A running server with all streams, and the keys that make users.
pub(crate) struct Stage {
    pub(crate) server: NatsServer,
    pub(crate) keys: Keys,
    pub(crate) admin: Client,
    /// Where the server keeps accounts.
    _accounts: TempDir,
}

/// What vouches for whom.
pub(crate) struct Keys {
    operator: Nkey,
    signing: Nkey,
    system: Nkey,
    system_signing: Nkey,
    pub(crate) account: Nkey,
    scopes: BTreeMap<Role, Nkey>,
}

pub(crate) fn new_key(kind: NkeyKind) -> Nkey {
    Nkey::from_entropy(kind, &Zeroizing::new(rand::random()))
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

impl Keys {
    fn invent() -> Self {
        let scope = |role| (role, new_key(NkeyKind::Account));
        Self {
            operator: new_key(NkeyKind::Operator),
            signing: new_key(NkeyKind::Operator),
            system: new_key(NkeyKind::Account),
            system_signing: new_key(NkeyKind::Account),
            account: new_key(NkeyKind::Account),
            scopes: Role::ALL.map(scope).into(),
        }
    }

    fn operator(&self, accounts_dir: &TempDir) -> Result<Operator> {
        let about = OperatorClaims {
            name: "test".to_owned(),
            signing_keys: vec![self.signing.public()],
            system_account: self.system.public(),
        };
        let system = AccountClaims {
            account: self.system.public(),
            name: "system".to_owned(),
            kind: AccountKind::System { signing_keys: vec![self.system_signing.public()] },
            revocations: BTreeMap::new(),
        };
        let system = system.sign(&self.signing, now_s())?;
        let account = |key: &Nkey, jwt: &Jwt| Account {
            key: key.public().to_string(),
            jwt: jwt.as_str().to_owned(),
        };
        let cortex = self.cortex_account(BTreeMap::new(), now_s())?;
        Ok(Operator {
            jwt: about.sign(&self.operator, now_s())?.as_str().to_owned(),
            system_account: self.system.public().to_string(),
            accounts_dir: accounts_dir.path().to_owned(),
            accounts: vec![account(&self.system, &system), account(&self.account, &cortex)],
        })
    }

    /// Cortex's account, without those that are out.
    pub(crate) fn cortex_account(
        &self,
        revocations: BTreeMap<PublicNkey, u64>,
        issued_at_s: u64,
    ) -> Result<Jwt> {
        let scope = |(role, key): (&Role, &Nkey)| Scope { role: *role, key: key.public() };
        let claims = AccountClaims {
            account: self.account.public(),
            name: "cortex".to_owned(),
            kind: AccountKind::Cortex {
                system: self.system.public(),
                scopes: self.scopes.iter().map(scope).collect(),
            },
            revocations,
        };
        Ok(claims.sign(&self.signing, issued_at_s)?)
    }

    /// What a user is made of; with it anything else can be made as well.
    pub(crate) fn user(&self, role: Role, name: &str, key: &Nkey) -> UserClaims {
        UserClaims {
            principal: id(name),
            role,
            key: key.public(),
            account: self.account.public(),
            issued_at_s: now_s(),
            expires_at_s: None,
        }
    }

    pub(crate) fn scope(&self, role: Role) -> &Nkey {
        &self.scopes[&role]
    }

    pub(crate) fn creds(&self, role: Role, name: &str) -> Creds {
        let key = new_key(NkeyKind::User);
        let jwt = self.user(role, name, &key).sign(self.scope(role)).unwrap();
        Creds::new(&jwt, key).unwrap()
    }

    /// What logs in to the servers' own account.
    pub(crate) fn system_creds(&self) -> Creds {
        let key = new_key(NkeyKind::User);
        let claims =
            UserClaims { account: self.system.public(), ..self.user(Role::Admin, "system", &key) };
        Creds::new(&claims.sign_for_system(&self.system_signing).unwrap(), key).unwrap()
    }
}

impl Stage {
    /// Starts a server and makes all streams on it.
    pub(crate) async fn open() -> Result<Self> {
        let (keys, accounts) = (Keys::invent(), tempfile::tempdir()?);
        let extra = keys.operator(&accounts)?.render()?;
        let options = ServerOptions { extra, ..Default::default() };
        let server = NatsServer::start_with(options).await?;
        let creds = keys.creds(Role::Admin, "root");
        let admin = connect(&server, creds).await?;
        apply(admin.nats(), &streams::all(Replicas::One), Destructive::Withheld).await?;
        Ok(Self { server, keys, admin, _accounts: accounts })
    }

    /// A connection of a principal that has just been made.
    pub(crate) async fn join(&self, role: Role, name: &str) -> Result<Client> {
        connect(&self.server, self.keys.creds(role, name)).await
    }
}

/// Connects as whom the credentials name.
pub(crate) async fn connect(server: &NatsServer, creds: Creds) -> Result<Client> {
    let principal = id(&creds.summary().name);
    let credentials = Credentials::Creds(Box::new(creds));
    let options = ConnectOptions { credentials, ..ConnectOptions::new(server.url(), principal) };
    Ok(Client::connect(options).await?)
}
