//! Offers and cancels on their way to nodes.
//!
//! **Invariant:** nothing here is relied upon: whatever is lost is said again until the node asks
//! to start, or reports.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::Client;
use runtime::EffectContext;
use scheduler_core::{Dispatch, Effect};
use schemas::{
    PrincipalId, Timestamp,
    agent::{CancelOrder, NodeChannel, TaskOffer},
    claims::AssignmentClaims,
    subject,
};
use trust::{ASSIGNMENT_LIFETIME_MAX_S, SignError};

use crate::SchedulerTrust;

/// Carries out an effect.
pub(crate) async fn perform(
    client: &Client,
    trust: &SchedulerTrust,
    effect: Effect,
    context: &EffectContext,
) {
    match effect {
        Effect::Dispatch(dispatch) => {
            let node = dispatch.node.clone();
            match offer(trust, *dispatch, context) {
                Ok(offer) => send(client, &node, NodeChannel::Task, &offer).await,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, %node, "an assignment could not be signed");
                }
            }
        }
        Effect::SendCancel { task, node, epoch, by } => {
            let order = CancelOrder { task, epoch, by };
            send(client, &node, NodeChannel::Cancel, &order).await;
        }
    }
}

/// Signs an assignment and puts it together with its request.
pub(crate) fn offer(
    trust: &SchedulerTrust,
    dispatch: Dispatch,
    context: &EffectContext,
) -> Result<TaskOffer, SignError> {
    let Dispatch { task, node, epoch, attempt, request, request_hash } = dispatch;
    let issued_at_s = Timestamp(context.now_ms).seconds();
    let claims = AssignmentClaims {
        issuer: trust.issuer().clone(),
        issued_at_s,
        expires_at_s: issued_at_s + ASSIGNMENT_LIFETIME_MAX_S,
        task: task.clone(),
        request_hash,
        node,
        epoch,
        attempt,
        term: context.term,
    };
    let signed = trust::sign::<trust::Assignment>(&claims, trust.anchors().cluster(), trust.key())?;
    Ok(TaskOffer {
        task,
        epoch,
        request,
        assignment: STANDARD.encode(signed),
        certificates: Vec::new(),
        ancestors: Vec::new(),
    })
}

async fn send(
    client: &Client,
    node: &PrincipalId,
    channel: NodeChannel,
    message: &impl serde::Serialize,
) {
    let body = serde_json::to_vec(message).expect("messages are plain structs with text keys");
    let sent = client.nats().publish(subject::node(node, channel), body.into()).await;
    if let Err(error) = sent {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, %node, "a node could not be told; it is told again");
    }
}
