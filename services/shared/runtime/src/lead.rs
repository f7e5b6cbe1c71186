//! One term of one writer: requests in, frames out, answers after the commit.
//!
//! **Invariant:** one frame is on its way at a time.
//! **Invariant:** observations that wait are taken in before time passes for any lease.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use jetstream_config::{Commit, EventLog, LogError, StoredFrame, commit};
use schemas::{Cursor, ErrorCode, Fault, frame::LogEvent};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    Ask, EffectContext, EffectOf, ObservationOf, Service,
    clock::wall_clock_ms,
    decision::Outgoing,
    mind::Mind,
    replica::Head,
    stage::{Beat, Committed, Stage},
};

/// How often time is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How often a writer shows that it lives, in ticks.
const TICKS_PER_BEAT: u32 = 5;
/// Most requests and most observations that one turn takes in.
const TURN_MAX: usize = 256;
/// How long a frame may be held back for requests that are about to come.
const GATHER_MAX: Duration = Duration::from_micros(60);

/// The loop's ends of the lines into it.
pub(crate) struct Inlets<S: Service> {
    pub(crate) asks: mpsc::Receiver<Ask<S>>,
    pub(crate) observations: mpsc::Receiver<ObservationOf<S>>,
    pub(crate) log_events: mpsc::Receiver<LogEvent>,
}

/// Where the loop sends what follows from a commit.
pub(crate) struct Outlets<S: Service> {
    pub(crate) effects: mpsc::Sender<(EffectOf<S>, EffectContext)>,
    pub(crate) commits: mpsc::Sender<Committed>,
}

/// Why a term ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The process was asked to stop; everything decided is committed.
    Stopped,
    /// Another writer's frame is where ours should be.
    Replaced,
    /// The log takes no more; nothing of what waited is in it.
    Full,
    /// Nothing certain can be said any more.
    Broken(LogError),
}

type Flight<S> = Pin<Box<dyn Future<Output = (Outgoing<S>, Result<Commit, LogError>)> + Send>>;

/// A writer at work.
pub(crate) struct Lead<'a, S: Service, L: EventLog, T: Stage<S>> {
    pub(crate) mind: Mind<S>,
    pub(crate) log: &'a L,
    pub(crate) stage: &'a T,
    pub(crate) inlets: &'a mut Inlets<S>,
    pub(crate) outlets: &'a Outlets<S>,
}

/// What woke the loop.
enum Input<S: Service> {
    Stop,
    Observation(ObservationOf<S>),
    Landed(Box<Outgoing<S>>, Result<Commit, LogError>),
    Asks,
    LogEvent(LogEvent),
    Tick,
}

impl<S: Service, L: EventLog, T: Stage<S>> Lead<'_, S, L, T> {
    /// Commits the frame that opens the term, or says why there is no term.
    pub(crate) async fn open(&mut self) -> Result<(), Ended> {
        self.mind.turn(self.stage.connected());
        self.mind.open_term();
        let Some(outgoing) = self.mind.next_frame() else { return Ok(()) };
        let (outgoing, result) = fly(self.log.clone(), self.mind.head().sequence, outgoing).await;
        self.landed(&outgoing, result).map(drop)
    }

    /// Runs until the term ends. What still waits then is told `NOT_THE_WRITER` or the like.
    pub(crate) async fn run(mut self, mut stop: impl Future<Output = ()> + Unpin + Send) -> Ended {
        for effect in self.mind.resume() {
            self.perform(effect, self.mind.head().cursor());
        }
        let mut flight: Option<Flight<S>> = None;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asks = Vec::with_capacity(TURN_MAX);
        let mut tick_count = 0_u32;
        let ended = loop {
            if flight.is_none() {
                flight = self.mind.next_frame().map(|outgoing| {
                    let landing = fly(self.log.clone(), self.mind.head().sequence, outgoing);
                    Box::pin(landing) as Flight<S>
                });
            }
            match self.next_input(&mut flight, &mut asks, &mut ticks, &mut stop).await {
                Input::Stop if flight.is_none() => break Ended::Stopped,
                Input::Stop => continue,
                Input::Observation(observation) => self.observe(observation),
                Input::Landed(outgoing, result) => {
                    flight = None;
                    match self.landed(&outgoing, result) {
                        Ok(()) => self.gather(outgoing.frame.decisions.len(), &mut asks).await,
                        Err(ended) => break ended,
                    }
                }
                Input::Asks => self.take(&mut asks),
                Input::LogEvent(event) => self.record(&event),
                Input::Tick => {
                    tick_count = tick_count.wrapping_add(1);
                    self.tick(tick_count);
                }
            }
        };
        self.mind.give_up(&farewell(&ended));
        ended
    }

    async fn next_input(
        &mut self,
        flight: &mut Option<Flight<S>>,
        asks: &mut Vec<Ask<S>>,
        ticks: &mut tokio::time::Interval,
        stop: &mut (impl Future<Output = ()> + Unpin + Send),
    ) -> Input<S> {
        let flying = flight.is_some();
        let landing = async {
            match flight.as_mut() {
                Some(flight) => flight.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            (outgoing, result) = landing => Input::Landed(Box::new(outgoing), result),
            () = stop, if !flying => Input::Stop,
            Some(observation) = self.inlets.observations.recv() => Input::Observation(observation),
            count = self.inlets.asks.recv_many(asks, TURN_MAX), if !self.mind.is_sated() && asks.is_empty() => {
                if count == 0 { Input::Tick } else { Input::Asks }
            }
            Some(event) = self.inlets.log_events.recv() => Input::LogEvent(event),
            _ = ticks.tick() => Input::Tick,
        }
    }

    fn observe(&mut self, first: ObservationOf<S>) {
        self.mind.observe(first);
        for _ in 1..TURN_MAX {
            match self.inlets.observations.try_recv() {
                Ok(observation) => self.mind.observe(observation),
                Err(_) => break,
            }
        }
    }

    fn take(&mut self, asks: &mut Vec<Ask<S>>) {
        self.mind.turn(self.stage.connected());
        for ask in asks.drain(..) {
            self.mind.take(ask);
        }
    }

    fn record(&mut self, event: &LogEvent) {
        self.mind.turn(self.stage.connected());
        self.mind.decide_log_event("take-snapshot", event);
    }

    fn tick(&mut self, count: u32) {
        // Beats that waited in the line while this process was paused come before its clock.
        while let Ok(observation) = self.inlets.observations.try_recv() {
            self.mind.observe(observation);
        }
        self.mind.turn(self.stage.connected());
        for effect in self.mind.look_around() {
            self.perform(effect, self.mind.head().cursor());
        }
        if count.is_multiple_of(TICKS_PER_BEAT) {
            self.stage.beat(&beat(&self.mind));
        }
    }

    fn landed(
        &mut self,
        outgoing: &Outgoing<S>,
        result: Result<Commit, LogError>,
    ) -> Result<(), Ended> {
        match result {
            Ok(Commit::Committed { sequence }) => {
                self.mind.committed_frame(outgoing, sequence);
                self.publish(outgoing, sequence);
                Ok(())
            }
            Ok(Commit::Replaced { .. }) => Err(Ended::Replaced),
            Ok(Commit::Full) => Err(Ended::Full),
            Err(error) => Err(Ended::Broken(error)),
        }
    }

    fn publish(&self, outgoing: &Outgoing<S>, sequence: u64) {
        let head: &Head = self.mind.head();
        for (index, effect) in &outgoing.effects {
            self.perform(effect.clone(), head.cursor_at(sequence, *index));
        }
        let stored = StoredFrame { sequence, bytes: outgoing.bytes.clone() };
        let committed = Committed { stored, frame: Arc::clone(&outgoing.frame) };
        self.stage.announce(&committed);
        // A projector that is behind notices the gap and reads the log instead.
        drop(self.outlets.commits.try_send(committed));
    }

    fn perform(&self, effect: EffectOf<S>, cursor: Cursor) {
        let context = EffectContext { term: self.mind.term(), cursor, now_ms: wall_clock_ms() };
        if self.outlets.effects.try_send((effect, context)).is_err() {
            tracing::warn!("too many effects wait; this one is named again when it is due");
        }
    }

    /// Holds the next frame back for a moment, while those who were just answered may ask again:
    /// a group that is committed together then stays together, instead of falling apart into two
    /// that wait for one another's frames.
    async fn gather(&mut self, expected: usize, asks: &mut Vec<Ask<S>>) {
        if expected < 2 {
            return;
        }
        let begin = Instant::now();
        while asks.len() < expected && !self.mind.is_sated() && begin.elapsed() < GATHER_MAX {
            match self.inlets.asks.try_recv() {
                Ok(ask) => asks.push(ask),
                Err(_) => tokio::task::yield_now().await,
            }
        }
        if !asks.is_empty() {
            self.take(asks);
        }
    }
}

/// The sign of life of this writer.
pub(crate) fn beat<S: Service>(mind: &Mind<S>) -> Beat {
    Beat { instance: mind.instance().clone(), term: mind.term(), sequence: mind.head().sequence }
}

async fn fly<S: Service, L: EventLog>(
    log: L,
    fence: u64,
    outgoing: Outgoing<S>,
) -> (Outgoing<S>, Result<Commit, LogError>) {
    let result = commit(&log, fence, &outgoing.frame.id, outgoing.bytes.clone()).await;
    (outgoing, result)
}

fn farewell(ended: &Ended) -> Fault {
    match ended {
        Ended::Stopped => Fault::new(ErrorCode::NotTheWriter, "this instance is stopping"),
        Ended::Replaced => Fault::new(ErrorCode::NotTheWriter, "another instance took over"),
        Ended::Full => Fault::new(ErrorCode::StorageFull, "the log is full, nothing was recorded"),
        Ended::Broken(error) => Fault::new(error.code(), error.to_string()),
    }
}
