//! The one shape of every error answer, and the stable codes that name its cause.
//!
//! **Invariant:** a code, once shipped, keeps its meaning; each has a page in `errors/`.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{code}: {message}")]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Stable name of the cause.
    pub code: ErrorCode,
    /// What was wrong, with the names involved.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// More for machines, such as the name of an unknown field.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

impl Fault {
    /// An error with the code's own hint.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: code.hint().to_owned(), details: Value::Null }
    }

    /// The same error with a better hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same error with details.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}

/// What sort of failure a code names; exit codes and HTTP statuses follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultClass {
    /// The request did not parse or makes no sense.
    Invalid,
    /// What it names does not exist.
    NotFound,
    /// Whoever asks may not.
    NotAllowed,
    /// A rule or the present state says no.
    Conflict,
    /// A policy denies it.
    Denied,
    /// A time-out passed.
    TimedOut,
    /// The system cannot answer now; asking again may help.
    Unavailable,
    /// Somebody must look: the log, the disk or the program is damaged.
    Broken,
}

impl FaultClass {
    /// The number beside the code in `Nats-Service-Error-Code`, as HTTP counts them.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::NotFound => 404,
            Self::NotAllowed | Self::Denied => 403,
            Self::Conflict => 409,
            Self::TimedOut => 408,
            Self::Unavailable => 503,
            Self::Broken => 500,
        }
    }

    /// What a command line leaves with.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Invalid => 2,
            Self::NotFound => 3,
            Self::NotAllowed => 4,
            Self::Unavailable => 5,
            Self::Denied => 6,
            Self::TimedOut => 7,
            Self::Conflict | Self::Broken => 1,
        }
    }
}

macro_rules! error_codes {
    ($($variant:ident $name:literal $class:ident $hint:literal;)*) => {
        /// Stable name of a cause; `schemas/errors/` explains each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $(#[doc = $hint] $variant,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as users see it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What sort of failure it is.
            #[must_use]
            pub fn class(self) -> FaultClass {
                match self { $(Self::$variant => FaultClass::$class,)* }
            }

            /// What to do about it, in one sentence.
            #[must_use]
            pub fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint,)* }
            }

            /// The page that explains it, in Markdown.
            #[must_use]
            pub fn page(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(concat!("../errors/", $name, ".md")),)*
                }
            }
        }
    };
}

error_codes! {
    MalformedJson "MALFORMED_JSON" Invalid "send one JSON object; the message says where it breaks";
    UnknownField "UNKNOWN_FIELD" Invalid "remove or correct the named field";
    InvalidValue "INVALID_VALUE" Invalid "correct the named value";
    InvalidId "INVALID_ID" Invalid "use a-z, 0-9 and -, at most 63 characters, not starting with -";
    TooLarge "TOO_LARGE" Invalid "send less; larger parts belong into blobs";
    TooDeep "TOO_DEEP" Invalid "nest at most 8 levels";
    UnknownVerb "UNKNOWN_VERB" Invalid "`nats micro info` lists what the service can be asked";
    ProtocolMismatch "PROTOCOL_MISMATCH" Invalid "upgrade the older side; `cortex --version` shows what each speaks";
    CommandIdReused "COMMAND_ID_REUSED" Conflict "use a new command id for a new command";
    CommandExpired "COMMAND_EXPIRED" TimedOut "send it again with a later not-after";
    AgentNotFound "AGENT_NOT_FOUND" NotFound "`cortex agent ls` shows who is registered";
    AgentIdTaken "AGENT_ID_TAKEN" NotAllowed "choose another id; only the one who registered this id may use it again";
    InvalidManifest "INVALID_MANIFEST" Invalid "correct the manifest as the message says";
    InvalidCapability "INVALID_CAPABILITY" Invalid "write words joined by dots, for example proxmox.create_vm or shell.exec@v1";
    NotAllowed "NOT_ALLOWED" NotAllowed "ask the owner, or use a principal that may";
    TaskNotFound "TASK_NOT_FOUND" NotFound "`cortex task ls` shows the tasks that are kept";
    TaskNotPermitted "TASK_NOT_PERMITTED" NotAllowed "`cortex can-task FROM TO` tells what is missing";
    NoSuchNode "NO_SUCH_NODE" NotFound "`cortex agent ls` shows the nodes";
    TaskFinished "TASK_FINISHED" Conflict "nothing to do: the task has ended";
    TaskLost "TASK_LOST" Broken "look on the node what was done; when it returns, its own record settles the task";
    TaskNotLost "TASK_NOT_LOST" Conflict "only a lost task can be settled by hand";
    NodeBusy "NODE_BUSY" Conflict "the task stays queued until a slot is free";
    StaleEpoch "STALE_EPOCH" Conflict "nothing to do: the task was given to somebody else";
    NotTheRunner "NOT_THE_RUNNER" NotAllowed "only the node that was assigned the task may report on it";
    SpecInvalid "SPEC_INVALID" Invalid "correct the task's specification as the message says";
    Unsigned "UNSIGNED" NotAllowed "sign the request with `cortex task sign`";
    EnvelopeTooLarge "ENVELOPE_TOO_LARGE" Invalid "keep the signed request within 24 KiB";
    EnvelopeMalformed "ENVELOPE_MALFORMED" Invalid "make the request with `cortex task sign`; its bytes must not be changed";
    EnvelopeHeader "ENVELOPE_HEADER" Invalid "the envelope is of another type or algorithm than is expected here";
    KeyUnknown "KEY_UNKNOWN" NotAllowed "the signing key is not trusted here; `cortex doctor` shows the keys that are";
    KeyNotValid "KEY_NOT_VALID" NotAllowed "the signing key is outside its validity or purpose";
    KeyRevoked "KEY_REVOKED" NotAllowed "the signing key was revoked; sign with a current one";
    KeyWeak "KEY_WEAK" Invalid "make a new key; this one is of small order or malformed";
    SignatureInvalid "SIGNATURE_INVALID" NotAllowed "the bytes were changed, or signed for another cluster or purpose";
    ClaimsInvalid "CLAIMS_INVALID" Invalid "the signed claims do not parse; make the request with `cortex task sign`";
    NotYetValid "NOT_YET_VALID" NotAllowed "compare the clocks of signer and verifier";
    Expired "EXPIRED" TimedOut "sign the request anew";
    LifetimeTooLong "LIFETIME_TOO_LONG" Invalid "sign for at most 30 days";
    WrongAudience "WRONG_AUDIENCE" NotAllowed "the request was signed for somebody else";
    AssignmentMismatch "ASSIGNMENT_MISMATCH" NotAllowed "request and assignment do not belong together";
    CertificateInvalid "CERTIFICATE_INVALID" NotAllowed "hand in every certificate between the signing key and the root; `cortex key ls` shows them";
    GrantsExceeded "GRANTS_EXCEEDED" NotAllowed "ask for less, or have more granted by whoever asks";
    ChainInvalid "CHAIN_INVALID" NotAllowed "the tasks that asked for one another do not belong together; `cortex task chain` shows them";
    RosterStale "ROSTER_STALE" Unavailable "the node must reach the registry to learn which keys are out of use";
    InviteUnknown "INVITE_UNKNOWN" NotFound "ask for a new line with `cortex invite`";
    InviteExpired "INVITE_EXPIRED" TimedOut "ask for a new line with `cortex invite`";
    InviteUsed "INVITE_USED" NotAllowed "somebody else redeemed it; tell whoever invited you, and ask for a new line";
    PossessionUnproven "POSSESSION_UNPROVEN" NotAllowed "sign the key set with every key in it";
    PrincipalNotFound "PRINCIPAL_NOT_FOUND" NotFound "`cortex key ls` shows who is enrolled";
    PrincipalTaken "PRINCIPAL_TAKEN" Conflict "choose another name; this one belongs to other keys";
    PrincipalOut "PRINCIPAL_OUT" NotAllowed "this principal was evicted or banned; ask an admin";
    ManifestExceedsInvite "MANIFEST_EXCEEDS_INVITE" NotAllowed "advertise only what the invite allowed, or ask for another invite";
    TokenInvalid "TOKEN_INVALID" NotAllowed "make a new token with `cortex token create`";
    CommandNotFound "COMMAND_NOT_FOUND" NotFound "the program is not on the node's PATH";
    CommandNotExecutable "COMMAND_NOT_EXECUTABLE" Invalid "the file is not executable on the node";
    CwdMissing "CWD_MISSING" NotFound "the working directory does not exist on the node";
    PropertyNotEnforced "PROPERTY_NOT_ENFORCED" Denied "the node cannot enforce what the task requires; choose another node";
    CredentialUnknown "CREDENTIAL_UNKNOWN" NotFound "`cortex agent show NODE -o json` lists the names in the node's manifest";
    CredentialUnavailable "CREDENTIAL_UNAVAILABLE" Unavailable "the node could not get the credential from where its manifest says; the message says why";
    UnsupportedKind "UNSUPPORTED_KIND" Invalid "this node cannot run tasks of that kind";
    NodeDraining "NODE_DRAINING" Conflict "the node is shutting down; the task goes elsewhere";
    JournalFailed "JOURNAL_FAILED" Broken "the node cannot write its record and takes no tasks; check its disk";
    RunInterrupted "RUN_INTERRUPTED" Unavailable "the node went down in the middle of the run; look at what it did before submitting anew";
    StorageFull "STORAGE_FULL" Unavailable "the stream reached its limit; close the generation or raise max_bytes";
    StorageUnconfirmed "STORAGE_UNCONFIRMED" Unavailable "the broker did not confirm the write in time; send the same command id again";
    NotTheWriter "NOT_THE_WRITER" Unavailable "another instance took over; send the same command id again";
    Unreachable "UNREACHABLE" Unavailable "nobody answers; is `cortex up` running?";
    TimedOut "TIMED_OUT" TimedOut "no answer in time; send the same command id again";
    PermissionDenied "PERMISSION_DENIED" NotAllowed "the broker does not let this principal use that subject";
    LogRegressed "LOG_REGRESSED" Broken "the log went back behind what was acknowledged; restore it or open a new generation";
    LogDamaged "LOG_DAMAGED" Broken "a frame does not continue the chain; nothing was folded from it on";
    StreamDrift "STREAM_DRIFT" Broken "a stream's settings differ from what Cortex needs; the details name each";
    BrokerTooOld "BROKER_TOO_OLD" Broken "use nats-server 2.12.15 or newer, in a cluster 2.14.5 or newer";
    BrokerNotDurable "BROKER_NOT_DURABLE" Broken "set `sync_interval: always` in the broker's jetstream block";
    ProjectionRefused "PROJECTION_REFUSED" Broken "somebody else writes the bucket; run `cortex rebuild`";
    AlreadyRunning "ALREADY_RUNNING" Conflict "`cortex status` shows it; `cortex down` stops it";
    NotRunning "NOT_RUNNING" Unavailable "start it with `cortex up`";
    ConfigInvalid "CONFIG_INVALID" Invalid "correct the named setting";
    Internal "INTERNAL" Broken "this is a bug; the service's log has the details";
}

impl ErrorCode {
    /// The code that a name means.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| de::Error::custom(format!("{name} is no error code")))
    }
}

impl JsonSchema for ErrorCode {
    fn schema_name() -> Cow<'static, str> {
        "ErrorCode".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = Self::ALL.iter().map(|code| code.as_str()).collect();
        json_schema!({ "type": "string", "enum": names })
    }
}
