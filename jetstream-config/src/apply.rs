//! Makes the streams on the broker as they should be.
//!
//! **Invariant:** nothing that is stored is given up unless the caller says [`Destructive::Allowed`],
//! and a record's never.

use std::{collections::BTreeMap, time::Duration};

use async_nats::Client;
use schemas::{ErrorCode, Fault};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    backoff::Backoff,
    plan::{Change, Difference, plan},
    streams::{Settings, Wanted},
    wire::{self, CallError, STREAM_NOT_FOUND},
};

/// How long the broker may be unable to answer before giving up, in milliseconds: a cluster that
/// starts elects a leader within 10 s.
const PATIENCE_MS: u64 = 30_000;
/// JetStream's codes for what passes: a cluster that is not ready yet, and a store that cannot be made
/// because the one that was just deleted is still being cleared away.
const NOT_READY: [u64; 4] = [10_004, 10_008, 10_009, 10_049];

/// Whether changes may lose what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destructive {
    /// They are left undone and told.
    Withheld,
    /// They are made, except to a record that cannot be mended.
    Allowed,
}

/// What was done, by name of the stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// Streams that did not exist.
    pub created: Vec<String>,
    /// Streams whose settings were changed without losing anything.
    pub updated: Vec<String>,
    /// Streams that hold less now, or were made anew.
    pub destroyed: Vec<String>,
    /// Streams that have more room than is wanted and keep it, since nothing else was allowed.
    pub withheld: BTreeMap<String, Vec<Difference>>,
}

/// Why the streams are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Settings differ that cannot be set, or only by losing what is stored.
    #[error("{}", drift_text(.0))]
    Drift(BTreeMap<String, Vec<Difference>>),
    /// The broker refused a change.
    #[error("{attempt} {stream} was refused: {description} ({code})")]
    Refused {
        /// What was attempted, for example `creating`.
        attempt: &'static str,
        /// Name of the stream.
        stream: String,
        /// JetStream's error code.
        code: u64,
        /// JetStream's words.
        description: String,
    },
    /// The broker did not answer.
    #[error("{attempt} {stream} failed")]
    Unavailable {
        /// What was attempted.
        attempt: &'static str,
        /// Name of the stream.
        stream: String,
        /// What the client said.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ApplyError {
    /// The error as users see it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Drift(streams) => {
                let texts = |list: &Vec<Difference>| list.iter().map(ToString::to_string).collect();
                let details: BTreeMap<&str, Vec<String>> =
                    streams.iter().map(|(name, list)| (name.as_str(), texts(list))).collect();
                Fault::new(ErrorCode::StreamDrift, self.to_string()).with_details(json!(details))
            }
            Self::Refused { .. } => Fault::new(ErrorCode::StreamDrift, self.to_string()),
            Self::Unavailable { .. } => Fault::new(ErrorCode::StorageUnconfirmed, self.to_string()),
        }
    }
}

fn drift_text(streams: &BTreeMap<String, Vec<Difference>>) -> String {
    let stream = |(name, list): (&String, &Vec<Difference>)| {
        let list: Vec<_> = list.iter().map(ToString::to_string).collect();
        format!("{name}: {}", list.join(", "))
    };
    streams.iter().map(stream).collect::<Vec<_>>().join("; ")
}

#[derive(Deserialize)]
struct StreamAnswer {
    config: Settings,
}

/// The settings of those of the streams called `names` that exist, by name.
///
/// # Errors
///
/// [`ApplyError::Unavailable`] when the broker does not answer.
pub async fn read_settings(
    client: &Client,
    names: impl IntoIterator<Item = &str>,
) -> Result<BTreeMap<String, Settings>, ApplyError> {
    let mut found = BTreeMap::new();
    for name in names {
        let request = Request { attempt: "reading the settings of", verb: "INFO", stream: name };
        match request.send(client, &json!({})).await {
            Ok(settings) => {
                found.insert(name.to_owned(), settings);
            }
            Err(ApplyError::Refused { code: STREAM_NOT_FOUND, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Makes the streams on the broker as `wanted`. When a difference cannot be made good, nothing at all
/// is changed.
///
/// # Errors
///
/// See [`ApplyError`].
pub async fn apply(
    client: &Client,
    wanted: &[Wanted],
    destructive: Destructive,
) -> Result<Applied, ApplyError> {
    let actual = read_settings(client, wanted.iter().map(Wanted::name)).await?;
    let changes = plan(wanted, &actual);
    let drifted: BTreeMap<_, _> =
        changes.iter().filter_map(|change| unmendable(change, destructive)).collect();
    if !drifted.is_empty() {
        return Err(ApplyError::Drift(drifted));
    }
    let mut applied = Applied::default();
    for change in changes {
        make(client, change, destructive, &mut applied).await?;
    }
    Ok(applied)
}

fn unmendable(change: &Change, destructive: Destructive) -> Option<(String, Vec<Difference>)> {
    match (change, destructive) {
        (Change::Drift { stream, differences }, _)
        | (Change::Recreate { stream, differences, .. }, Destructive::Withheld) => {
            Some((stream.clone(), differences.clone()))
        }
        (
            Change::Create { .. }
            | Change::Update { .. }
            | Change::Shrink { .. }
            | Change::Recreate { .. },
            Destructive::Withheld | Destructive::Allowed,
        ) => None,
    }
}

async fn make(
    client: &Client,
    change: Change,
    destructive: Destructive,
    applied: &mut Applied,
) -> Result<(), ApplyError> {
    match change {
        Change::Create { settings } => applied.created.push(create(client, settings).await?),
        Change::Update { stream, settings, .. } => {
            update(client, &stream, settings).await?;
            applied.updated.push(stream);
        }
        Change::Shrink { stream, differences, settings } => match destructive {
            Destructive::Withheld => {
                applied.withheld.insert(stream, differences);
            }
            Destructive::Allowed => {
                update(client, &stream, settings).await?;
                applied.destroyed.push(stream);
            }
        },
        Change::Recreate { stream, settings, .. } => {
            delete(client, &stream).await?;
            applied.destroyed.push(create(client, settings).await?);
        }
        Change::Drift { stream, differences } => {
            return Err(ApplyError::Drift(BTreeMap::from([(stream, differences)])));
        }
    }
    Ok(())
}

async fn create(client: &Client, settings: Settings) -> Result<String, ApplyError> {
    let name = settings.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let request = Request { attempt: "creating", verb: "CREATE", stream: &name };
    request.send(client, &Value::Object(settings)).await?;
    Ok(name)
}

async fn update(client: &Client, stream: &str, settings: Settings) -> Result<(), ApplyError> {
    let request = Request { attempt: "changing", verb: "UPDATE", stream };
    request.send(client, &Value::Object(settings)).await.map(drop)
}

async fn delete(client: &Client, stream: &str) -> Result<(), ApplyError> {
    let request = Request { attempt: "deleting", verb: "DELETE", stream };
    match request.ask::<Value>(client, &json!({})).await {
        Ok(_) | Err(ApplyError::Refused { code: STREAM_NOT_FOUND, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// One request about one stream. All of them can be repeated: JetStream answers a second creation
/// with the same settings as it did the first.
struct Request<'a> {
    attempt: &'static str,
    verb: &'static str,
    stream: &'a str,
}

impl Request<'_> {
    async fn send(&self, client: &Client, body: &Value) -> Result<Settings, ApplyError> {
        self.ask::<StreamAnswer>(client, body).await.map(|answer| answer.config)
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        client: &Client,
        body: &Value,
    ) -> Result<T, ApplyError> {
        let verb = format!("STREAM.{}.{}", self.verb, self.stream);
        let deadline = Instant::now() + Duration::from_millis(PATIENCE_MS);
        let mut backoff = Backoff::new();
        loop {
            match wire::ask(client, &verb, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) if deadline < Instant::now() || !may_pass(&error) => {
                    return Err(self.failed(error));
                }
                Err(_) => backoff.wait().await,
            }
        }
    }

    fn failed(&self, error: CallError) -> ApplyError {
        let (attempt, stream) = (self.attempt, self.stream.to_owned());
        match error {
            CallError::Refused(refusal) => ApplyError::Refused {
                attempt,
                stream,
                code: refusal.err_code,
                description: refusal.description,
            },
            CallError::Disconnected
            | CallError::NoResponders { .. }
            | CallError::TimedOut { .. }
            | CallError::Client { .. }
            | CallError::Lost { .. }
            | CallError::Unreadable { .. }
            | CallError::Malformed { .. } => {
                ApplyError::Unavailable { attempt, stream, cause: Box::new(error) }
            }
        }
    }
}

fn may_pass(error: &CallError) -> bool {
    match error {
        CallError::Disconnected | CallError::NoResponders { .. } | CallError::TimedOut { .. } => {
            true
        }
        CallError::Refused(refusal) => NOT_READY.contains(&refusal.err_code),
        CallError::Client { .. }
        | CallError::Lost { .. }
        | CallError::Unreadable { .. }
        | CallError::Malformed { .. } => false,
    }
}
