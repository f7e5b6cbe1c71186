//! What the registry lets others in with, checked when it is read.
//!
//! **Invariant:** the key that certifies is one that the pinned keys lead to.
//! **Invariant:** no error shows any part of a secret.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::{ConnectOptions, Credentials};
use runtime::HostConfig;
use schemas::{
    ErrorCode, Fault, PrincipalId, Timestamp,
    enrolment::{LOGIN_LIFETIME_S, RENEWAL_LIFETIME_S},
    registry::Seat,
};
use serde::Deserialize;
use trust::{
    CertificateError, KeyFileError, KeyRefusal, Purpose, SecretKey, TrustAnchors,
    nats::{Issuer, IssuerError, IssuerSeeds},
};
use zeroize::Zeroizing;

/// The name under which whoever looks after the broker's accounts connects.
const SYSTEM_USER: &str = "system";

/// Everything that [`crate::serve`] needs.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// How to take part in the log.
    pub host: HostConfig,
    /// What others are let in with; without it nobody is.
    pub issuing: Option<Issuing>,
}

impl From<HostConfig> for RegistryConfig {
    fn from(host: HostConfig) -> Self {
        Self { host, issuing: None }
    }
}

/// What others are let in with.
#[derive(Clone, Debug)]
pub struct Issuing {
    pub(crate) anchors: TrustAnchors,
    /// Certifies keys and signs the roster.
    pub(crate) key: SecretKey,
    /// In whose name.
    pub(crate) registry: PrincipalId,
    /// First second in which the key may sign.
    pub(crate) valid_from_s: u64,
    /// The key's certificates, in base64.
    pub(crate) chain: Vec<String>,
    /// Makes logins.
    pub(crate) logins: Issuer,
    pub(crate) login_lifetime_s: u64,
    pub(crate) renewal_lifetime_s: u64,
    /// How to tell the broker who is out.
    pub(crate) system: ConnectOptions,
    /// Who is there without an invite.
    pub(crate) founders: Vec<Seat>,
}

/// Why the registry has nothing to let others in with.
#[derive(Debug, thiserror::Error)]
pub enum IssuingError {
    /// A file cannot be read.
    #[error("reading {path:?}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The settings do not parse. The parser's long message would quote a line, maybe a seed.
    #[error("{path:?} does not parse: {message}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The key is none.
    #[error("{path:?} holds no key that certifies")]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: KeyFileError,
    },
    /// The key is for something else.
    #[error("the key that certifies is a {0} key")]
    Purpose(Purpose),
    /// A certificate is no base64.
    #[error("certificate {number} of the key that certifies is no base64")]
    Base64 {
        /// Which, from 1.
        number: usize,
    },
    /// A certificate does not count.
    #[error("the certificates of the key that certifies do not count")]
    Certificate(#[source] CertificateError),
    /// Nothing leads from a pinned key to it.
    #[error("no pinned key leads to the key that certifies")]
    NotCertified(#[source] KeyRefusal),
    /// The broker's keys cannot be used.
    #[error("the broker's keys cannot be used")]
    Broker(#[source] IssuerError),
    /// A life is none.
    #[error("{setting} is {value} s; it must be 1 to {max} s")]
    Lifetime {
        /// Which setting.
        setting: &'static str,
        /// What it says.
        value: u64,
        /// The longest that makes sense.
        max: u64,
    },
}

impl IssuingError {
    /// The error as users see it, with its chain of causes.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        Fault::new(ErrorCode::ConfigInvalid, message)
    }
}

/// As it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    enrolment_key: PathBuf,
    certificates: Vec<String>,
    #[serde(default = "login_lifetime_s")]
    login_lifetime_s: u64,
    #[serde(default = "renewal_lifetime_s")]
    renewal_lifetime_s: u64,
    broker: Broker,
    #[serde(default)]
    founders: Vec<Seat>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Broker {
    url: String,
    #[serde(default)]
    ca: Option<PathBuf>,
    system_creds: PathBuf,
    operator_signing_seed: Seed,
    account: String,
    system_account: String,
    roles: BTreeMap<String, Seed>,
}

/// A seed's text; wiped when dropped.
#[derive(Deserialize)]
#[serde(from = "String")]
struct Seed(Zeroizing<String>);

impl From<String> for Seed {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl AsRef<str> for Seed {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

fn system_user() -> PrincipalId {
    PrincipalId::parse(SYSTEM_USER).expect("the word is an id")
}

fn login_lifetime_s() -> u64 {
    LOGIN_LIFETIME_S
}

fn renewal_lifetime_s() -> u64 {
    RENEWAL_LIFETIME_S
}

impl Issuing {
    /// Reads the settings at `path` and what they name. `anchors` pins the root.
    ///
    /// # Errors
    ///
    /// Names the file or setting that cannot be used; see [`IssuingError`].
    pub fn load(
        path: &Path,
        mut anchors: TrustAnchors,
        now: Timestamp,
    ) -> Result<Self, IssuingError> {
        let settings = Settings::read(path)?;
        let key = read_key(&settings.enrolment_key)?;
        let certificates = settings.certificates.iter().zip(1..).map(decode);
        let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
        anchors.admit(&certificates, now).map_err(IssuingError::Certificate)?;
        let anchor = anchors.lookup(key.public().id(), Purpose::Enrolment);
        let anchor = anchor.map_err(IssuingError::NotCertified)?;
        let (registry, valid_from_s) = (anchor.principal.clone(), anchor.not_before_s);
        let broker = settings.broker;
        let seeds = IssuerSeeds {
            name: anchors.cluster().as_str(),
            operator_signing_seed: broker.operator_signing_seed.as_ref(),
            account: &broker.account,
            system_account: &broker.system_account,
            roles: &broker.roles,
        };
        let logins = Issuer::from_seeds(seeds).map_err(IssuingError::Broker)?;
        let mut system = ConnectOptions::new(broker.url, system_user());
        system.credentials = Credentials::CredsFile(broker.system_creds);
        system.ca = broker.ca;
        let Settings { login_lifetime_s, renewal_lifetime_s, founders, .. } = settings;
        let chain = settings.certificates;
        Ok(Self {
            anchors,
            key,
            registry,
            valid_from_s,
            chain,
            logins,
            login_lifetime_s,
            renewal_lifetime_s,
            system,
            founders,
        })
    }
}

impl Settings {
    fn read(path: &Path) -> Result<Self, IssuingError> {
        let text = Zeroizing::new(read(path)?);
        let settings: Self = toml::from_str(&text).map_err(|error| {
            let message = error.message().to_owned();
            IssuingError::Malformed { path: path.to_owned(), message }
        })?;
        let (login, renewal) = (settings.login_lifetime_s, settings.renewal_lifetime_s);
        for (setting, value) in [("login_lifetime_s", login), ("renewal_lifetime_s", renewal)] {
            // A login that is out is named to the broker for as long as it could live.
            let max = RENEWAL_LIFETIME_S;
            if !(1..=max).contains(&value) {
                return Err(IssuingError::Lifetime { setting, value, max });
            }
        }
        Ok(settings)
    }
}

fn read(path: &Path) -> Result<String, IssuingError> {
    let unreadable = |cause| IssuingError::Unreadable { path: path.to_owned(), cause };
    std::fs::read_to_string(path).map_err(unreadable)
}

fn read_key(path: &Path) -> Result<SecretKey, IssuingError> {
    let text = Zeroizing::new(read(path)?);
    let unusable = |cause| IssuingError::Key { path: path.to_owned(), cause };
    let key = SecretKey::from_file(&text).map_err(unusable)?;
    let purpose = key.public().purpose();
    if purpose != Purpose::Enrolment {
        return Err(IssuingError::Purpose(purpose));
    }
    Ok(key)
}

fn decode((text, number): (&String, usize)) -> Result<Vec<u8>, IssuingError> {
    STANDARD.decode(text).map_err(|_| IssuingError::Base64 { number })
}
