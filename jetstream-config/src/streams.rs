//! The streams that Cortex keeps its record in, as data files that the plain `nats` CLI takes too.
//!
//! **Invariant:** what a stream holds is decided by its file in `streams/`; code fills in only its
//! name, its subject, its replicas and what only a single server can do.

use schemas::subject::{LogName, ServiceName, streams_of};
use serde_json::{Map, Value, json};

use crate::buckets;

/// The settings of a stream, named as JetStream names them.
pub type Settings = Map<String, Value>;

const EVENTS: &str = include_str!("../streams/CORTEX_EVENTS.json");
const OUTPUT: &str = include_str!("../streams/CORTEX_OUTPUT.json");
const BLOBS: &str = include_str!("../streams/CORTEX_BLOBS.json");

/// Setting that lets a server acknowledge before it has written; only without replicas.
const PERSIST_MODE: &str = "persist_mode";
/// Setting that bounds a stream's size.
const MAX_BYTES: &str = "max_bytes";

/// How many servers hold each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Replicas {
    /// A single server.
    #[default]
    One,
    /// A cluster that survives the loss of one server.
    Three,
    /// A cluster that survives the loss of two servers.
    Five,
}

impl Replicas {
    /// The number of them.
    #[must_use]
    pub fn count(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Three => 3,
            Self::Five => 5,
        }
    }

    /// The replicas that a number means.
    #[must_use]
    pub fn of(count: u8) -> Option<Self> {
        [Self::One, Self::Three, Self::Five].into_iter().find(|some| some.count() == count)
    }
}

/// Whether what a stream holds can be done without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is the record itself; nobody may take anything from it.
    Record,
    /// It can be made anew, or is kept only for a while.
    Disposable,
}

/// A stream as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Whether it may be made anew.
    pub role: Role,
    /// Every setting that matters; the name is among them.
    pub settings: Settings,
}

impl Wanted {
    /// The stream's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.settings.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// The same stream with another bound, in bytes.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.settings.insert(MAX_BYTES.to_owned(), bytes.into());
        self
    }

    /// The stream that `file` describes, on as many servers as `replicas` says.
    pub(crate) fn of(file: &str, role: Role, replicas: Replicas) -> Self {
        let mut settings: Settings =
            serde_json::from_str(file).expect("a test parses every data file");
        settings.insert("num_replicas".to_owned(), replicas.count().into());
        if replicas != Replicas::One {
            settings.remove(PERSIST_MODE);
        }
        Self { role, settings }
    }
}

/// The event log of one partition of a service.
#[must_use]
pub fn event_log(name: LogName, replicas: Replicas) -> Wanted {
    let mut wanted = Wanted::of(EVENTS, Role::Record, replicas);
    wanted.settings.insert("name".to_owned(), name.stream().into());
    wanted.settings.insert("subjects".to_owned(), json!([name.subject()]));
    wanted
}

/// What tasks print.
#[must_use]
pub fn output(replicas: Replicas) -> Wanted {
    Wanted::of(OUTPUT, Role::Disposable, replicas)
}

/// Content-addressed chunks.
#[must_use]
pub fn blobs(replicas: Replicas) -> Wanted {
    Wanted::of(BLOBS, Role::Record, replicas)
}

/// All that a new installation needs: the first logs of every service, output, blobs and buckets.
#[must_use]
pub fn all(replicas: Replicas) -> Vec<Wanted> {
    let logs = ServiceName::ALL.map(|service| event_log(LogName::first(service), replicas));
    let rest = [output(replicas), blobs(replicas)];
    logs.into_iter().chain(rest).chain(buckets::all(replicas)).collect()
}

/// What one service needs, made as it should be.
#[must_use]
pub fn of(service: ServiceName, replicas: Replicas) -> Vec<Wanted> {
    let names = streams_of(service);
    let needed = |wanted: &Wanted| names.iter().any(|name| name == wanted.name());
    all(replicas).into_iter().filter(needed).collect()
}

/// The disk that JetStream sets aside for `wanted` on each server that holds them, in bytes.
#[must_use]
pub fn storage_bytes(wanted: &[Wanted]) -> u64 {
    let bytes = |wanted: &Wanted| wanted.settings.get(MAX_BYTES).and_then(Value::as_u64);
    wanted.iter().filter_map(bytes).sum()
}

#[cfg(test)]
mod tests;
