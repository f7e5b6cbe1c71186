//! Keeps programs running, and stops them in reverse order.

use std::sync::{Arc, Mutex, PoisonError};

use schemas::{ErrorCode, Fault, PrincipalId};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    child::{Program, Stopped},
    denials::Denials,
    launch::BROKER,
    log,
    logins::Logins,
    record::{ProcessRecord, Record},
    restart::{Restarts, Verdict},
    stale,
};
use crate::{home::Home, output::note, signals};

/// What others can read about the processes, kept up to date.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    home: Home,
    record: Arc<Mutex<Record>>,
}

impl Board {
    pub(crate) fn new(home: &Home, record: Record) -> Self {
        Self { home: home.clone(), record: Arc::new(Mutex::new(record)) }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Record)) {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut record);
        if let Err(fault) = record.write(&self.home) {
            note(&format!("the record of processes cannot be written: {fault}"));
        }
    }

    pub(crate) fn now(&self) -> Record {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn process(&self, name: &str, change: impl FnOnce(&mut ProcessRecord)) {
        self.change(|record| {
            record.processes.iter_mut().find(|process| process.name == name).map(change);
        });
    }
}

/// All programs that were started, in that order.
pub(crate) struct Crew {
    board: Board,
    logins: Logins,
    denials: Denials,
    keepers: Vec<Keeper>,
    giving_up: mpsc::UnboundedSender<Fault>,
    given_up: mpsc::UnboundedReceiver<Fault>,
}

struct Keeper {
    name: &'static str,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Crew {
    pub(crate) fn new(board: Board, logins: Logins, denials: Denials) -> Self {
        let (giving_up, given_up) = mpsc::unbounded_channel();
        Self { board, logins, denials, keepers: Vec::new(), giving_up, given_up }
    }

    /// Whether a principal may log in.
    pub(crate) fn lets_in(&self, principal: &PrincipalId) -> bool {
        self.logins.lets_in(principal)
    }

    /// Starts a program and keeps it running from now on.
    pub(crate) fn start(&mut self, program: Program) {
        self.board.change(|record| {
            record.processes.push(ProcessRecord {
                name: program.name.to_owned(),
                pid: None,
                restarts: 0,
                log: program.log.clone(),
                marker: program.marker.clone(),
            });
        });
        let (stop, stopped) = watch::channel(false);
        let name = program.name;
        let around = Around {
            board: self.board.clone(),
            logins: self.logins.clone(),
            // Nobody else knows what was forbidden.
            denials: (name == BROKER).then(|| self.denials.clone()),
        };
        let keeping = keep(program, around, stopped, self.giving_up.clone());
        self.keepers.push(Keeper { name, stop, task: tokio::spawn(keeping) });
    }

    /// Waits until a program is given up, and says why.
    pub(crate) async fn given_up(&mut self) -> Fault {
        match self.given_up.recv().await {
            Some(fault) => fault,
            None => std::future::pending().await,
        }
    }

    /// Stops the programs, the last one first, each before the next.
    pub(crate) async fn stop(&mut self) {
        while let Some(keeper) = self.keepers.pop() {
            keeper.stop.send_replace(true);
            if keeper.task.await.is_err() {
                note(&format!("{}: its keeper failed", keeper.name));
            }
        }
    }
}

/// What a program lives in.
struct Around {
    board: Board,
    logins: Logins,
    denials: Option<Denials>,
}

async fn keep(
    program: Program,
    around: Around,
    mut stop: watch::Receiver<bool>,
    giving_up: mpsc::UnboundedSender<Fault>,
) {
    let mut restarts = Restarts::default();
    let fault = loop {
        match live(&program, &around, &mut stop, &mut restarts).await {
            Ok(Life::Stopped) => return,
            Ok(Life::Again) => (),
            Err(fault) => break fault,
        }
    };
    // Nobody listens while everything is being stopped, and then it does not matter.
    drop(giving_up.send(fault));
}

enum Life {
    Stopped,
    Again,
}

/// One life of a program, and the wait before the next.
async fn live(
    program: &Program,
    Around { board, logins, denials }: &Around,
    stop: &mut watch::Receiver<bool>,
    restarts: &mut Restarts,
) -> Result<Life, Fault> {
    if program.name == BROKER {
        // Its guard may have been killed and have left it alone with the port and the store.
        stale::end_broker(&board.home, &program.marker).await?;
    }
    // Nobody starts with a login that ended while the machine slept.
    logins.renew_due();
    let mut running = program.spawn(denials.as_ref())?;
    let began = Instant::now();
    let (pid, count) = (running.pid(), restarts.count());
    board.process(program.name, |process| {
        process.pid = pid;
        process.restarts = count;
    });
    let status = tokio::select! {
        status = running.ended() => status,
        () = signals::wait(stop) => {
            if running.stop(program.stop_within).await == Stopped::Killed {
                note(&format!("{} did not stop in time and was killed", program.name));
            }
            board.process(program.name, |process| process.pid = None);
            return Ok(Life::Stopped);
        }
    };
    board.process(program.name, |process| process.pid = None);
    let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    let delay = match restarts.judge(began.elapsed()) {
        Verdict::After(delay) => delay,
        Verdict::GiveUp => return Err(hopeless(program, &how)),
    };
    note(&format!("{} ended ({how}); starting it again in {delay:?}", program.name));
    tokio::select! {
        () = sleep(delay) => Ok(Life::Again),
        () = signals::wait(stop) => Ok(Life::Stopped),
    }
}

fn hopeless(program: &Program, how: &str) -> Fault {
    let (name, path) = (program.name, program.log.display());
    let message =
        format!("{name} keeps ending ({how}); the end of {path}:\n{}", log::tail(&program.log));
    Fault::new(ErrorCode::Internal, message).with_hint("correct what its log says, and start again")
}
