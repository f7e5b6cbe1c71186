//! The tasks that asked for one another, put together from what is in the state and in the buckets.
//!
//! **Invariant:** an assignment that is signed again says what it said: the same task, node, epoch and
//! term.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::Client;
use runtime::{RowReader, wall_clock_ms};
use scheduler_core::{Answer, ChainPage, Lineage, Link, Proof, SignedRequest};
use schemas::{
    ErrorCode, Fault, TaskId, Timestamp,
    agent::Ancestor,
    claims::AssignmentClaims,
    scheduler::{ChainAnswer, ChainLink, EnvelopeRow, SubmitAnswer, SubmitRequest, verb},
    subject::{Bucket, ServiceName},
    task::TaskView,
};
use trust::{ASSIGNMENT_LIFETIME_MAX_S, SignError};

use crate::{SchedulerTrust, pages, verifier::Verifier};

/// Requests that led to another one, and the certificates of those who signed any of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) ancestors: Vec<Ancestor>,
    pub(crate) certificates: Vec<String>,
}

/// Puts a chain together; what has left the state is in its bucket.
pub(crate) async fn gather(
    rows: &RowReader,
    trust: &SchedulerTrust,
    proofs: Vec<Proof>,
) -> Result<Chain, Fault> {
    let mut chain = Chain::default();
    for proof in proofs {
        let SignedRequest { envelope, certificates } = match &proof.request {
            Some(request) => request.clone(),
            None => stored(rows, &proof.task).await?,
        };
        let assignment = assign_again(trust, &proof).map_err(|error| error.to_fault())?;
        chain.ancestors.push(Ancestor { request: envelope, assignment });
        chain.certificates.extend(certificates);
    }
    chain.certificates.extend_from_slice(trust.certificates());
    chain.certificates = distinct(chain.certificates);
    Ok(chain)
}

/// Each text once, where it stands first.
pub(crate) fn distinct(mut texts: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    texts
}

/// Verifies a request with the tasks that led to it, and hands it in through the same door as
/// everybody.
pub(crate) async fn submit(
    (client, rows): (&Client, &RowReader),
    (trust, verifier): (&SchedulerTrust, &Verifier),
    lineage: Lineage,
) -> Result<Answer, Fault> {
    let Lineage { handed, proofs } = lineage;
    let chain = gather(rows, trust, proofs).await?;
    let submission = verifier.judge_chain(&handed, &chain, Timestamp(wall_clock_ms()))?;
    let envelope = submission.envelope.clone();
    verifier.remember(submission);
    let request = SubmitRequest {
        envelope: Some(envelope.clone()),
        certificates: handed.certificates,
        rendering: None,
    };
    let asked: Result<SubmitAnswer, Fault> =
        client.request(ServiceName::Scheduler, verb::SUBMIT, &request).await;
    verifier.forget(&envelope);
    asked.map(Answer::Submitted)
}

/// The chain as it is answered; a record that is in no bucket yet is left out.
pub(crate) async fn read(rows: &RowReader, page: ChainPage) -> Result<Answer, Fault> {
    let ancestors = links(rows, page.ancestors).await?;
    let children = links(rows, page.children).await?;
    Ok(Answer::ChainRead(ChainAnswer { ancestors, children }))
}

async fn links(rows: &RowReader, found: Vec<Link>) -> Result<Vec<ChainLink>, Fault> {
    let (mut views, mut missing) = (Vec::new(), Vec::new());
    for (place, link) in found.into_iter().enumerate() {
        match link {
            Link::Whole(view) => views.push(*view),
            Link::Kept(kept) => missing.push((place, *kept)),
        }
    }
    let read = pages::read_all(rows, missing).await?;
    pages::insert(&mut views, read);
    Ok(views.into_iter().map(link).collect())
}

fn link(view: TaskView) -> ChainLink {
    ChainLink {
        task: view.id,
        state: view.state,
        issuer: view.issuer,
        subject: view.subject,
        audience: view.audience,
        node: view.node,
        grants: view.grants,
        summary: view.spec.work.summary(),
    }
}

async fn stored(rows: &RowReader, task: &TaskId) -> Result<SignedRequest, Fault> {
    let row = rows.get(Bucket::Envelopes, task.as_str()).await?.ok_or_else(|| {
        let message = format!("the request of task {task} is not in its bucket");
        let fault = Fault::new(ErrorCode::Unreachable, message);
        fault.with_hint("ask again in a moment; `cortex rebuild cortex_envelopes` makes it anew")
    })?;
    let row: EnvelopeRow = serde_json::from_str(row.get()).map_err(|error| {
        let message = format!("the request of task {task} cannot be read: {error}");
        Fault::new(ErrorCode::ProjectionRefused, message)
    })?;
    Ok(SignedRequest { envelope: row.envelope, certificates: row.certificates })
}

fn assign_again(trust: &SchedulerTrust, proof: &Proof) -> Result<String, SignError> {
    // A key that was certified since must not sign for a time before that.
    let issued_at_s = proof.assigned_at.seconds().max(trust.valid_from_s());
    let claims = AssignmentClaims {
        issuer: trust.issuer().clone(),
        issued_at_s,
        expires_at_s: issued_at_s + ASSIGNMENT_LIFETIME_MAX_S,
        task: proof.task.clone(),
        request_hash: proof.request_hash,
        node: proof.node.clone(),
        epoch: proof.epoch,
        attempt: proof.attempt,
        term: proof.term,
    };
    let signed = trust::sign::<trust::Assignment>(&claims, trust.anchors().cluster(), trust.key())?;
    Ok(STANDARD.encode(signed))
}
