//! What a scheduler needs to know, checked when it is put together.
//!
//! **Invariant:** a scheduler holds a key that every node of its cluster will accept.

use runtime::HostConfig;
use schemas::{ErrorCode, Fault, PrincipalId};
use trust::{Purpose, SecretKey, TrustAnchors};

/// Everything that [`crate::serve`] needs.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// How to take part in the log.
    pub host: HostConfig,
    /// Whom to believe, and how to be believed.
    pub trust: SchedulerTrust,
}

/// Whose requests count, and the key that signs assignments.
#[derive(Clone, Debug)]
pub struct SchedulerTrust {
    anchors: TrustAnchors,
    key: SecretKey,
    issuer: PrincipalId,
    /// First second in which the key may sign, since the Unix epoch.
    valid_from_s: u64,
    certificates: Vec<String>,
}

/// Why a scheduler cannot be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The key is for something else.
    #[error("the scheduler's key is a {0} key")]
    Purpose(Purpose),
    /// Nobody would accept what the key signs.
    #[error("the scheduler's key {0} is not among the trust anchors")]
    KeyNotTrusted(trust::KeyId),
}

impl ConfigError {
    /// The error as users see it.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        Fault::new(ErrorCode::ConfigInvalid, self.to_string())
    }
}

impl SchedulerTrust {
    /// Puts keys together.
    ///
    /// # Errors
    ///
    /// Refuses a key that is not a scheduler's, or that nobody trusts.
    pub fn new(anchors: TrustAnchors, key: SecretKey) -> Result<Self, ConfigError> {
        let purpose = key.public().purpose();
        if purpose != Purpose::Scheduler {
            return Err(ConfigError::Purpose(purpose));
        }
        let id = key.public().id();
        let anchor = anchors.lookup(id, purpose).map_err(|_| ConfigError::KeyNotTrusted(id))?;
        let (issuer, valid_from_s) = (anchor.principal.clone(), anchor.not_before_s);
        Ok(Self { anchors, key, issuer, valid_from_s, certificates: Vec::new() })
    }

    /// Certificates of the key, in base64, each after the one that vouches for it: nodes that pin
    /// the root alone get them with every offer.
    #[must_use]
    pub fn with_certificates(mut self, certificates: Vec<String>) -> Self {
        self.certificates = certificates;
        self
    }

    /// Certificates of the key, in base64.
    #[must_use]
    pub fn certificates(&self) -> &[String] {
        &self.certificates
    }

    /// Whose signatures count.
    #[must_use]
    pub fn anchors(&self) -> &TrustAnchors {
        &self.anchors
    }

    /// Signs assignments.
    #[must_use]
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// First second in which the key may sign, since the Unix epoch.
    #[must_use]
    pub fn valid_from_s(&self) -> u64 {
        self.valid_from_s
    }

    /// In whose name assignments are signed.
    #[must_use]
    pub fn issuer(&self) -> &PrincipalId {
        &self.issuer
    }
}
