//! Keeps the node's credentials alive: gets new ones at half of their life, and comes back with the
//! renewal credentials when the others have run out.
//!
//! The files are read anew for each connection, so whatever was renewed counts from the next one on;
//! the broker ends a connection whose credentials run out, and the client connects again.
//!
//! **Invariant:** while the registry answers, credentials are replaced before they run out.

use std::{fmt, time::Duration};

use client::{Client, ConnectError, ConnectOptions, Credentials, LinkState};
use schemas::{
    Fault, FaultClass, Timestamp,
    enrolment::{Membership, RenewRequest},
    registry::verb,
    subject::ServiceName,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};
use trust::nats::Summary;

use crate::{
    clock,
    heartbeat::{Complaint, Worry},
    membership::{Papers, PapersError},
};

/// Earliest part of their life after which credentials are renewed, in thousandths.
const RENEW_AFTER_PERMILLE: u64 = 500;
/// Further part of it, spread over nodes, in thousandths.
const RENEW_SPREAD_PERMILLE: u64 = 200;
/// How often the clock is looked at: it may jump, and the machine may sleep.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long the broker may be away before the renewal credentials are tried: this machine's clock
/// may be wrong about what has run out.
const AWAY_MAX: Duration = Duration::from_secs(20);
/// How long one request may take with the client's own retries.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Pause after an attempt that nobody answered.
const PAUSE_UNANSWERED: Duration = Duration::from_secs(2);
/// Pause after somebody said no: a person has to change something first.
const PAUSE_REFUSED: Duration = Duration::from_secs(300);

/// Renews one node's credentials.
pub(crate) struct Renewal {
    papers: Papers,
    /// How to connect with the renewal credentials.
    errand: ConnectOptions,
    worries: mpsc::UnboundedSender<(Worry, Complaint)>,
    /// Place within the spread, in thousandths of the credentials' life.
    spread_permille: u64,
    /// Since when there is no connection.
    away_since: Option<Instant>,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There is time.
    Wait(Duration),
    /// Ask over the node's own connection.
    Ask,
    /// Ask over a connection of its own.
    AskAlone,
}

/// Why there are no new credentials.
#[derive(Debug)]
enum Failure {
    Papers(PapersError),
    Connect(ConnectError),
    Fault(Fault),
}

impl Renewal {
    /// `options` are those of the node's own connection.
    pub(crate) fn new(
        papers: Papers,
        options: &ConnectOptions,
        worries: mpsc::UnboundedSender<(Worry, Complaint)>,
    ) -> Self {
        let mut errand = options.clone();
        errand.credentials = Credentials::CredsFile(papers.renewal.clone());
        errand.name = format!("{} (renewal)", options.principal);
        errand.connect_within = Some(ATTEMPT);
        errand.max_reconnects = Some(1);
        let spread_permille = rand::random_range(0..=RENEW_SPREAD_PERMILLE);
        Self { papers, errand, worries, spread_permille, away_since: None }
    }

    /// Renews for as long as somebody hears what is wrong. `clients` tells the node's connection once
    /// it is there.
    pub(crate) async fn keep(mut self, clients: watch::Receiver<Option<Client>>) {
        let unheard = self.worries.clone();
        tokio::select! {
            () = self.renew_for_ever(clients) => (),
            () = unheard.closed() => (),
        }
    }

    async fn renew_for_ever(&mut self, clients: watch::Receiver<Option<Client>>) {
        loop {
            let client = clients.borrow().clone();
            let pause = match self.step(client.as_ref()) {
                Ok(Step::Wait(pause)) => pause,
                Ok(Step::Ask) => match client {
                    Some(client) => self.settle(ask(&client).await),
                    None => LOOK_EVERY,
                },
                Ok(Step::AskAlone) => {
                    let answer = self.ask_alone().await;
                    // The next attempt of this kind is due after another while.
                    self.away_since = None;
                    self.settle(answer)
                }
                Err(error) => self.settle(Err(Failure::Papers(error))),
            };
            wait(pause, clients.clone()).await;
        }
    }

    /// Renews at once with the renewal credentials if the others have run out: a node that slept
    /// could not even connect.
    pub(crate) async fn come_back(&mut self) {
        let run_out = |login: Summary| {
            login.expires_at_s.is_some_and(|end_s| end_s <= clock::wall().seconds())
        };
        if self.papers.login().is_ok_and(run_out) {
            let answer = self.ask_alone().await;
            self.settle(answer);
        }
    }

    fn step(&mut self, client: Option<&Client>) -> Result<Step, PapersError> {
        let connected = client.is_some_and(Client::connected);
        self.away_since =
            if connected { None } else { self.away_since.or_else(|| Some(Instant::now())) };
        let login = self.papers.login()?;
        let away = self.away_since.map(|since| since.elapsed());
        Ok(decide(&login, clock::wall(), (self.spread_permille, away)))
    }

    /// What follows from an attempt: kept credentials or a complaint, and a pause.
    fn settle(&mut self, answer: Result<Membership, Failure>) -> Duration {
        let kept = answer.and_then(|membership| {
            self.papers.keep(&membership).map_err(Failure::Papers).map(|()| membership)
        });
        match kept {
            Ok(membership) => {
                tracing::info!(until = %membership.expires_at, "credentials renewed");
                self.worry(None);
                Duration::ZERO
            }
            Err(failure) if failure.is_final() => {
                tracing::error!(%failure, "this node cannot get credentials any more");
                self.worry(Some(format!("{failure}; {}", failure.advice())));
                PAUSE_REFUSED + jitter(PAUSE_REFUSED / 4)
            }
            Err(failure) => {
                tracing::warn!(%failure, "credentials are not renewed yet");
                PAUSE_UNANSWERED + jitter(PAUSE_UNANSWERED)
            }
        }
    }

    async fn ask_alone(&self) -> Result<Membership, Failure> {
        tracing::info!("the credentials have run out; coming back with the renewal credentials");
        let client = Client::connect(self.errand.clone()).await.map_err(Failure::Connect)?;
        let answer = ask(&client).await;
        client.close().await;
        answer
    }

    fn worry(&self, complaint: Complaint) {
        drop(self.worries.send((Worry::Renewal, complaint)));
    }
}

async fn ask(client: &Client) -> Result<Membership, Failure> {
    let call = client.call(ServiceName::Registry, verb::RENEW).deadline(ATTEMPT);
    call.send(&RenewRequest {}).await.map_err(Failure::Fault)
}

/// Waits, but looks again when the connection comes or goes.
async fn wait(pause: Duration, mut clients: watch::Receiver<Option<Client>>) {
    let client = clients.borrow_and_update().clone();
    let change = async {
        match client {
            Some(client) if !client.connected() => {
                let mut changes = client.on_change();
                // Closed for good: the node ends, and this with it.
                drop(changes.wait_for(|state| *state == LinkState::Connected).await);
            }
            Some(_) => std::future::pending().await,
            None => drop(clients.changed().await),
        }
    };
    tokio::select! {
        () = sleep(pause) => (),
        () = change => (),
    }
}

/// When credentials are renewed, and over which connection.
fn decide(login: &Summary, now: Timestamp, (spread, away): (u64, Option<Duration>)) -> Step {
    let Some(end_s) = login.expires_at_s else { return Step::Wait(LOOK_EVERY) };
    let life_ms = end_s.saturating_sub(login.issued_at_s).saturating_mul(1000);
    let due_after_ms = life_ms / 1000 * (RENEW_AFTER_PERMILLE + spread);
    let due = Timestamp::from_seconds(login.issued_at_s).plus_ms(due_after_ms);
    let has_ended = Timestamp::from_seconds(end_s) <= now;
    match away {
        Some(away) if has_ended || AWAY_MAX <= away => Step::AskAlone,
        None if due <= now => Step::Ask,
        Some(_) => Step::Wait(LOOK_EVERY.min(Duration::from_secs(1))),
        None => Step::Wait(Duration::from_millis(due.since_ms(now)).min(LOOK_EVERY)),
    }
}

impl Failure {
    /// Whether only a person can change it.
    fn is_final(&self) -> bool {
        match self {
            Self::Connect(ConnectError::Refused { .. } | ConnectError::Login { .. }) => true,
            Self::Connect(
                ConnectError::Url { .. }
                | ConnectError::Unreachable { .. }
                | ConnectError::Inbox { .. },
            ) => false,
            Self::Fault(fault) => {
                ![FaultClass::Unavailable, FaultClass::TimedOut].contains(&fault.code.class())
            }
            Self::Papers(_) => true,
        }
    }

    fn advice(&self) -> String {
        match self {
            Self::Connect(_) => "it was evicted or banned, or was away for longer than its renewal \
                                 credentials live: ask for a new line with `cortex invite`, and run \
                                 `cortex agent join` with it in another folder"
                .to_owned(),
            Self::Fault(fault) => fault.hint.clone(),
            Self::Papers(_) => "restore the file, or join anew".to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Papers(error) => {
                write!(f, "the credentials cannot be kept: {error}")?;
                let mut cause = std::error::Error::source(error);
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
            Self::Connect(ConnectError::Refused { principal, .. }) => {
                write!(f, "the broker accepts no credentials of {principal} any more")
            }
            Self::Connect(error) => write!(f, "the credentials are not renewed: {error}"),
            Self::Fault(fault) => write!(f, "the registry does not renew the credentials: {fault}"),
        }
    }
}

fn jitter(most: Duration) -> Duration {
    most.mul_f64(rand::random::<f64>())
}

#[cfg(test)]
mod tests;
