//! Tells the registry of this node, again after every reconnect, until it agrees.

use std::time::Duration;

use client::{Client, LinkState};
use schemas::{
    Fault, protocol,
    registry::{RegisterAnswer, RegisterRequest, verb},
    subject::ServiceName,
};
use tokio::{
    sync::{oneshot, watch},
    time::sleep,
};

use crate::heartbeat::Complaint;

/// How long one attempt may take with the client's own retries.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Pause after an attempt that nobody answered.
const PAUSE_UNANSWERED: Duration = Duration::from_secs(1);
/// Pause after the registry said no: somebody has to change something first.
const PAUSE_REFUSED: Duration = Duration::from_secs(15);

/// Registers for as long as the node lives; the receiver tells what stands against it. Nothing is
/// said before `ready` is: whoever is registered is offered tasks.
pub(crate) fn start(
    client: Client,
    request: RegisterRequest,
    ready: oneshot::Receiver<()>,
) -> watch::Receiver<Complaint> {
    let (complaint, complaints) = watch::channel(None);
    tokio::spawn(async move {
        // Whoever would have said so is gone only when the node ends.
        drop(ready.await);
        tokio::select! {
            () = keep_registered(&client, &request, &complaint) => (),
            () = complaint.closed() => (),
        }
    });
    complaints
}

async fn keep_registered(
    client: &Client,
    request: &RegisterRequest,
    complaint: &watch::Sender<Complaint>,
) {
    let mut changes = client.on_change();
    loop {
        changes.borrow_and_update();
        register(client, request, complaint).await;
        // Whatever kept the old connection down may have made the registry forget, too.
        loop {
            if changes.changed().await.is_err() {
                return;
            }
            if *changes.borrow_and_update() == LinkState::Connected {
                break;
            }
        }
    }
}

async fn register(
    client: &Client,
    request: &RegisterRequest,
    complaint: &watch::Sender<Complaint>,
) {
    loop {
        let call = client.call(ServiceName::Registry, verb::REGISTER).deadline(ATTEMPT);
        let answer: Result<RegisterAnswer, Fault> = call.send(request).await;
        let checked = answer.and_then(|answer| {
            protocol::check_version(answer.protocol).map(|()| answer.agent.status)
        });
        match checked {
            Ok(status) => {
                tracing::info!(status = status.as_str(), "registered");
                complaint.send_replace(None);
                return;
            }
            Err(fault) if is_unanswered(&fault) => {
                tracing::debug!(%fault, "not registered yet");
                sleep(PAUSE_UNANSWERED + jitter()).await;
            }
            Err(fault) => {
                tracing::warn!(%fault, hint = fault.hint, "the registry refuses this node");
                complaint.send_replace(Some(format!("not registered: {fault}")));
                sleep(PAUSE_REFUSED + jitter()).await;
            }
        }
    }
}

fn is_unanswered(fault: &Fault) -> bool {
    [schemas::FaultClass::Unavailable, schemas::FaultClass::TimedOut].contains(&fault.code.class())
}

fn jitter() -> Duration {
    Duration::from_millis(rand::random_range(0..500))
}
