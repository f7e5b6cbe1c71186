//! A house of its own: the keys that vouch for everybody, and members that sign and are let in.

#![allow(dead_code, reason = "two test binaries share it, and each uses a part")]

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use schemas::{
    PrincipalId, Sha256Hash, Timestamp,
    claims::{CertificateClaims, OrderClaims},
    enrolment::{Invite, KeySet, Order, OrderRequest, RedeemRequest},
    key::{KeyOffer, PublicKeyBytes},
    principal::{PrincipalKind, UserRole},
    registry::{CertifiedKey, Seat},
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use trust::{
    Anchor, ClusterName, Possession, Purpose, SecretKey, TrustAnchors, certify,
    nats::{
        AccountClaims, AccountKind, Creds, Issuer, IssuerSeeds, Nkey, NkeyKind, OperatorClaims,
        PublicNkey, Role, UserClaims,
    },
    prove_possession, sign,
};
use zeroize::Zeroizing;

pub(crate) const INVITE: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const SECRET: &[u8] = b"the secret of the invite";
const YEAR_S: u64 = 365 * 24 * 3600;

pub(crate) fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

pub(crate) fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

/// A key that the words name; the same words name the same key.
fn entropy(words: &str) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Sha256::digest(words).into())
}

pub(crate) fn nkey(kind: NkeyKind, words: &str) -> Nkey {
    Nkey::from_entropy(kind, &entropy(&format!("nkey {words}")))
}

pub(crate) fn secret(purpose: Purpose, words: &str) -> SecretKey {
    SecretKey::from_entropy(purpose, &entropy(words))
}

pub(crate) fn offered(key: &SecretKey) -> KeyOffer {
    let public = key.public();
    KeyOffer { purpose: public.purpose(), key: PublicKeyBytes(*public.as_bytes()) }
}

/// Somebody with a login and a key for orders.
pub(crate) struct Member {
    pub(crate) id: PrincipalId,
    pub(crate) login: Nkey,
    pub(crate) issuer: SecretKey,
}

impl Member {
    /// The same name and number are the same keys.
    pub(crate) fn new(name: &str, number: u8) -> Self {
        let words = format!("{name} {number}");
        let (login, issuer) = (nkey(NkeyKind::User, &words), secret(Purpose::TaskIssuer, &words));
        Self { id: id(name), login, issuer }
    }

    pub(crate) fn key_set(&self, possession: &Possession<'_>) -> KeySet {
        prove_possession(&cluster(), possession, &self.login, &[&self.issuer])
    }

    pub(crate) fn redemption(&self) -> RedeemRequest {
        let secret_hash = Sha256Hash(Sha256::digest(SECRET).into());
        let keys = self.key_set(&Possession::Invite { invite: INVITE, secret_hash });
        RedeemRequest { invite: INVITE.to_owned(), secret: STANDARD.encode(SECRET), keys }
    }

    /// A certificate of the member's own key, and what comes before it.
    pub(crate) fn certificates(&self, house: &House) -> Vec<String> {
        let own = house.certify(&self.id, offered(&self.issuer));
        house.chain().into_iter().chain([own]).collect()
    }

    pub(crate) fn order(&self, house: &House, order: &Order) -> OrderRequest {
        OrderRequest {
            envelope: Some(self.signed(house, order)),
            certificates: self.certificates(house),
        }
    }

    pub(crate) fn signed(&self, house: &House, order: &Order) -> String {
        STANDARD.encode(
            sign::<trust::Order>(&self.claims(house, order), &cluster(), &self.issuer).unwrap(),
        )
    }

    pub(crate) fn claims(&self, house: &House, order: &Order) -> OrderClaims {
        let order_json = serde_json::to_string(order).unwrap();
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&Sha256::digest(&order_json)[..16]);
        OrderClaims {
            issuer: self.id.clone(),
            service: id("registry"),
            issued_at_s: house.now_s,
            expires_at_s: house.now_s + 300,
            nonce,
            order_json,
        }
    }

    pub(crate) fn seat(&self, house: &House, role: Option<UserRole>) -> Seat {
        Seat {
            id: self.id.clone(),
            kind: if role.is_some() { PrincipalKind::Person } else { PrincipalKind::Agent },
            role,
            owner: self.id.clone(),
            capabilities: None,
            login: self.login.public().to_string(),
            keys: vec![CertifiedKey {
                id: self.issuer.public().id(),
                offer: offered(&self.issuer),
                not_before_s: house.now_s,
                not_after_s: house.now_s + YEAR_S,
            }],
        }
    }
}

/// An invite for an agent, made by whoever signs the order.
pub(crate) fn invite(name: &str) -> Invite {
    Invite {
        invite: INVITE.to_owned(),
        secret_hash: Sha256Hash(Sha256::digest(SECRET).into()),
        redeemer: nkey(NkeyKind::User, "redeemer").public().to_string(),
        principal: id(name),
        kind: PrincipalKind::Agent,
        role: None,
        owner: None,
        capabilities: None,
        lifetime_s: 3600,
    }
}

/// Root, enrolment key, and what vouches for logins on a broker.
pub(crate) struct House {
    pub(crate) dir: TempDir,
    pub(crate) now_s: u64,
    pub(crate) url: String,
    pub(crate) founders: Vec<Seat>,
}

impl House {
    pub(crate) fn new(now_s: u64) -> Self {
        let (dir, url) = (TempDir::new().unwrap(), "nats://127.0.0.1:1".to_owned());
        Self { dir, now_s, url, founders: Vec::new() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.now_s)
    }

    fn enrolment() -> SecretKey {
        secret(Purpose::Enrolment, "enrolment")
    }

    /// Pins the root alone.
    pub(crate) fn anchors(&self) -> TrustAnchors {
        let mut anchors = TrustAnchors::new(cluster());
        let anchor = Anchor {
            key: secret(Purpose::Root, "root").public().clone(),
            principal: id("root"),
            not_before_s: self.now_s - 10,
            not_after_s: self.now_s + 10 * YEAR_S,
            revoked_at_s: None,
            acts_for: std::collections::BTreeSet::new(),
        };
        anchors.add(anchor).unwrap();
        anchors
    }

    pub(crate) fn chain(&self) -> Vec<String> {
        let claims = CertificateClaims {
            issuer: id("root"),
            subject: id("registry"),
            key: offered(&Self::enrolment()),
            issued_at_s: self.now_s,
            not_before_s: self.now_s,
            not_after_s: self.now_s + 5 * YEAR_S,
            bounds: None,
        };
        let root = secret(Purpose::Root, "root");
        vec![STANDARD.encode(certify(&claims, &cluster(), &root).unwrap())]
    }

    pub(crate) fn certify(&self, subject: &PrincipalId, key: KeyOffer) -> String {
        let claims = CertificateClaims {
            issuer: id("registry"),
            subject: subject.clone(),
            key,
            issued_at_s: self.now_s,
            not_before_s: self.now_s,
            not_after_s: self.now_s + YEAR_S,
            bounds: None,
        };
        STANDARD.encode(certify(&claims, &cluster(), &Self::enrolment()).unwrap())
    }

    fn account() -> PublicNkey {
        nkey(NkeyKind::Account, "account").public()
    }

    fn roles() -> BTreeMap<String, Zeroizing<String>> {
        let seed = |role: Role| nkey(NkeyKind::Account, role.as_str()).seed();
        Role::ALL.map(|role| (role.to_string(), seed(role))).into()
    }

    pub(crate) fn issuer(&self) -> Issuer {
        let roles = Self::roles();
        let roles: BTreeMap<String, &str> =
            roles.iter().map(|(name, seed)| (name.clone(), seed.as_str())).collect();
        Issuer::from_seeds(IssuerSeeds {
            name: "test",
            operator_signing_seed: &nkey(NkeyKind::Operator, "signing").seed(),
            account: Self::account().as_str(),
            system_account: nkey(NkeyKind::Account, "system").public().as_str(),
            roles: &roles,
        })
        .unwrap()
    }

    /// The settings as `cortex up` writes them.
    pub(crate) fn settings(&self) -> String {
        let key = self.dir.path().join("enrolment.key");
        std::fs::write(&key, Self::enrolment().to_file().as_bytes()).unwrap();
        let mut text = format!("enrolment_key = {key:?}\ncertificates = {:?}\n", self.chain());
        writeln!(text, "[broker]\nurl = {:?}", self.url).unwrap();
        writeln!(text, "system_creds = {:?}", self.system_creds_path()).unwrap();
        let signing = nkey(NkeyKind::Operator, "signing").seed();
        writeln!(text, "operator_signing_seed = {:?}", *signing).unwrap();
        writeln!(text, "account = {:?}", Self::account().as_str()).unwrap();
        let system = nkey(NkeyKind::Account, "system").public();
        writeln!(text, "system_account = {:?}\n[broker.roles]", system.as_str()).unwrap();
        for (role, seed) in Self::roles() {
            writeln!(text, "{role} = {:?}", *seed).unwrap();
        }
        if self.founders.is_empty() {
            return text;
        }
        let founders = BTreeMap::from([("founders", &self.founders)]);
        text + &toml::to_string(&founders).unwrap()
    }

    pub(crate) fn write(&self, settings: &str) -> PathBuf {
        let path = self.dir.path().join("issuing.toml");
        std::fs::write(&path, settings).unwrap();
        path
    }

    fn system_creds_path(&self) -> PathBuf {
        self.dir.path().join("system.creds")
    }

    pub(crate) fn write_system_creds(&self) {
        let login = nkey(NkeyKind::User, "system user");
        let claims = UserClaims {
            principal: id("system"),
            role: Role::Admin,
            key: login.public(),
            account: nkey(NkeyKind::Account, "system").public(),
            issued_at_s: self.now_s,
            expires_at_s: None,
        };
        let jwt = claims.sign_for_system(&nkey(NkeyKind::Account, "system user maker")).unwrap();
        let creds = Creds::new(&jwt, login).unwrap();
        std::fs::write(self.system_creds_path(), creds.to_file().as_bytes()).unwrap();
    }

    /// A login that these keys vouch for.
    pub(crate) fn creds(&self, name: &str, role: Role, login: Nkey) -> Creds {
        let jwt = self.issuer().user_jwt(&id(name), role, &login.public(), self.now_s, 3600);
        Creds::new(&jwt.unwrap(), login).unwrap()
    }

    pub(crate) fn creds_of(&self, name: &str, role: Role) -> Creds {
        self.creds(name, role, nkey(NkeyKind::User, name))
    }

    /// What nats-server reads to believe these keys.
    pub(crate) fn server_config(&self) -> String {
        let (signing, system) =
            (nkey(NkeyKind::Operator, "signing"), nkey(NkeyKind::Account, "system"));
        let operator = OperatorClaims {
            name: "test".to_owned(),
            signing_keys: vec![signing.public()],
            system_account: system.public(),
        };
        let operator = operator.sign(&nkey(NkeyKind::Operator, "operator"), self.now_s).unwrap();
        let maker = nkey(NkeyKind::Account, "system user maker").public();
        let system_claims = AccountClaims {
            account: system.public(),
            name: "system".to_owned(),
            kind: AccountKind::System { signing_keys: vec![maker] },
            revocations: BTreeMap::new(),
        };
        let system_jwt = system_claims.sign(&signing, self.now_s).unwrap();
        let account_jwt = self.issuer().account_jwt(&BTreeMap::new(), self.now_s);
        let accounts = self.dir.path().join("accounts");
        format!(
            "operator: {}\nsystem_account: {}\nresolver: {{ type: full, dir: {accounts:?} }}\n\
             resolver_preload: {{ {}: {}, {}: {} }}\n",
            operator.as_str(),
            system.public(),
            system.public(),
            system_jwt.as_str(),
            Self::account(),
            account_jwt.as_str(),
        )
    }
}
