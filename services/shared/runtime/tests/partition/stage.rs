//! Surroundings in memory: processes that hear one another's beats, and a door for requests.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jetstream_config::{EventLog, twin::TwinLog};
use runtime::{
    Ask, AskAbout, Beat, Committed, Lines, Partition, PositionFile, Request, Said, Stage,
};
use schemas::{ErrorCode, Fault, PrincipalId, subject::LogName, subject::ServiceName};
use tokio::{
    sync::{broadcast, oneshot, watch},
    task::JoinHandle,
};

use crate::counter::{Add, Core, Counter, Effect, Sum, about};

/// How long an answer is waited for before the same command is sent again.
const PATIENCE: Duration = Duration::from_secs(60);

/// The doors of all processes: whoever writes has one open.
type Door = Arc<Mutex<Option<(u64, Lines<Counter>)>>>;

/// Several processes over one log.
pub(crate) struct World {
    pub(crate) log: TwinLog,
    door: Door,
    pub(crate) beats: broadcast::Sender<Beat>,
    pub(crate) performs: watch::Sender<bool>,
    performed: Arc<Mutex<Vec<Effect>>>,
    directory: tempfile::TempDir,
}

pub(crate) struct MemoryStage {
    connection: TwinLog,
    door: Door,
    beats: broadcast::Sender<Beat>,
}

pub(crate) struct Serving {
    door: Door,
    term: u64,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut door = self.door.lock().expect("nobody panics with the door in hand");
        if door.as_ref().is_some_and(|(term, _)| *term == self.term) {
            *door = None;
        }
    }
}

impl Stage<Counter> for MemoryStage {
    type Serving = Serving;

    fn connected(&self) -> bool {
        self.connection.connected()
    }

    fn beat(&self, beat: &Beat) {
        if self.connected() {
            drop(self.beats.send(beat.clone()));
        }
    }

    async fn next_beat(&self, within: Duration) -> Option<Beat> {
        let mut beats = self.beats.subscribe();
        tokio::time::timeout(within, beats.recv()).await.ok()?.ok()
    }

    async fn somebody_writes(&self) -> bool {
        self.door.lock().expect("nobody panics with the door in hand").is_some()
    }

    async fn serve(&self, lines: Lines<Counter>, beat: Beat) -> Result<Serving, Fault> {
        let mut door = self.door.lock().expect("nobody panics with the door in hand");
        *door = Some((beat.term, lines));
        Ok(Serving { door: Arc::clone(&self.door), term: beat.term })
    }

    fn announce(&self, _: &Committed) {}
}

/// A process that takes part.
pub(crate) struct Process {
    pub(crate) connection: TwinLog,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) running: JoinHandle<Result<(), runtime::PartitionError>>,
}

impl World {
    pub(crate) fn new(log: TwinLog) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (door, performed) = (Door::default(), Arc::default());
        let (beats, performs) = (broadcast::channel(64).0, watch::Sender::new(true));
        Self { log, door, beats, performs, performed, directory }
    }

    /// Starts a process named `name`.
    pub(crate) fn start(&self, name: &str) -> Process {
        let connection = self.log.another_connection();
        let stage = MemoryStage {
            connection: connection.clone(),
            door: Arc::clone(&self.door),
            beats: self.beats.clone(),
        };
        let log_name = LogName::first(ServiceName::Registry);
        let partition = Partition {
            service: Arc::new(Counter {
                performed: Arc::clone(&self.performed),
                performs: self.performs.subscribe(),
            }),
            name: log_name,
            log: connection.clone(),
            stage,
            instance: PrincipalId::parse(name).expect("an id").instance(rand::random()),
            position: self.position(),
            snapshots: None,
            companion: None,
            role: watch::channel(runtime::Role::Standby).0,
        };
        let (stop, stopped) = watch::channel(false);
        Process { connection, stop, running: tokio::spawn(partition.run(stopped)) }
    }

    /// Adds `number` as the command `id`, asking again until somebody answers for certain.
    pub(crate) async fn add(&self, id: &str, number: u64) -> Result<Sum, Fault> {
        loop {
            match self.ask(Request::Command(Add(number)), about(id, number)).await {
                Err(fault) if fault.code == ErrorCode::NotTheWriter => {}
                Err(fault) if fault.code == ErrorCode::StorageFull => {}
                answer => return answer,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where the position is remembered.
    pub(crate) fn position(&self) -> PositionFile {
        PositionFile::in_directory(self.directory.path(), LogName::first(ServiceName::Registry))
    }

    /// What was performed so far.
    pub(crate) fn performed(&self) -> Vec<Effect> {
        self.performed.lock().expect("nobody panics with it in hand").clone()
    }

    /// The lines to whoever writes now.
    pub(crate) fn lines(&self) -> Option<Lines<Counter>> {
        let door = self.door.lock().expect("nobody panics with the door in hand").clone();
        door.map(|(_, lines)| lines)
    }

    /// Asks whoever writes, once.
    pub(crate) async fn ask(&self, request: Request<Core>, about: AskAbout) -> Result<Sum, Fault> {
        let nobody = || Fault::new(ErrorCode::NotTheWriter, "nobody writes");
        ask_at(self.lines().ok_or_else(nobody)?, request, about).await
    }
}

/// Asks over `lines`, once.
pub(crate) async fn ask_at(
    lines: Lines<Counter>,
    request: Request<Core>,
    about: AskAbout,
) -> Result<Sum, Fault> {
    let nobody = || Fault::new(ErrorCode::NotTheWriter, "nobody writes");
    let (reply, answer) = oneshot::channel();
    lines.asks.send(Ask { request, about, reply }).await.map_err(|_| nobody())?;
    // A writer that was cut off does not answer, and its door stays open.
    let answer = tokio::time::timeout(PATIENCE, answer).await.map_err(|_| nobody())?;
    match answer.map_err(|_| nobody())?? {
        Said::Recorded(body) => Ok(serde_json::from_str(body.get()).expect("a sum")),
        Said::Answer(sum) => Ok(sum),
        Said::Nothing => Err(nobody()),
    }
}
