//! Offers and cancels on their way to nodes.
//!
//! **Invariant:** nothing here is relied upon: whatever is lost is said again until the node asks
//! to start, or reports.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::Client;
use runtime::{EffectContext, RowReader};
use scheduler_core::{Dispatch, Effect};
use schemas::{
    PrincipalId, Timestamp,
    agent::{CancelOrder, NodeChannel, TaskOffer},
    claims::AssignmentClaims,
    subject,
};
use trust::{ASSIGNMENT_LIFETIME_MAX_S, SignError};

use crate::{
    SchedulerTrust,
    chain::{self, Chain},
};

/// Carries out an effect.
pub(crate) async fn perform(
    client: &Client,
    (trust, rows): (&SchedulerTrust, &RowReader),
    effect: Effect,
    context: &EffectContext,
) {
    match effect {
        Effect::Dispatch(mut dispatch) => {
            let node = dispatch.node.clone();
            let chain = match std::mem::take(&mut dispatch.ancestors) {
                none if none.is_empty() => Ok(Chain::default()),
                proofs => chain::gather(rows, trust, proofs).await,
            };
            let signed = chain.and_then(|chain| {
                offer(trust, *dispatch, (chain, context)).map_err(|error| error.to_fault())
            });
            match signed {
                Ok(offer) => send(client, &node, NodeChannel::Task, &offer).await,
                Err(fault) => tracing::error!(%fault, %node, "an offer could not be made"),
            }
        }
        Effect::SendCancel { task, node, epoch, by } => {
            let order = CancelOrder { task, epoch, by };
            send(client, &node, NodeChannel::Cancel, &order).await;
        }
    }
}

/// Signs an assignment and puts it together with its request, and with everything that its node
/// needs to believe both.
pub(crate) fn offer(
    trust: &SchedulerTrust,
    dispatch: Dispatch,
    (chain, context): (Chain, &EffectContext),
) -> Result<TaskOffer, SignError> {
    let Dispatch { task, node, epoch, attempt, request, request_hash, mut certificates, .. } =
        dispatch;
    certificates.extend(chain.certificates);
    certificates.extend_from_slice(trust.certificates());
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
        certificates: chain::distinct(certificates),
        ancestors: chain.ancestors,
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
