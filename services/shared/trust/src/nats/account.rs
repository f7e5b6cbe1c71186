//! An account's JWT: who may make users in it, as what, and which users are out.
//!
//! **Invariant:** Cortex's account has scoped signing keys alone, so nobody in it is without a role.

use std::collections::BTreeMap;

use schemas::subject::BROKER_STATUS;
use serde::Serialize;

use super::{
    jwt::{Jwt, Statement},
    nkey::{InvalidNkey, Nkey, NkeyKind, PublicNkey},
    role::{Permissions, Responses, Role},
};

/// Where every server tells how it stores, before the import gives it another name.
pub const STATUS_SERVICE: &str = "$SYS.REQ.SERVER.PING.JSZ";
const UNLIMITED: i64 = -1;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// A role and the key that makes users of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// As what the users are made.
    pub role: Role,
    /// Public half of the signing key.
    pub key: PublicNkey,
}

/// What an account is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// The servers' own; it tells Cortex how they store.
    System {
        /// Keys that make users who may do everything in it.
        signing_keys: Vec<PublicNkey>,
    },
    /// Where Cortex works.
    Cortex {
        /// The account of the servers.
        system: PublicNkey,
        /// One for each role.
        scopes: Vec<Scope>,
    },
}

/// What an operator says about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountClaims {
    /// Which.
    pub account: PublicNkey,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub kind: AccountKind,
    /// Users that are out: whatever was signed for the key up to that second, since the Unix
    /// epoch, counts no more.
    pub revocations: BTreeMap<PublicNkey, u64>,
}

impl AccountClaims {
    /// Signs with one of the operator's signing keys. A broker takes it for newer than another one
    /// of the same account only if `issued_at_s` is later.
    ///
    /// # Errors
    ///
    /// Refuses a key that is no operator's.
    pub fn sign(&self, operator: &Nkey, issued_at_s: u64) -> Result<Jwt, InvalidNkey> {
        operator.expect_kind(NkeyKind::Operator)?;
        let statement =
            Statement { subject: &self.account, name: &self.name, issued_at_s, expires_at_s: None };
        Ok(Jwt::sign(operator, &statement, "account", &self.body()))
    }

    fn body(&self) -> Body<'_> {
        let (exports, imports, signing_keys, storage) = match &self.kind {
            AccountKind::System { signing_keys } => {
                let keys = signing_keys.iter().map(SigningKey::Plain).collect();
                (vec![Export::status()], Vec::new(), keys, Storage::of(0))
            }
            AccountKind::Cortex { system, scopes } => {
                let keys = scopes.iter().map(SigningKey::scoped).collect();
                (Vec::new(), vec![Import::status(system)], keys, Storage::of(UNLIMITED))
            }
        };
        let revocations = &self.revocations;
        Body { exports, imports, limits: Limits::with(storage), revocations, signing_keys }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    exports: Vec<Export>,
    imports: Vec<Import<'a>>,
    limits: Limits,
    revocations: &'a BTreeMap<PublicNkey, u64>,
    signing_keys: Vec<SigningKey<'a>>,
}

#[derive(Serialize)]
struct Export {
    name: &'static str,
    subject: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    response_type: &'static str,
}

impl Export {
    fn status() -> Self {
        Self {
            name: "how servers store",
            subject: STATUS_SERVICE,
            kind: "service",
            response_type: "Stream",
        }
    }
}

#[derive(Serialize)]
struct Import<'a> {
    name: &'static str,
    account: &'a PublicNkey,
    subject: &'static str,
    local_subject: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<'a> Import<'a> {
    fn status(account: &'a PublicNkey) -> Self {
        Self {
            name: "how servers store",
            account,
            subject: STATUS_SERVICE,
            local_subject: BROKER_STATUS,
            kind: "service",
        }
    }
}

/// What JetStream sets aside for an account.
struct Storage(i64);

impl Storage {
    fn of(amount: i64) -> Self {
        Self(amount)
    }
}

#[derive(Serialize)]
struct Limits {
    conn: i64,
    data: i64,
    exports: i64,
    imports: i64,
    leaf: i64,
    payload: i64,
    subs: i64,
    wildcards: bool,
    consumer: i64,
    disk_storage: i64,
    mem_storage: i64,
    streams: i64,
}

impl Limits {
    fn with(Storage(storage): Storage) -> Self {
        Self {
            conn: UNLIMITED,
            data: UNLIMITED,
            exports: UNLIMITED,
            imports: UNLIMITED,
            leaf: UNLIMITED,
            payload: UNLIMITED,
            subs: UNLIMITED,
            wildcards: true,
            consumer: storage,
            disk_storage: storage,
            mem_storage: storage,
            streams: storage,
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum SigningKey<'a> {
    Plain(&'a PublicNkey),
    Scoped { kind: &'static str, key: &'a PublicNkey, role: String, template: Template },
}

impl<'a> SigningKey<'a> {
    fn scoped(scope: &'a Scope) -> Self {
        let template = Template::of(scope.role.permissions());
        Self::Scoped { kind: "user_scope", key: &scope.key, role: scope.role.to_string(), template }
    }
}

#[derive(Serialize)]
struct Template {
    #[serde(rename = "pub")]
    publish: Allowed,
    #[serde(rename = "sub")]
    subscribe: Allowed,
    #[serde(skip_serializing_if = "Option::is_none")]
    resp: Option<Resp>,
    subs: i64,
    data: i64,
    payload: i64,
    allowed_connection_types: [&'static str; 2],
}

#[derive(Serialize)]
struct Allowed {
    allow: Vec<String>,
}

#[derive(Serialize)]
struct Resp {
    max: u32,
    ttl: u64,
}

impl Template {
    fn of(permissions: Permissions) -> Self {
        let Permissions { publish, subscribe, responses, subscriptions_max } = permissions;
        let resp = responses.map(|Responses { max, within_ms }| Resp {
            max,
            ttl: within_ms.saturating_mul(NANOS_PER_MILLI),
        });
        Self {
            publish: Allowed { allow: publish },
            subscribe: Allowed { allow: subscribe },
            resp,
            subs: i64::from(subscriptions_max),
            data: UNLIMITED,
            payload: UNLIMITED,
            allowed_connection_types: ["STANDARD", "WEBSOCKET"],
        }
    }
}
