//! A service that writes down what it is told, hosted in this process with a door of its own.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use decider::{Decided, Decider, Moment, Recorded};
use jetstream_config::JetStreamLog;
use runtime::{
    Ask, AskAbout, Beat, Caller, CommandOf, Committed, EffectContext, EffectOf, EventOf, Lines,
    ObservationOf, Partition, PositionFile, Request, Role, Row, Service, Stage, StateOf,
    wall_clock_ms,
};
use schemas::{
    CommandId, Fault, PrincipalId, Sha256Hash, Timestamp,
    subject::{Bucket, LogName, ServiceName},
};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

/// How long a command may be repeated, as clients set it, in milliseconds.
const LIFE_MS: u64 = 10_000;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Event {
    Noted { text: String },
}

pub(crate) enum Core {}

impl Decider for Core {
    type Command = String;
    type Query = ();
    type Answer = u64;
    type Event = Event;
    type State = u64;
    type Facts = ();
    type Observation = ();
    type Rejection = Fault;
    type Effect = ();

    fn decide(state: &u64, text: &String, (): &()) -> Result<Decided<Self>, Fault> {
        Ok(Decided { events: vec![Event::Noted { text: text.clone() }], answer: state + 1 })
    }

    fn answer(state: &u64, (): &(), (): &()) -> Result<u64, Fault> {
        Ok(*state)
    }

    fn evolve(state: &mut u64, _: &Event, _: &Recorded) {
        *state += 1;
    }

    fn react(_: &u64, _: &Event) -> Vec<()> {
        Vec::new()
    }

    fn resume(_: &u64) -> Vec<()> {
        Vec::new()
    }

    fn tell((): &mut (), _: Moment) {}

    fn observe(_: &u64, (): &mut (), (): ()) {}

    fn due(_: &u64, (): &()) -> Vec<String> {
        Vec::new()
    }
}

/// Borrows the registry's name, for services are a closed list.
pub(crate) struct Journal;

impl Service for Journal {
    type Core = Core;
    const NAME: ServiceName = ServiceName::Registry;
    const VERBS: &'static [&'static str] = &["note"];
    const BUCKETS: &'static [Bucket] = &[];
    const STATE_SCHEMA: u32 = 1;

    fn read(&self, _: &str, body: &[u8], _: &Caller) -> Result<Request<Core>, Fault> {
        schemas::strict::parse(body).map(Request::Command)
    }

    fn verb(_: &CommandOf<Self>) -> &'static str {
        "note"
    }

    fn about(_: &EventOf<Self>) -> (&'static str, &str) {
        ("note", "any")
    }

    fn project(_: &StateOf<Self>, _: &EventOf<Self>) -> Vec<Row> {
        Vec::new()
    }

    async fn perform(&self, (): EffectOf<Self>, _: &EffectContext) {}

    fn hear(&self, _: &str, _: &[u8], _: u64) -> Result<ObservationOf<Self>, Fault> {
        Ok(())
    }
}

/// Where this process's tasks hand requests to the loop.
pub(crate) struct Door {
    lines: watch::Receiver<Option<Lines<Journal>>>,
}

impl Door {
    /// Has a text of `bytes` written down.
    pub(crate) async fn note(&self, bytes: usize) -> Result<()> {
        let lines = self.lines.borrow().clone().context("nobody writes")?;
        let (reply, answer) = oneshot::channel();
        let about = AskAbout {
            principal: PrincipalId::parse("bench")?,
            verb: "note",
            command_id: Some(CommandId::parse(&format!("{:032x}", rand::random::<u128>()))?),
            not_after: Some(Timestamp(wall_clock_ms() + LIFE_MS)),
            hash: Sha256Hash::ZERO,
            trace: None,
        };
        let ask = Ask { request: Request::Command("x".repeat(bytes)), about, reply };
        lines.asks.send(ask).await.map_err(|_| anyhow!("the loop is gone"))?;
        answer.await.context("no answer")?.map(drop).context("noting")
    }
}

struct InProcess {
    lines: watch::Sender<Option<Lines<Journal>>>,
}

impl Stage<Journal> for InProcess {
    type Serving = ();

    fn connected(&self) -> bool {
        true
    }

    fn beat(&self, _: &Beat) {}

    async fn next_beat(&self, _: Duration) -> Option<Beat> {
        None
    }

    async fn somebody_writes(&self) -> bool {
        false
    }

    async fn serve(&self, lines: Lines<Journal>, _: Beat) -> Result<(), Fault> {
        self.lines.send_replace(Some(lines));
        Ok(())
    }

    fn announce(&self, _: &Committed) {}
}

/// Starts the service and waits until it writes.
pub(crate) async fn journal_process(
    client: async_nats::Client,
    directory: PathBuf,
) -> Result<Arc<Door>> {
    let name = LogName::first(ServiceName::Registry);
    let (lines, mut opened) = watch::channel(None);
    let partition = Partition {
        service: Arc::new(Journal),
        name,
        log: JetStreamLog::new(client, name),
        stage: InProcess { lines },
        instance: PrincipalId::parse("bench")?.instance(rand::random()),
        position: PositionFile::in_directory(&directory, name),
        snapshots: None,
        companion: None,
        role: watch::channel(Role::Standby).0,
    };
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        // Kept until the process ends: dropping it would ask the partition to stop.
        let _stop = stop;
        partition.run(stopped).await
    });
    opened.wait_for(Option::is_some).await.context("the partition ended")?;
    Ok(Arc::new(Door { lines: opened }))
}
