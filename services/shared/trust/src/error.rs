//! Why an envelope is refused: one variant a step of the verification, each with a stable code.

use schemas::{ErrorCode, Fault, PrincipalId, grants::Excess};

use crate::{
    anchors::KeyRefusal,
    cbor::{Rule, ScanError},
    certificate::CertificateError,
    chain::ChainError,
    claims::ClaimsError,
    keys::{KeyId, Purpose},
};

/// Why an envelope is refused.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    #[error("the request is not signed")]
    Unsigned,
    #[error("the envelope breaks the strict form of CBOR")]
    Malformed(#[source] ScanError),
    #[error("the envelope's {part} breaks the strict form of CBOR")]
    MalformedPart {
        part: &'static str,
        #[source]
        cause: ScanError,
    },
    #[error("the envelope is no COSE_Sign1 of the strict form")]
    Shape(#[from] ShapeError),
    #[error("the envelope's header is not the one that is expected here")]
    Header(#[from] HeaderError),
    #[error("the signing key must not be used here")]
    Key(#[from] KeyRefusal),
    #[error("the signature of key {key} does not fit these bytes in cluster {cluster}")]
    Signature { key: KeyId, cluster: String },
    #[error("the signed claims are not valid")]
    Claims(#[from] ClaimsError),
    #[error("signed for {audience}, not for {recipient}")]
    Audience { audience: String, recipient: String },
    #[error("valid from {from_s} s on; it is {now_s} s here")]
    NotYetValid { from_s: u64, now_s: u64 },
    #[error("expired at {expires_at_s} s; it is {now_s} s here")]
    Expired { expires_at_s: u64, now_s: u64 },
    #[error("signed for {lifetime_s} s, the limit is {limit_s} s")]
    LifetimeTooLong { lifetime_s: u64, limit_s: u64 },
    #[error("{issuer} may not ask in the name of {subject}")]
    Subject { issuer: PrincipalId, subject: PrincipalId },
    #[error("the task's specification is not valid")]
    Spec(#[source] Fault),
    #[error("the order is not valid")]
    Order(#[source] Fault),
    #[error("more is asked for than the signer was granted")]
    Exceeded(#[from] Excess),
    #[error("a key that is bounded may not sign {what}")]
    Bounded { what: &'static str },
    #[error("the requests that asked for one another are no chain")]
    Chain(#[from] ChainError),
    #[error("the assignment names another {what} than the request")]
    AssignmentMismatch { what: &'static str },
}

/// How an envelope's parts differ from the only shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    #[error("it is not an array of four")]
    NotFourParts,
    #[error("the protected header is not a byte string")]
    ProtectedNotBytes,
    #[error("the payload is not a byte string")]
    PayloadNotBytes,
    #[error("the signature is not a byte string of 64 bytes")]
    SignatureLength,
}

/// How a header differs from the only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("the unprotected header is not empty")]
    Unprotected,
    #[error("the protected header has not exactly three entries: algorithm, type, key id")]
    NotThreeEntries,
    #[error("the algorithm is not Ed25519 (-19)")]
    Algorithm,
    #[error("the type is not {wanted}")]
    Type { wanted: &'static str },
    #[error("the key id is not a byte string of 16 bytes")]
    KeyId,
}

/// Why claims cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("a {actual} key cannot sign what needs a {wanted} key")]
    Purpose { actual: Purpose, wanted: Purpose },
    #[error("{bytes} bytes signed, the limit is {limit}")]
    TooLarge { bytes: usize, limit: usize },
    #[error("no verifier would accept these claims")]
    Claims(#[source] EnvelopeError),
    #[error("no verifier would accept the certificate")]
    Certificate(#[source] Box<CertificateError>),
}

impl EnvelopeError {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unsigned => ErrorCode::Unsigned,
            Self::Malformed(ScanError { rule: Rule::TooLong, .. }) => ErrorCode::EnvelopeTooLarge,
            Self::Malformed(_) | Self::MalformedPart { .. } | Self::Shape(_) => {
                ErrorCode::EnvelopeMalformed
            }
            Self::Header(_) => ErrorCode::EnvelopeHeader,
            Self::Key(refusal) => refusal.code(),
            Self::Signature { .. } => ErrorCode::SignatureInvalid,
            Self::Claims(_) => ErrorCode::ClaimsInvalid,
            Self::Audience { .. } => ErrorCode::WrongAudience,
            Self::NotYetValid { .. } => ErrorCode::NotYetValid,
            Self::Expired { .. } => ErrorCode::Expired,
            Self::LifetimeTooLong { .. } => ErrorCode::LifetimeTooLong,
            Self::Subject { .. } => ErrorCode::NotAllowed,
            Self::Spec(_) => ErrorCode::SpecInvalid,
            Self::Order(fault) => fault.code,
            Self::Exceeded(_) | Self::Bounded { .. } => ErrorCode::GrantsExceeded,
            Self::Chain(cause) => cause.code(),
            Self::AssignmentMismatch { .. } => ErrorCode::AssignmentMismatch,
        }
    }

    /// The answer to whoever sent the envelope, with all causes in its message.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        Fault::new(self.code(), with_causes(self))
    }
}

impl SignError {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Purpose { .. } => ErrorCode::KeyNotValid,
            Self::TooLarge { .. } => ErrorCode::EnvelopeTooLarge,
            Self::Claims(cause) => cause.code(),
            Self::Certificate(cause) => cause.code(),
        }
    }

    /// The answer to whoever wanted to sign, with all causes in its message.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        Fault::new(self.code(), with_causes(self))
    }
}

pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    message
}
