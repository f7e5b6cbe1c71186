//! Every subject, stream and bucket name: built here and parsed here, nowhere else.
//!
//! **Invariant:** what varies in a subject is an id or a number, so no input can add a token.

use std::fmt;

use crate::{PrincipalId, TaskId, agent::NodeChannel};

/// Prefix of every inbox that a principal may receive answers on.
pub const INBOX_PREFIX: &str = "_INBOX";

/// The services that take commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceName {
    /// Who is in the fleet.
    Registry,
    /// What runs where.
    Scheduler,
}

impl ServiceName {
    /// All of them, in start order.
    pub const ALL: [Self; 2] = [Self::Registry, Self::Scheduler];

    /// The word that stands in subjects and on command lines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Scheduler => "scheduler",
        }
    }

    /// The service that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.as_str() == word)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A partition of a service's log, in one of its generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName {
    /// Whose log.
    pub service: ServiceName,
    /// Which hash bucket.
    pub partition: u32,
    /// Counted from 1.
    pub generation: u32,
}

impl LogName {
    /// The first generation of the only partition.
    #[must_use]
    pub fn first(service: ServiceName) -> Self {
        Self { service, partition: 0, generation: 1 }
    }

    /// The stream that holds it, for example `CORTEX_EVENTS_registry_0_1`.
    #[must_use]
    pub fn stream(&self) -> String {
        format!("CORTEX_EVENTS_{}_{}_{}", self.service, self.partition, self.generation)
    }

    /// The one subject of that stream.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("cortex.evt.{}.{}.{}", self.service, self.partition, self.generation)
    }
}

/// What the inboxes of a principal begin with; the broker lets nobody else hear them.
#[must_use]
pub fn inbox_prefix(principal: &PrincipalId) -> String {
    format!("{INBOX_PREFIX}.{principal}")
}

/// Whether answers may go to a subject: an inbox, whoever's. The broker does not check where an answer
/// is sent to, so anybody could aim one at a subject that only its sender may use.
#[must_use]
pub fn is_inbox(subject: &str) -> bool {
    let rest = subject.strip_prefix(INBOX_PREFIX).and_then(|rest| rest.strip_prefix('.'));
    rest.is_some_and(|rest| !rest.is_empty())
}

/// Whether a subject is an inbox of a principal.
#[must_use]
pub fn is_inbox_of(principal: &PrincipalId, subject: &str) -> bool {
    let rest = subject.strip_prefix(&inbox_prefix(principal));
    rest.is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
}

/// Where a principal asks `service` to do `verb`.
#[must_use]
pub fn command(principal: &PrincipalId, service: ServiceName, verb: &str) -> String {
    format!("cortex.cmd.{principal}.{service}.{verb}")
}

/// Where a service hears `verb` from anybody.
#[must_use]
pub fn command_endpoint(service: ServiceName, verb: &str) -> String {
    format!("cortex.cmd.*.{service}.{verb}")
}

/// The principal that a command subject names, as the broker has let it through.
#[must_use]
pub fn command_principal(subject: &str) -> Option<PrincipalId> {
    let token = subject.strip_prefix("cortex.cmd.")?.split('.').next()?;
    PrincipalId::parse(token).ok()
}

/// Where the writer of a partition answers who it is.
#[must_use]
pub fn writer(service: ServiceName, partition: u32) -> String {
    format!("cortex.writer.{service}.{partition}")
}

/// Where the writer of a partition shows that it lives.
#[must_use]
pub fn writer_beat(service: ServiceName, partition: u32) -> String {
    format!("cortex.beat.{service}.{partition}")
}

/// Where one committed event is announced; `kind` and `id` come from the event.
#[must_use]
pub fn feed(service: ServiceName, kind: &str, id: &str) -> String {
    format!("cortex.ev.{service}.{kind}.{id}")
}

/// Where all committed events of a service are announced.
#[must_use]
pub fn feed_of(service: ServiceName) -> String {
    format!("cortex.ev.{service}.>")
}

/// Where a service says how far its log is committed, and nothing of what is in it: whoever may not
/// hear all events learns from it when to ask for those that they may see.
#[must_use]
pub fn head(service: ServiceName) -> String {
    format!("cortex.head.{service}")
}

/// Where the control plane speaks to a node.
#[must_use]
pub fn node(node: &PrincipalId, channel: NodeChannel) -> String {
    format!("cortex.node.{node}.{}", channel.as_str())
}

/// Everything that the control plane says to a node.
#[must_use]
pub fn node_all(node: &PrincipalId) -> String {
    format!("cortex.node.{node}.*")
}

/// Where a node shows that it lives.
#[must_use]
pub fn heartbeat(node: &PrincipalId) -> String {
    format!("cortex.hb.{node}")
}

/// Everybody's heartbeats.
pub const HEARTBEATS: &str = "cortex.hb.*";

/// Where a node puts the output of a task.
#[must_use]
pub fn output(node: &PrincipalId, task: &TaskId) -> String {
    format!("cortex.out.{node}.{task}")
}

/// Where the output of a task comes, whichever node runs it.
#[must_use]
pub fn output_of(task: &TaskId) -> String {
    format!("cortex.out.*.{task}")
}

/// Where one chunk of a blob is kept.
#[must_use]
pub fn blob(chunk: &crate::Sha256Hash) -> String {
    format!("cortex.blob.{chunk}")
}

/// Where the registry says that there is a new roster, and nothing of what is in it:
/// [`crate::agent::RosterNotice`].
pub const ROSTER: &str = "cortex.roster";

/// Where every server of the broker tells its version and whether it syncs; its configuration imports
/// this from the system account.
pub const BROKER_STATUS: &str = "cortex.broker.jetstream";

/// Stream of task output.
pub const OUTPUT_STREAM: &str = "CORTEX_OUTPUT";
/// Stream of content-addressed chunks.
pub const BLOB_STREAM: &str = "CORTEX_BLOBS";

/// Every stream that a service reads or writes.
#[must_use]
pub fn streams_of(service: ServiceName) -> Vec<String> {
    let log = LogName::first(service).stream();
    let buckets = Bucket::ALL.into_iter().filter(|bucket| bucket.written_by() == service);
    let shared = match service {
        ServiceName::Registry => vec![BLOB_STREAM],
        // It shows what tasks print to whoever may see them.
        ServiceName::Scheduler => vec![BLOB_STREAM, OUTPUT_STREAM],
    };
    let shared = shared.into_iter().map(str::to_owned);
    std::iter::once(log).chain(buckets.map(Bucket::stream)).chain(shared).collect()
}

/// Views of the state that the plain tools can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Agents and their manifests, by id.
    Agents,
    /// Principals with their keys, by id.
    Principals,
    /// Tasks, live and for a while finished, by id.
    Tasks,
    /// Signed requests of those tasks, by task id.
    Envelopes,
    /// Last heartbeats; soft state, not made from the log.
    Presence,
}

impl Bucket {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Agents, Self::Principals, Self::Tasks, Self::Envelopes, Self::Presence];

    /// The bucket's name, for example `cortex_agents`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agents => "cortex_agents",
            Self::Principals => "cortex_principals",
            Self::Tasks => "cortex_tasks",
            Self::Envelopes => "cortex_envelopes",
            Self::Presence => "cortex_presence",
        }
    }

    /// The bucket that a name means.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bucket| bucket.as_str() == name)
    }

    /// The stream behind it, for example `KV_cortex_agents`.
    #[must_use]
    pub fn stream(self) -> String {
        format!("KV_{}", self.as_str())
    }

    /// The one service that writes it.
    #[must_use]
    pub fn written_by(self) -> ServiceName {
        match self {
            Self::Agents | Self::Principals | Self::Presence => ServiceName::Registry,
            Self::Tasks | Self::Envelopes => ServiceName::Scheduler,
        }
    }

    /// Whose log the bucket is made from; soft state has none.
    #[must_use]
    pub fn projected_by(self) -> Option<ServiceName> {
        match self {
            Self::Agents | Self::Principals => Some(ServiceName::Registry),
            Self::Tasks | Self::Envelopes => Some(ServiceName::Scheduler),
            Self::Presence => None,
        }
    }
}
