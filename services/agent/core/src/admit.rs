//! From the bytes of an offer to work that this node may do, or to the reason why not.
//!
//! **Invariant:** what an [`Admission`] says comes from signed bytes alone; the rendering beside
//! them is never looked at here.

use schemas::{
    ErrorCode, Fault, InstanceId, PrincipalId, Sha256Hash, TaskId, Timestamp,
    claims::RequestClaims, permission, task::TaskSpec,
};
use trust::{
    Assignment, AssignmentFacts, ChainLink, Recipient, Request, Trust, Unverified, Verified,
};

use crate::{Accepted, Delegation, Profile, ReceivedAncestor, ReceivedOffer, RunKey};

/// Work that is signed by whom it must be and that this node may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Which task, by which assignment.
    pub key: RunKey,
    /// Counts the task's runs.
    pub attempt: u32,
    /// Partition of the scheduler that assigned it.
    pub partition: u32,
    /// Who signed the request.
    pub issuer: PrincipalId,
    /// The user it is for.
    pub subject: PrincipalId,
    /// SHA-256 of the signed request.
    pub request_hash: Sha256Hash,
    /// When the assignment ends; it must not be admitted again until then.
    pub assigned_until: Timestamp,
    /// W3C `traceparent` of the request.
    pub trace: Option<String>,
    /// What the run may ask for in its turn; nothing when absent.
    pub delegation: Option<Delegation>,
    /// What is to be done.
    pub spec: TaskSpec,
}

/// Verifies both signatures of an offer and judges it by what this node allows.
///
/// # Errors
///
/// Names the first step that fails: those of the trust crate for the request and the tasks that led
/// to it, then for the assignment, then `TASK_NOT_PERMITTED`, `WRONG_AUDIENCE`, `UNSUPPORTED_KIND` and
/// `PROPERTY_NOT_ENFORCED`.
pub fn admit(offer: &ReceivedOffer, profile: &Profile, now: Timestamp) -> Result<Admission, Fault> {
    let trust = Trust { anchors: &profile.anchors, now };
    let capabilities = profile.capabilities();
    let recipient = Recipient::Node { id: profile.id(), capabilities: &capabilities };
    let links: Vec<ChainLink<'_>> = offer.ancestors.iter().map(ReceivedAncestor::link).collect();
    let request = Unverified::with_chain(&offer.request, &links)
        .verify::<Request>(trust, &recipient)
        .map_err(|error| error.to_fault())?;
    let facts = AssignmentFacts { node: profile.id(), request: &request };
    let assignment = Unverified::new(&offer.assignment)
        .verify::<Assignment>(trust, &facts)
        .map_err(|error| error.to_fault())?;
    check_permission(profile, &request.claims().issuer)?;
    check_labels(profile, request.spec())?;
    check_kind(profile, request.spec())?;
    check_properties(profile, request.spec())?;
    Ok(admission(&request, &assignment))
}

fn admission(request: &Verified<Request>, assignment: &Verified<Assignment>) -> Admission {
    let (asked, given) = (request.claims(), assignment.claims());
    Admission {
        key: RunKey { task: given.task.clone(), epoch: given.epoch },
        attempt: given.attempt,
        partition: asked.partition,
        issuer: asked.issuer.clone(),
        subject: asked.subject.clone(),
        request_hash: request.envelope_hash(),
        assigned_until: Timestamp::from_seconds(given.expires_at_s + trust::CLOCK_SKEW_S),
        trace: asked.trace.clone(),
        delegation: delegation(asked),
        spec: request.spec().clone(),
    }
}

fn delegation(asked: &RequestClaims) -> Option<Delegation> {
    let delegation = Delegation { grants: asked.grants.clone(), until_s: asked.expires_at_s };
    (!asked.grants.is_nothing()).then_some(delegation)
}

/// The issuer's own manifest is the scheduler's business; this node's side is the node's own.
fn check_permission(profile: &Profile, issuer: &PrincipalId) -> Result<(), Fault> {
    let denials = permission::denials(profile.asker(issuer), profile.as_target());
    let Some(denial) = denials.first() else { return Ok(()) };
    let message = denial.explain(issuer, profile.id());
    Err(Fault::new(ErrorCode::TaskNotPermitted, message))
}

fn check_labels(profile: &Profile, spec: &TaskSpec) -> Result<(), Fault> {
    let held = &profile.manifest.labels;
    let missing = spec.labels.iter().find(|(key, value)| held.get(*key) != Some(value));
    let Some((key, value)) = missing else { return Ok(()) };
    let message = format!("the task is for nodes with the label {key}={value}, which this lacks");
    Err(Fault::new(ErrorCode::WrongAudience, message))
}

fn check_kind(profile: &Profile, spec: &TaskSpec) -> Result<(), Fault> {
    let Some(needed) = spec.work.capability() else { return Ok(()) };
    let able = profile
        .capabilities()
        .iter()
        .any(|held| schemas::Capability::parse(needed).is_ok_and(|needed| held.covers(&needed)));
    if able {
        return Ok(());
    }
    let kind = spec.work.kind();
    let message = format!("a {kind} needs {needed}, which this node's manifest does not name");
    Err(Fault::new(ErrorCode::UnsupportedKind, message))
}

fn check_properties(profile: &Profile, spec: &TaskSpec) -> Result<(), Fault> {
    let report = &profile.sandbox;
    let unmet: Vec<String> = spec
        .properties
        .iter()
        .filter(|property| !report.enforces(**property))
        .map(|property| format!("{property} is {}", report.level(*property).as_str()))
        .collect();
    if unmet.is_empty() {
        return Ok(());
    }
    let message =
        format!("the task requires what this node does not enforce: {}", unmet.join(", "));
    Err(Fault::new(ErrorCode::PropertyNotEnforced, message))
}

impl Admission {
    /// Which task.
    #[must_use]
    pub fn task(&self) -> &TaskId {
        &self.key.task
    }

    pub(crate) fn into_accepted(self, instance: InstanceId, at: Timestamp) -> Accepted {
        Accepted {
            task: self.key.task,
            epoch: self.key.epoch,
            attempt: self.attempt,
            partition: self.partition,
            instance,
            at,
            assigned_until: self.assigned_until,
            issuer: self.issuer,
            subject: self.subject,
            request_hash: self.request_hash,
            trace: self.trace,
            delegation: self.delegation,
            spec: self.spec,
        }
    }
}
