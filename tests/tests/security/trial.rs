//! Tries something on a connection and says what the broker denied of it.
//!
//! The broker answers in order: when it denies a subject that is forbidden to everybody, it has
//! denied or let through all that came before. So nothing here waits for silence.

use std::time::Duration;

use anyhow::{Context, Result};
use client::Client;
use schemas::{ErrorCode, Fault};
use tokio::time::timeout;

/// No role may publish here.
const FORBIDDEN: &str = "forbidden.to.everybody";
/// A denial comes within milliseconds; a loaded machine is slow.
const DEADLINE: Duration = Duration::from_secs(20);

/// What can be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    /// Saying something.
    Publish(String),
    /// Hearing something.
    Subscribe(String),
    /// Sharing what is heard with others.
    Join(String),
}

impl Trial {
    pub(crate) fn subject(&self) -> &str {
        match self {
            Self::Publish(subject) | Self::Subscribe(subject) | Self::Join(subject) => subject,
        }
    }

    async fn carry_out(&self, client: &Client) -> Result<()> {
        let (nats, subject) = (client.nats(), self.subject().to_owned());
        match self {
            // Without an inbox, as what is allowed would make others answer.
            Self::Publish(_) => nats.publish(subject, "{}".into()).await?,
            Self::Subscribe(_) => drop(nats.subscribe(subject).await?),
            Self::Join(_) => drop(nats.queue_subscribe(subject, "shared".into()).await?),
        }
        Ok(())
    }
}

pub(crate) fn publish(subjects: &[&str]) -> Vec<Trial> {
    subjects.iter().map(|subject| Trial::Publish((*subject).to_owned())).collect()
}

/// Alone and in a queue group.
pub(crate) fn subscribe(subjects: &[&str]) -> Vec<Trial> {
    let both = |subject: &&str| {
        [Trial::Subscribe((*subject).to_owned()), Trial::Join((*subject).to_owned())]
    };
    subjects.iter().flat_map(both).collect()
}

/// What the broker denies of what `attempt` does.
pub(crate) async fn denied<F: Future<Output = Result<()>>>(
    client: &Client,
    attempt: impl FnOnce() -> F,
) -> Result<Vec<Fault>> {
    let mut denials = client.denials();
    attempt().await?;
    client.nats().publish(FORBIDDEN, "".into()).await?;
    let mut found = Vec::new();
    loop {
        let fault = timeout(DEADLINE, denials.next()).await.context("nothing was denied")?;
        if fault.details["subject"] == FORBIDDEN {
            return Ok(found);
        }
        found.push(fault);
    }
}

/// Each trial is denied by name, and its sender with it.
pub(crate) async fn check_denied(client: &Client, trials: &[Trial]) -> Result<()> {
    for trial in trials {
        let faults = denied(client, || trial.carry_out(client)).await?;
        assert_eq!(faults.len(), 1, "{trial:?} brought {faults:?}");
        let fault = &faults[0];
        assert_eq!(fault.code, ErrorCode::PermissionDenied, "{trial:?}: {fault}");
        assert_eq!(fault.details["subject"], trial.subject(), "{trial:?}: {fault}");
        assert_eq!(fault.details["principal"], client.principal().as_str(), "{trial:?}");
        let named = fault.message.contains(client.principal().as_str());
        assert!(named && fault.message.contains(trial.subject()), "{fault}");
    }
    Ok(())
}

/// Each trial is let through.
pub(crate) async fn check_allowed(client: &Client, trials: &[Trial]) -> Result<()> {
    for trial in trials {
        let faults = denied(client, || trial.carry_out(client)).await?;
        assert!(faults.is_empty(), "{} may {trial:?}: {faults:?}", client.principal());
    }
    Ok(())
}
