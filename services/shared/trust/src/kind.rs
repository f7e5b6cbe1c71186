//! The kinds of envelope: what each is called, who may sign it, and what it must satisfy.
//!
//! **Invariant:** a kind's checks see only claims whose signature was verified.

mod standing;

use schemas::{
    Audience, Capability, ErrorCode, Fault, PrincipalId, TaskId,
    claims::{ASSIGNMENT_TYPE, AssignmentClaims, REQUEST_TYPE, RequestClaims},
    grants::{Excess, Grants},
    protocol::{ASSIGNMENT_TTL, SPEC_BYTES_MAX},
    strict,
    task::TaskSpec,
};

pub use standing::{ORDER_LIFETIME_MAX_S, Order, ROSTER_BYTES_MAX, Roster, RosterError};

use crate::{
    cbor::ENVELOPE_BYTES_MAX,
    chain::{ChainError, ChainLink, verify_chain},
    claims::{self, ClaimsError, task_id},
    error::EnvelopeError,
    keys::Purpose,
    scanner::Scanned,
    times::Times,
    unambiguous::Unambiguous,
    verify::{Trust, Verified},
};

/// Longest life of a request, from issue to expiry.
pub const REQUEST_LIFETIME_MAX_S: u64 = 30 * 24 * 60 * 60;
/// Longest life of an assignment, from issue to expiry.
pub const ASSIGNMENT_LIFETIME_MAX_S: u64 = ASSIGNMENT_TTL.as_secs();

/// A kind of envelope. Nobody else can add one: each needs rules of its own here.
pub trait Kind: sealed::Sealed {
    /// What is signed.
    type Claims;
    /// What the verifier must know to judge the claims.
    type Facts<'a>;
    /// What follows from the claims.
    type Derived;

    /// The type in the header and under the signature.
    const TYPE: &'static str;
    /// The only purpose whose keys may sign it.
    const PURPOSE: Purpose;
    /// Longest life, from issue to expiry.
    const LIFETIME_MAX_S: u64;
    /// Largest envelope, in bytes.
    const BYTES_MAX: usize = ENVELOPE_BYTES_MAX;

    #[doc(hidden)]
    fn encode(claims: &Self::Claims) -> Vec<u8>;
    #[doc(hidden)]
    fn decode(payload: Payload<'_>) -> Result<Self::Claims, ClaimsError>;
    #[doc(hidden)]
    fn issuer(claims: &Self::Claims) -> &PrincipalId;
    #[doc(hidden)]
    fn subject(claims: &Self::Claims) -> &PrincipalId;
    #[doc(hidden)]
    fn times(claims: &Self::Claims) -> Times;
    #[doc(hidden)]
    fn check_recipient(claims: &Self::Claims, facts: &Self::Facts<'_>)
    -> Result<(), EnvelopeError>;
    #[doc(hidden)]
    fn derive(claims: &Self::Claims) -> Result<Self::Derived, EnvelopeError>;

    /// The task that asked, where one did; then its chain proves for whom this is.
    #[doc(hidden)]
    fn parent(_claims: &Self::Claims) -> Option<&TaskId> {
        None
    }

    /// Whether a key that is bounded may sign this. Bounds speak of requests alone.
    #[doc(hidden)]
    fn check_bounds(
        _claims: &Self::Claims,
        _derived: &Self::Derived,
        _bounds: &Grants,
    ) -> Result<(), EnvelopeError> {
        Err(EnvelopeError::Bounded { what: Self::TYPE })
    }

    /// Proves what the envelope alone does not.
    #[doc(hidden)]
    fn prove(
        verified: Verified<Self>,
        _ancestors: &[ChainLink<'_>],
        _trust: Trust<'_>,
    ) -> Result<Verified<Self>, EnvelopeError>
    where
        Self: Sized,
    {
        Ok(verified)
    }
}

/// Scanned payload; opaque outside of this crate.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a>(pub(crate) Scanned<'a>);

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Request {}
    impl Sealed for super::Assignment {}
    impl Sealed for super::Order {}
    impl Sealed for super::Roster {}
}

/// A request: its issuer wants a task done.
#[derive(Debug)]
pub enum Request {}

/// Who looks at a request.
#[derive(Clone, Copy, Debug)]
pub enum Recipient<'a> {
    /// The scheduler's writer of one partition, which serves every audience.
    Scheduler {
        /// Its partition.
        partition: u32,
    },
    /// A node that is about to run the task.
    Node {
        /// Its id.
        id: &'a PrincipalId,
        /// What it can do.
        capabilities: &'a [Capability],
    },
}

/// What a verified request means.
#[derive(Clone, Debug)]
pub struct RequestMeaning {
    pub(crate) task: TaskId,
    pub(crate) spec: TaskSpec,
    pub(crate) ancestors: Vec<Verified<Request>>,
}

impl Kind for Request {
    type Claims = RequestClaims;
    type Facts<'a> = Recipient<'a>;
    type Derived = RequestMeaning;

    const TYPE: &'static str = REQUEST_TYPE;
    const PURPOSE: Purpose = Purpose::TaskIssuer;
    const LIFETIME_MAX_S: u64 = REQUEST_LIFETIME_MAX_S;

    fn encode(claims: &RequestClaims) -> Vec<u8> {
        claims::encode_request(claims)
    }

    fn decode(payload: Payload<'_>) -> Result<RequestClaims, ClaimsError> {
        claims::decode_request(payload.0)
    }

    fn issuer(claims: &RequestClaims) -> &PrincipalId {
        &claims.issuer
    }

    fn subject(claims: &RequestClaims) -> &PrincipalId {
        &claims.subject
    }

    fn times(claims: &RequestClaims) -> Times {
        let RequestClaims { issued_at_s, not_before_s, expires_at_s, .. } = *claims;
        Times { issued_at_s, not_before_s, expires_at_s }
    }

    fn check_recipient(
        claims: &RequestClaims,
        recipient: &Recipient<'_>,
    ) -> Result<(), EnvelopeError> {
        let (meant, audience, recipient) = match recipient {
            Recipient::Scheduler { partition } => (
                claims.partition == *partition,
                format!("partition {}", claims.partition),
                format!("partition {partition}"),
            ),
            Recipient::Node { id, capabilities } => (
                is_meant(&claims.audience, id, capabilities),
                claims.audience.to_string(),
                format!("node {id}"),
            ),
        };
        if meant { Ok(()) } else { Err(EnvelopeError::Audience { audience, recipient }) }
    }

    fn derive(claims: &RequestClaims) -> Result<RequestMeaning, EnvelopeError> {
        let spec = parse_spec(&claims.spec_json).map_err(EnvelopeError::Spec)?;
        let task = task_id(&claims.issuer, &claims.nonce);
        Ok(RequestMeaning { task, spec, ancestors: Vec::new() })
    }

    fn parent(claims: &RequestClaims) -> Option<&TaskId> {
        claims.parent.as_ref()
    }

    fn check_bounds(
        claims: &RequestClaims,
        derived: &RequestMeaning,
        bounds: &Grants,
    ) -> Result<(), EnvelopeError> {
        check_within(bounds, claims, &derived.spec)
    }

    fn prove(
        mut verified: Verified<Self>,
        ancestors: &[ChainLink<'_>],
        trust: Trust<'_>,
    ) -> Result<Verified<Self>, EnvelopeError> {
        if verified.claims().parent.is_some() && ancestors.is_empty() {
            return Err(ChainError::Missing.into());
        }
        let ancestors = verify_chain(&verified, ancestors, trust)?;
        verified.set_ancestors(ancestors);
        Ok(verified)
    }
}

/// Whether a request asks for no more than `granted`; how many tasks is for whoever counts them.
pub(crate) fn check_within(
    granted: &Grants,
    claims: &RequestClaims,
    spec: &TaskSpec,
) -> Result<(), EnvelopeError> {
    granted.permit_audience(&claims.audience)?;
    granted.permit_credentials(&spec.credentials)?;
    granted.permit_grants(&claims.grants)?;
    match granted.until_s {
        Some(until_s) if until_s < claims.expires_at_s => {
            let entry = claims.expires_at_s.to_string();
            Err(Excess { kind: "until_s", entry }.into())
        }
        Some(_) | None => Ok(()),
    }
}

fn parse_spec(text: &str) -> Result<TaskSpec, Fault> {
    let spec: TaskSpec = strict::parse_within(text.as_bytes(), SPEC_BYTES_MAX)?;
    serde_json::from_str::<Unambiguous>(text)
        .map_err(|error| Fault::new(ErrorCode::SpecInvalid, error.to_string()))?;
    spec.validate()?;
    Ok(spec)
}

fn is_meant(audience: &Audience, id: &PrincipalId, capabilities: &[Capability]) -> bool {
    match audience {
        Audience::Node(node) => node == id,
        Audience::Can(wanted) => capabilities.iter().any(|capability| capability.covers(wanted)),
    }
}

/// An assignment: the scheduler gives one request to one node.
#[derive(Debug)]
pub enum Assignment {}

/// What a node holds an assignment against.
#[derive(Clone, Copy, Debug)]
pub struct AssignmentFacts<'a> {
    /// The node that looks at it.
    pub node: &'a PrincipalId,
    /// The request that came with it.
    pub request: &'a Verified<Request>,
}

impl Kind for Assignment {
    type Claims = AssignmentClaims;
    type Facts<'a> = AssignmentFacts<'a>;
    type Derived = ();

    const TYPE: &'static str = ASSIGNMENT_TYPE;
    const PURPOSE: Purpose = Purpose::Scheduler;
    const LIFETIME_MAX_S: u64 = ASSIGNMENT_LIFETIME_MAX_S;

    fn encode(claims: &AssignmentClaims) -> Vec<u8> {
        claims::encode_assignment(claims)
    }

    fn decode(payload: Payload<'_>) -> Result<AssignmentClaims, ClaimsError> {
        claims::decode_assignment(payload.0)
    }

    fn issuer(claims: &AssignmentClaims) -> &PrincipalId {
        &claims.issuer
    }

    /// A scheduler assigns in its own name; for whom the task is stands in the request.
    fn subject(claims: &AssignmentClaims) -> &PrincipalId {
        &claims.issuer
    }

    fn times(claims: &AssignmentClaims) -> Times {
        let AssignmentClaims { issued_at_s, expires_at_s, .. } = *claims;
        Times { issued_at_s, not_before_s: issued_at_s, expires_at_s }
    }

    fn check_recipient(
        claims: &AssignmentClaims,
        facts: &AssignmentFacts<'_>,
    ) -> Result<(), EnvelopeError> {
        if claims.node != *facts.node {
            let audience = format!("node {}", claims.node);
            let recipient = format!("node {}", facts.node);
            return Err(EnvelopeError::Audience { audience, recipient });
        }
        if claims.task != *facts.request.task() {
            return Err(EnvelopeError::AssignmentMismatch { what: "task" });
        }
        if claims.request_hash != facts.request.envelope_hash() {
            return Err(EnvelopeError::AssignmentMismatch { what: "request" });
        }
        Ok(())
    }

    fn derive(_claims: &AssignmentClaims) -> Result<(), EnvelopeError> {
        Ok(())
    }
}
