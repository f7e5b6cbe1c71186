//! The registry's half of enrolment, played over a broker in operator mode: it lets in, certifies,
//! renews and says who is out, with the real keys, certificates and JWTs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use agent_node::{InviteLine, RootKey};
use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use client::IncomingRequest;
use schemas::{
    ErrorCode, Fault, PrincipalId, Sha256Hash, Timestamp,
    claims::{CertificateClaims, RosterClaims},
    enrolment::{AgentAccess, KeySet, Membership, RedeemRequest, SignedRoster},
    hex,
    key::{KeyOffer, PublicKeyBytes},
    principal::PrincipalKind,
    registry::verb,
};
use sha2::{Digest as _, Sha256};
use trust::{
    Anchor, Possession, Purpose, Roster, SecretKey, TrustAnchors, certify, check_possession,
    nats::{
        AccountClaims, AccountKind, Creds, Issuer, IssuerSeeds, Nkey, NkeyKind, OperatorClaims,
        PublicNkey, Role,
    },
    sign,
};
use zeroize::Zeroizing;

use crate::plane::{ISSUER, NODE, cluster, id, key, now_s};

/// Everybody who vouches for somebody, and what they know.
pub(crate) struct Authority {
    operator: Nkey,
    operator_signing: Nkey,
    system: Nkey,
    issuer: Issuer,
    inner: Mutex<Inner>,
}

/// What a case looks at and changes.
pub(crate) struct Inner {
    invites: BTreeMap<String, Invited>,
    logins: BTreeMap<PrincipalId, PublicNkey>,
    /// Seconds that a login is good for.
    pub(crate) login_lifetime_s: u64,
    /// Seconds that it can be renewed for.
    pub(crate) renewal_lifetime_s: u64,
    pub(crate) redemptions: u32,
    pub(crate) renewals: u32,
    /// What is answered to whoever renews, instead of a new login.
    pub(crate) renew_fault: Option<Fault>,
    pub(crate) roster: RosterClaims,
    pub(crate) access: Option<AgentAccess>,
    /// What is answered to whoever asks for the roster, instead of it.
    pub(crate) roster_fault: Option<Fault>,
    pub(crate) rosters_asked: u32,
    /// Vouches for nobody that a member pins.
    pub(crate) is_impostor: bool,
}

struct Invited {
    secret_hash: Sha256Hash,
    principal: PrincipalId,
    redeemed: Option<KeySet>,
}

fn secret(purpose: Purpose, seed: u8) -> SecretKey {
    SecretKey::from_entropy(purpose, &Zeroizing::new([seed; 32]))
}

fn root() -> SecretKey {
    secret(Purpose::Root, 101)
}

fn new_key(kind: NkeyKind) -> Nkey {
    Nkey::from_entropy(kind, &Zeroizing::new(rand::random()))
}

impl Authority {
    pub(crate) fn invent() -> Result<Self> {
        let role = |role: Role| (role.as_str().to_owned(), new_key(NkeyKind::Account).seed());
        let roles: BTreeMap<String, Zeroizing<String>> = Role::ALL.map(role).into();
        let roles: BTreeMap<String, &str> =
            roles.iter().map(|(name, seed)| (name.clone(), seed.as_str())).collect();
        let (operator_signing, system) = (new_key(NkeyKind::Operator), new_key(NkeyKind::Account));
        let issuer = Issuer::from_seeds(IssuerSeeds {
            name: "test",
            operator_signing_seed: &operator_signing.seed(),
            account: new_key(NkeyKind::Account).public().as_str(),
            system_account: system.public().as_str(),
            roles: &roles,
        })?;
        let roster = RosterClaims {
            issuer: id("registry"),
            issued_at_s: 0,
            version: 1,
            revoked: Vec::new(),
            overseers: Vec::new(),
            access: None,
        };
        let inner = Inner {
            invites: BTreeMap::new(),
            logins: BTreeMap::new(),
            login_lifetime_s: 3600,
            renewal_lifetime_s: 7200,
            redemptions: 0,
            renewals: 0,
            renew_fault: None,
            roster,
            access: None,
            roster_fault: None,
            rosters_asked: 0,
            is_impostor: false,
        };
        let operator = new_key(NkeyKind::Operator);
        Ok(Self { operator, operator_signing, system, issuer, inner: Mutex::new(inner) })
    }

    /// What nats-server reads.
    pub(crate) fn server_config(&self, accounts: &Path) -> Result<String> {
        let operator = OperatorClaims {
            name: "test".to_owned(),
            signing_keys: vec![self.operator_signing.public()],
            system_account: self.system.public(),
        };
        let operator = operator.sign(&self.operator, now_s())?;
        let system = AccountClaims {
            account: self.system.public(),
            name: "system".to_owned(),
            kind: AccountKind::System { signing_keys: Vec::new() },
            revocations: BTreeMap::new(),
        };
        let system_jwt = system.sign(&self.operator_signing, now_s())?;
        let account_jwt = self.issuer.account_jwt(&BTreeMap::new(), now_s());
        let mut text = String::new();
        writeln!(text, "operator: {}", operator.as_str())?;
        writeln!(text, "system_account: {}", self.system.public())?;
        writeln!(text, "resolver: {{ type: full, dir: {accounts:?} }}")?;
        writeln!(
            text,
            "resolver_preload: {{ {}: {}, {}: {} }}",
            self.system.public(),
            system_jwt.as_str(),
            self.issuer.account(),
            account_jwt.as_str()
        )?;
        Ok(text)
    }

    pub(crate) fn creds(&self, role: Role, name: &str) -> Result<Creds> {
        let login = new_key(NkeyKind::User);
        let jwt = self.issuer.user_jwt(&id(name), role, &login.public(), now_s(), 3600)?;
        Ok(Creds::new(&jwt, login)?)
    }

    /// What the state of the registry is.
    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line that lets the one node in.
    pub(crate) fn invite(&self, url: &str) -> Result<InviteLine> {
        let invite = hex(&rand::random::<[u8; 16]>());
        let secret = Zeroizing::new(rand::random::<[u8; 32]>());
        let redeemer = new_key(NkeyKind::User);
        let line = InviteLine {
            url: url.to_owned(),
            ca: None,
            cluster: cluster().to_string(),
            root: RootKey {
                key: PublicKeyBytes(*root().public().as_bytes()),
                principal: id("root"),
            },
            principal: id(NODE),
            kind: PrincipalKind::Agent,
            invite: invite.clone(),
            secret: Zeroizing::new(STANDARD.encode(*secret)),
            jwt: String::new(),
            seed: redeemer.seed(),
        };
        let public = redeemer.public();
        let jwt = self.issuer.user_jwt(&line.redeemer(), Role::Enroller, &public, now_s(), 3600)?;
        let secret_hash = Sha256Hash(Sha256::digest(*secret).into());
        let invited = Invited { secret_hash, principal: id(NODE), redeemed: None };
        self.inner().invites.insert(invite, invited);
        Ok(InviteLine { jwt: jwt.as_str().to_owned(), ..line })
    }

    /// Certificates of the keys that the plane signs with.
    pub(crate) fn certificates(&self) -> Vec<String> {
        let of = [(Purpose::TaskIssuer, ISSUER), (Purpose::Scheduler, "scheduler")];
        let of = of.map(|(purpose, name)| self.certificate(&offer(&key(purpose)), &id(name)));
        [self.of_enrolment()].into_iter().chain(of).collect()
    }

    /// Whom the scheduler believes with these certificates.
    pub(crate) fn anchors(&self, certificates: &[String]) -> TrustAnchors {
        let mut anchors = TrustAnchors::new(cluster());
        let pinned = Anchor {
            key: root().public().clone(),
            principal: id("root"),
            not_before_s: 0,
            not_after_s: u64::MAX,
            revoked_at_s: None,
            acts_for: BTreeSet::new(),
        };
        anchors.add(pinned).unwrap();
        let all = [self.certificates(), certificates.to_vec()].concat();
        let all: Vec<_> = all.iter().map(|text| STANDARD.decode(text).unwrap()).collect();
        anchors.admit(&all, Timestamp::from_seconds(now_s())).unwrap();
        anchors
    }

    fn of_enrolment(&self) -> String {
        let root = if self.inner().is_impostor { secret(Purpose::Root, 66) } else { root() };
        let claims = certificate_claims(("root", "registry"), offer(&enrolment()));
        STANDARD.encode(certify(&claims, &cluster(), &root).unwrap())
    }

    fn certificate(&self, key: &KeyOffer, subject: &PrincipalId) -> String {
        let claims = certificate_claims(("registry", subject.as_str()), *key);
        STANDARD.encode(certify(&claims, &cluster(), &enrolment()).unwrap())
    }

    /// The answer to a request that is about trust; nothing for all others.
    pub(crate) fn answer(&self, request: &IncomingRequest) -> Option<Result<Bytes, Fault>> {
        let body = request.body();
        match request.verb() {
            verb::REDEEM => Some(self.redeem(&schemas::strict::parse(body).unwrap())),
            verb::RENEW => Some(self.renew(request.principal())),
            verb::GET_ROSTER => Some(self.signed_roster()),
            _ => None,
        }
    }

    fn redeem(&self, request: &RedeemRequest) -> Result<Bytes, Fault> {
        let secret_hash = Sha256Hash(Sha256::digest(decode(&request.secret)).into());
        let principal = {
            let mut inner = self.inner();
            inner.redemptions += 1;
            let invited = inner.invites.get_mut(&request.invite);
            let unknown = || Fault::new(ErrorCode::InviteUnknown, "no such invite");
            let invited = invited.filter(|it| it.secret_hash == secret_hash).ok_or_else(unknown)?;
            let possession = Possession::Invite { invite: &request.invite, secret_hash };
            check_possession(&cluster(), &possession, &request.keys)
                .map_err(|error| error.to_fault())?;
            let keys = invited.redeemed.get_or_insert_with(|| request.keys.clone());
            if keys.login != request.keys.login || keys.keys != request.keys.keys {
                return Err(Fault::new(ErrorCode::InviteUsed, "redeemed with other keys"));
            }
            let principal = invited.principal.clone();
            inner.logins.insert(principal.clone(), login_key(&request.keys));
            principal
        };
        Ok(json(&self.membership(&principal)))
    }

    fn renew(&self, principal: &PrincipalId) -> Result<Bytes, Fault> {
        if let Some(fault) = self.inner().renew_fault.clone() {
            return Err(fault);
        }
        let answer = json(&self.membership(principal));
        self.inner().renewals += 1;
        Ok(answer)
    }

    fn membership(&self, principal: &PrincipalId) -> Membership {
        let keys: Vec<KeyOffer> = {
            let inner = self.inner();
            let login = &inner.logins[principal];
            let redeemed = inner.invites.values().filter_map(|it| it.redeemed.clone());
            let living = redeemed.filter(|keys| keys.login == login.as_str());
            living.flat_map(|keys| keys.keys).collect()
        };
        let certificates = keys.iter().map(|key| self.certificate(key, principal));
        let certificates = [self.of_enrolment()].into_iter().chain(certificates).collect();
        let inner = self.inner();
        let jwt = |role, lifetime_s| {
            let login = &inner.logins[principal];
            self.issuer.user_jwt(principal, role, login, now_s(), lifetime_s).unwrap()
        };
        Membership {
            principal: principal.clone(),
            kind: PrincipalKind::Agent,
            role: None,
            owner: id(ISSUER),
            cluster: cluster().to_string(),
            jwt: jwt(Role::Node, inner.login_lifetime_s).as_str().to_owned(),
            renewal_jwt: jwt(Role::Renewer, inner.renewal_lifetime_s).as_str().to_owned(),
            expires_at: Timestamp::from_seconds(now_s() + inner.login_lifetime_s),
            certificates,
        }
    }

    fn signed_roster(&self) -> Result<Bytes, Fault> {
        let claims = {
            let mut inner = self.inner();
            inner.rosters_asked += 1;
            if let Some(fault) = inner.roster_fault.clone() {
                return Err(fault);
            }
            let access = inner.access.clone();
            RosterClaims { issued_at_s: now_s(), access, ..inner.roster.clone() }
        };
        let certificates = vec![self.of_enrolment()];
        Ok(json(&SignedRoster { envelope: signed(&claims), certificates }))
    }
}

fn signed(claims: &RosterClaims) -> String {
    STANDARD.encode(sign::<Roster>(claims, &cluster(), &enrolment()).unwrap())
}

fn login_key(keys: &KeySet) -> PublicNkey {
    PublicNkey::parse(NkeyKind::User, &keys.login).unwrap()
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

fn enrolment() -> SecretKey {
    secret(Purpose::Enrolment, 102)
}

fn offer(key: &SecretKey) -> KeyOffer {
    let public = key.public();
    KeyOffer { purpose: public.purpose(), key: PublicKeyBytes(*public.as_bytes()) }
}

fn certificate_claims((issuer, subject): (&str, &str), key: KeyOffer) -> CertificateClaims {
    CertificateClaims {
        issuer: id(issuer),
        subject: id(subject),
        key,
        issued_at_s: now_s() - 10,
        not_before_s: now_s() - 10,
        not_after_s: now_s() + 100_000,
        bounds: None,
    }
}

fn json<T: serde::Serialize>(answer: &T) -> Bytes {
    serde_json::to_vec(answer).unwrap().into()
}
