//! Delegation: requests that ask for one another, from the one that a principal made in its own name.
//!
//! **Invariant:** no request of a chain may do, reach or last more than the one before it allows.
//! **Invariant:** a request is signed by the node that was to run the one before it, as the scheduler
//! signed, and keeps the name in which the first one asked.

use schemas::{
    ErrorCode, PrincipalId, TaskId,
    claims::{AssignmentClaims, Audience, RequestClaims},
    grants::{CHAIN_LENGTH_MAX, Excess},
};

use crate::{
    CLOCK_SKEW_S,
    error::EnvelopeError,
    kind::{
        ASSIGNMENT_LIFETIME_MAX_S, Assignment, Kind, REQUEST_LIFETIME_MAX_S, Request, check_within,
    },
    verify::{Signed, Trust, Verified},
};

/// A request that asked for the next one, and the assignment to the node that did so.
#[derive(Clone, Copy, Debug)]
pub struct ChainLink<'a> {
    /// The signed request.
    pub request: &'a [u8],
    /// The signed assignment of it.
    pub assignment: &'a [u8],
}

/// Why requests are no chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error("the request came without those that asked for it")]
    Missing,
    #[error("no task asked for the request, yet {count} requests came with it")]
    Surplus { count: usize },
    #[error("{length} requests ask for one another, the limit is {CHAIN_LENGTH_MAX}")]
    TooLong { length: usize },
    #[error("request {place} of the chain does not count")]
    Request {
        place: usize,
        #[source]
        cause: Box<EnvelopeError>,
    },
    #[error("assignment {place} of the chain does not count")]
    Assignment {
        place: usize,
        #[source]
        cause: Box<EnvelopeError>,
    },
    #[error("the first request of the chain names {parent} as the task that asked for it")]
    NotTheFirst { parent: TaskId },
    #[error("task {task} names another task than {before} as the one that asked for it")]
    NotTheParent { task: TaskId, before: TaskId },
    #[error("task {task} was given to {node}, yet {issuer} signed the next request")]
    OtherNode { task: TaskId, node: PrincipalId, issuer: PrincipalId },
    #[error("task {task} asks in another name than the first one")]
    OtherSubject { task: TaskId },
    #[error("when task {task} was asked for, the one before it was not valid or not given yet")]
    NotThen { task: TaskId },
    #[error("task {task} outlives the one that asked for it")]
    Outlives { task: TaskId },
}

impl ChainError {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Request { cause, .. } if cause.code() == ErrorCode::GrantsExceeded => {
                ErrorCode::GrantsExceeded
            }
            Self::Missing
            | Self::Surplus { .. }
            | Self::TooLong { .. }
            | Self::Request { .. }
            | Self::Assignment { .. }
            | Self::NotTheFirst { .. }
            | Self::NotTheParent { .. }
            | Self::OtherNode { .. }
            | Self::OtherSubject { .. }
            | Self::NotThen { .. }
            | Self::Outlives { .. } => ErrorCode::ChainInvalid,
        }
    }
}

/// Verifies the requests that led to `request`, the first one first, and returns them. Keys are
/// judged as of now: what a revoked key signed does not count, whenever that was.
///
/// [`crate::Unverified::with_chain`] does so too, and [`Verified::ancestors`] has what it found.
///
/// # Errors
///
/// `GRANTS_EXCEEDED` where one asks for more than the one before it allows, otherwise
/// `CHAIN_INVALID`.
pub fn verify_chain(
    request: &Verified<Request>,
    ancestors: &[ChainLink<'_>],
    trust: Trust<'_>,
) -> Result<Vec<Verified<Request>>, EnvelopeError> {
    let (count, length) = (ancestors.len(), ancestors.len().saturating_add(1));
    if CHAIN_LENGTH_MAX < length {
        return Err(ChainError::TooLong { length }.into());
    }
    if request.claims().parent.is_none() && 0 < count {
        return Err(ChainError::Surplus { count }.into());
    }
    let mut chain: Vec<Verified<Request>> = Vec::with_capacity(count);
    let mut given: Option<AssignmentClaims> = None;
    for (index, link) in ancestors.iter().enumerate() {
        let place = index + 1;
        let bad = |cause| ChainError::Request { place, cause: Box::new(cause) };
        let next = read_request(link.request, trust).map_err(bad)?;
        check_step(chain.last().zip(given.as_ref()), &next)?;
        let bad = |cause| ChainError::Assignment { place, cause: Box::new(cause) };
        given = Some(read_assignment(link.assignment, &next, trust).map_err(bad)?);
        chain.push(next);
    }
    check_step(chain.last().zip(given.as_ref()), request)?;
    Ok(chain)
}

/// What every request must satisfy, whoever looks at it and whenever that is.
fn read_request(envelope: &[u8], trust: Trust<'_>) -> Result<Verified<Request>, EnvelopeError> {
    let signed = Signed::<Request>::read(envelope, trust, REQUEST_LIFETIME_MAX_S)?;
    signed.times.check_lifetime(Request::LIFETIME_MAX_S)?;
    signed.believe()
}

/// The assignment of `request`; a run may last much longer than the two minutes in which it starts.
fn read_assignment(
    envelope: &[u8],
    request: &Verified<Request>,
    trust: Trust<'_>,
) -> Result<AssignmentClaims, EnvelopeError> {
    let signed = Signed::<Assignment>::read(envelope, trust, REQUEST_LIFETIME_MAX_S)?;
    signed.times.check_lifetime(ASSIGNMENT_LIFETIME_MAX_S)?;
    let claims = signed.claims;
    if claims.task != *request.task() {
        return Err(EnvelopeError::AssignmentMismatch { what: "task" });
    }
    if claims.request_hash != request.envelope_hash() {
        return Err(EnvelopeError::AssignmentMismatch { what: "request" });
    }
    if let Audience::Node(node) = &request.claims().audience
        && *node != claims.node
    {
        let (audience, recipient) = (format!("node {node}"), format!("node {}", claims.node));
        return Err(EnvelopeError::Audience { audience, recipient });
    }
    Ok(claims)
}

/// One step: whether `next` may follow, first after nothing.
fn check_step(
    before: Option<(&Verified<Request>, &AssignmentClaims)>,
    next: &Verified<Request>,
) -> Result<(), EnvelopeError> {
    let Some((parent, given)) = before else {
        return match next.claims().parent.clone() {
            Some(parent) => Err(ChainError::NotTheFirst { parent }.into()),
            None => Ok(()),
        };
    };
    check_descent(parent, given, next)?;
    check_times(parent.claims(), given, next)?;
    let granted = &parent.claims().grants;
    check_within(granted, next.claims(), next.spec())?;
    // The next task counts too, besides all that it may ask for.
    let tasks = next.claims().grants.tasks_max;
    if granted.tasks_max <= tasks {
        let entry = tasks.saturating_add(1).to_string();
        return Err(Excess { kind: "tasks_max", entry }.into());
    }
    Ok(())
}

fn check_descent(
    parent: &Verified<Request>,
    given: &AssignmentClaims,
    next: &Verified<Request>,
) -> Result<(), ChainError> {
    let task = next.task().clone();
    let RequestClaims { issuer, subject, parent: named, .. } = next.claims();
    if named.as_ref() != Some(parent.task()) {
        return Err(ChainError::NotTheParent { task, before: parent.task().clone() });
    }
    if *issuer != given.node {
        let (task, node, issuer) = (given.task.clone(), given.node.clone(), issuer.clone());
        return Err(ChainError::OtherNode { task, node, issuer });
    }
    if *subject != parent.claims().subject {
        return Err(ChainError::OtherSubject { task });
    }
    Ok(())
}

/// The parent was valid and given to its node when the next one was signed, and ends no sooner.
fn check_times(
    parent: &RequestClaims,
    given: &AssignmentClaims,
    next: &Verified<Request>,
) -> Result<(), ChainError> {
    let (task, signed_at_s) = (next.task().clone(), next.claims().issued_at_s);
    let then_s = signed_at_s.saturating_add(CLOCK_SKEW_S);
    let valid = parent.not_before_s <= then_s && signed_at_s < parent.expires_at_s;
    if !valid || then_s < given.issued_at_s {
        return Err(ChainError::NotThen { task });
    }
    if parent.expires_at_s < next.claims().expires_at_s {
        return Err(ChainError::Outlives { task });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
