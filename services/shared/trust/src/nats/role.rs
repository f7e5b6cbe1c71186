//! What each role may say and hear on the broker: the one table that templates are made from.
//!
//! **Invariant:** nodes and people have no part in JetStream: a server delivers stored bytes to
//! whatever reply subject a reader names, so reading is a way to speak in another's name.
//! **Invariant:** nobody may publish on the command subjects of another principal.

use std::fmt;

use schemas::{
    PrincipalId, registry,
    subject::{
        BLOB_STREAM, BROKER_STATUS, Bucket, HEARTBEATS, LogName, ROSTER, ServiceName, feed_of,
        head, streams_of,
    },
};

/// What the broker replaces by the name in the user's JWT, which is the principal.
const SELF: &str = "{{name()}}";
/// How far the logs of all services are committed.
const HEADS: &str = "cortex.head.*";
/// Subscriptions of a node or a person: a few for itself, one for each thing it waits for.
const SUBSCRIPTIONS_MAX: i32 = 1_024;
const SUBSCRIPTIONS_UNLIMITED: i32 = -1;
/// A connection that asks one thing: its inbox, and room for a second try.
const SUBSCRIPTIONS_OF_ERRAND_MAX: i32 = 4;
/// What the name of whoever holds an invite begins with; the invite follows.
const INVITED_PREFIX: &str = "invite-";
/// Hexadecimal digits of an invite.
const INVITE_DIGITS: usize = 32;
/// How long a node may take to answer a ping, in milliseconds.
const RESPONSE_WITHIN_MS: u64 = 5_000;

/// As what a principal logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A machine that runs tasks.
    Node,
    /// Somebody who asks for tasks.
    Person,
    /// Somebody who reads everything and changes nothing.
    Auditor,
    /// Somebody who keeps the broker in order.
    Admin,
    /// What asks for those who come over HTTP.
    Gateway,
    /// Somebody who was invited and may do nothing but redeem the invite; the name is
    /// `invite-` and the invite.
    Enroller,
    /// A principal that may do nothing but get a new JWT.
    Renewer,
    /// A service; its principal has its name.
    Service(ServiceName),
}

/// What a role may do. Subjects may hold wildcards, and `{{name()}}` for the principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Subjects that may be published on.
    pub publish: Vec<String>,
    /// Subjects that may be subscribed to.
    pub subscribe: Vec<String>,
    /// What may be answered on the reply subjects of messages that were heard.
    pub responses: Option<Responses>,
    /// How many subscriptions one connection may have; -1 is any number.
    pub subscriptions_max: i32,
}

/// A leave to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Responses {
    /// How often.
    pub max: u32,
    /// For how long after the message, in milliseconds.
    pub within_ms: u64,
}

/// The principal must not have the role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{principal} cannot be a {role}: a service's name is that service's, an invite's the invited one's"
)]
pub struct NameNotAllowed {
    principal: PrincipalId,
    role: Role,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Node,
        Self::Person,
        Self::Auditor,
        Self::Admin,
        Self::Gateway,
        Self::Enroller,
        Self::Renewer,
        Self::Service(ServiceName::Registry),
        Self::Service(ServiceName::Scheduler),
    ];

    /// The word for it in files; a service's is its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Person => "person",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
            Self::Gateway => "gateway",
            Self::Enroller => "enroller",
            Self::Renewer => "renewer",
            Self::Service(service) => service.as_str(),
        }
    }

    /// The role that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Whether a principal of that name may have the role. Who had a service's name in another role
    /// could ask in that service's name, and who had an invite's could redeem it.
    pub(super) fn admit(self, principal: &PrincipalId) -> Result<(), NameNotAllowed> {
        let named = ServiceName::parse(principal.as_str());
        let invited = is_invited(principal);
        let fits = match self {
            Self::Service(service) => named == Some(service),
            Self::Node | Self::Person | Self::Auditor | Self::Admin | Self::Gateway => {
                named.is_none() && !invited
            }
            Self::Enroller => invited,
            Self::Renewer => !invited,
        };
        let refused = || NameNotAllowed { principal: principal.clone(), role: self };
        if fits { Ok(()) } else { Err(refused()) }
    }

    /// What the role may do.
    #[must_use]
    pub fn permissions(self) -> Permissions {
        match self {
            Self::Node => node(),
            Self::Person => person(),
            Self::Auditor => auditor(),
            Self::Admin => admin(),
            Self::Gateway => gateway(),
            Self::Enroller => errand(registry::verb::REDEEM),
            Self::Renewer => errand(registry::verb::RENEW),
            Self::Service(name) => service(name),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the name is that of somebody who holds an invite.
fn is_invited(principal: &PrincipalId) -> bool {
    let invite = principal.as_str().strip_prefix(INVITED_PREFIX);
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    invite.is_some_and(|it| it.len() == INVITE_DIGITS && it.bytes().all(hexadecimal))
}

/// One thing to ask of the registry, and the answer.
fn errand(verb: &str) -> Permissions {
    Permissions {
        publish: vec![format!("cortex.cmd.{SELF}.{}.{verb}", ServiceName::Registry)],
        subscribe: vec![inbox(SELF)],
        responses: None,
        subscriptions_max: SUBSCRIPTIONS_OF_ERRAND_MAX,
    }
}

fn node() -> Permissions {
    let publish = [commands(SELF), format!("cortex.hb.{SELF}"), format!("cortex.out.{SELF}.>")];
    let subscribe = [format!("cortex.node.{SELF}.>"), inbox(SELF), ROSTER.to_owned()];
    Permissions {
        publish: publish.into(),
        subscribe: subscribe.into(),
        responses: Some(Responses { max: 1, within_ms: RESPONSE_WITHIN_MS }),
        subscriptions_max: SUBSCRIPTIONS_MAX,
    }
}

fn person() -> Permissions {
    Permissions {
        publish: asking(SELF),
        subscribe: vec![inbox(SELF), HEADS.to_owned(), ROSTER.to_owned()],
        responses: None,
        subscriptions_max: SUBSCRIPTIONS_MAX,
    }
}

fn gateway() -> Permissions {
    let mut subscribe = person().subscribe;
    subscribe.push("cortex.ev.>".to_owned());
    Permissions { subscribe, subscriptions_max: SUBSCRIPTIONS_UNLIMITED, ..person() }
}

fn auditor() -> Permissions {
    let reads = [
        "INFO",
        "STREAM.NAMES",
        "STREAM.LIST",
        "STREAM.INFO.*",
        "STREAM.MSG.GET.*",
        "DIRECT.GET.*",
        "DIRECT.GET.*.>",
        "CONSUMER.CREATE.*",
        "CONSUMER.CREATE.*.>",
        "CONSUMER.NAMES.*",
        "CONSUMER.LIST.*",
        "CONSUMER.INFO.*.*",
        "CONSUMER.MSG.NEXT.*.*",
        "CONSUMER.DELETE.*.*",
    ];
    let reads = reads.map(|verb| format!("$JS.API.{verb}"));
    let publish = asking(SELF).into_iter().chain(reads).chain(delivery());
    Permissions {
        publish: publish.chain([BROKER_STATUS.to_owned()]).collect(),
        subscribe: watching(),
        responses: None,
        subscriptions_max: SUBSCRIPTIONS_UNLIMITED,
    }
}

fn admin() -> Permissions {
    let more = ["$JS.API.>", BROKER_STATUS].map(str::to_owned);
    let publish = asking(SELF).into_iter().chain(more).chain(delivery());
    let mut subscribe = watching();
    subscribe.push("$JS.EVENT.>".to_owned());
    Permissions {
        publish: publish.collect(),
        subscribe,
        responses: None,
        subscriptions_max: SUBSCRIPTIONS_UNLIMITED,
    }
}

fn service(name: ServiceName) -> Permissions {
    let (said, heard) = match name {
        ServiceName::Registry => (vec![ROSTER.to_owned()], vec![]),
        ServiceName::Scheduler => (
            ["cortex.node.*.task", "cortex.node.*.cancel"].map(str::to_owned).into(),
            [head(ServiceName::Registry), feed_of(name), "cortex.out.*.*".to_owned()].into(),
        ),
    };
    let among_writers = [format!("cortex.beat.{name}.*"), format!("cortex.writer.{name}.*")];
    let questions = ["$SRV.*".to_owned(), format!("$SRV.*.{name}"), format!("$SRV.*.{name}.*")];
    let notices = [HEARTBEATS, ROSTER].map(str::to_owned);
    let subscribe = [format!("cortex.cmd.*.{name}.>"), inbox(name.as_str())].into_iter();
    let publish = [
        commands(name.as_str()),
        // Answers: the names of inboxes are random, and only their owners hear them.
        "_INBOX.>".to_owned(),
        LogName::first(name).subject(),
        feed_of(name),
        head(name),
        BROKER_STATUS.to_owned(),
    ];
    let among = among_writers.clone().into_iter();
    Permissions {
        publish: publish.into_iter().chain(among).chain(said).chain(storage(name)).collect(),
        subscribe: subscribe
            .chain(notices)
            .chain(among_writers)
            .chain(questions)
            .chain(heard)
            .collect(),
        responses: None,
        subscriptions_max: SUBSCRIPTIONS_UNLIMITED,
    }
}

/// What a service stores and reads. It makes and changes no stream: whoever may change a stream may
/// have it take in, or send out, everything.
fn storage(name: ServiceName) -> impl Iterator<Item = String> {
    let rows = Bucket::ALL.into_iter().filter(move |bucket| bucket.written_by() == name);
    let rows = rows.map(|bucket| format!("$KV.{}.>", bucket.as_str()));
    let blobs = ["cortex.blob.*".to_owned(), format!("$JS.API.STREAM.PURGE.{BLOB_STREAM}")];
    let reads = streams_of(name).into_iter().flat_map(|stream| {
        ["STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET"]
            .map(|verb| format!("$JS.API.{verb}.{stream}"))
    });
    rows.chain(blobs).chain(reads)
}

fn commands(principal: &str) -> String {
    format!("cortex.cmd.{principal}.>")
}

fn inbox(principal: &str) -> String {
    format!("_INBOX.{principal}.>")
}

/// What whoever asks services may publish: commands, and who they are.
fn asking(principal: &str) -> Vec<String> {
    let questions = ["PING", "INFO", "STATS"]
        .into_iter()
        .flat_map(|word| [format!("$SRV.{word}"), format!("$SRV.{word}.>")]);
    let about_writers = "cortex.writer.*.*".to_owned();
    [commands(principal), about_writers].into_iter().chain(questions).collect()
}

/// What a consumer's reader has to send for more to come.
fn delivery() -> [String; 2] {
    ["$JS.ACK.>", "$JS.FC.>"].map(str::to_owned)
}

/// What whoever watches all of the fleet hears, beside answers.
fn watching() -> Vec<String> {
    let feeds = ["cortex.ev.>", HEADS, HEARTBEATS, ROSTER, "cortex.out.>"].map(str::to_owned);
    [inbox(SELF)].into_iter().chain(feeds).collect()
}
