//! One term of one writer: requests in, frames out, answers after the commit.
//!
//! **Invariant:** one frame is on its way at a time.
//! **Invariant:** observations that wait are taken in before time passes for any lease.
//! **Invariant:** no request is taken in unless the log has shown a moment ago that nobody else
//! writes; see [`Standing`].
//! **Invariant:** the loop waits for nobody who may wait for the loop.

use std::{collections::VecDeque, future::Future, pin::Pin, sync::Arc, time::Duration};

use jetstream_config::{Commit, EventLog, LogError, StoredFrame, commit};
use schemas::{Cursor, ErrorCode, Fault, frame::LogEvent};
use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior, interval},
};

use crate::{
    Ask, EffectContext, EffectOf, ObservationOf, Service,
    clock::wall_clock_ms,
    decision::Outgoing,
    mind::Mind,
    stage::{Beat, Committed, Stage},
    standing::{AskedAt, Standing},
};

/// How often time is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How often a writer shows that it lives, in ticks.
const TICKS_PER_BEAT: u32 = 5;
/// Most requests that one turn takes in.
const TURN_MAX: usize = 256;
/// Shortest and longest time that a frame is held back for requests that are about to come.
const GATHER: std::ops::RangeInclusive<Duration> =
    Duration::from_micros(10)..=Duration::from_micros(500);
/// Effects that may wait behind the line to their performer before requests have to wait.
const BACKLOG_MAX: usize = 4096;
/// How long a stopping writer waits for the log to take what was decided.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

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
    /// The process was asked to stop.
    Stopped,
    /// Another writer's frame is where ours should be.
    Replaced,
    /// Whatever took requests for this writer is gone.
    Deaf,
    /// The log takes no more; nothing of what waited is in it.
    Full,
    /// Nothing certain can be said any more.
    Broken(LogError),
}

/// A frame on its way.
type Flight<S> = Pin<Box<dyn Future<Output = Landing<S>> + Send>>;
/// A question whether anybody else has written.
type Inquiry =
    Pin<Box<dyn Future<Output = (AskedAt, Result<Option<StoredFrame>, LogError>)> + Send>>;

/// What became of a frame.
struct Landing<S: Service> {
    outgoing: Outgoing<S>,
    sent: AskedAt,
    result: Result<Commit, LogError>,
}

/// A writer at work.
pub(crate) struct Lead<'a, S: Service, L: EventLog, T: Stage<S>> {
    mind: Mind<S>,
    log: &'a L,
    stage: &'a T,
    inlets: Inlets<S>,
    outlets: Outlets<S>,
    standing: Standing,
    /// Effects for which there was no room yet.
    backlog: VecDeque<(EffectOf<S>, EffectContext)>,
    /// How long the next frame is held back at most, as it paid off lately.
    gather_for: Duration,
    stopping_since: Option<Instant>,
}

/// What is under way while the loop waits for the next input.
struct Work<S: Service> {
    flight: Option<Flight<S>>,
    inquiry: Option<Inquiry>,
    /// The log did not answer; it is asked again with the next tick.
    asked_in_vain: bool,
    ticks: Interval,
    tick_count: u32,
    asks: Vec<Ask<S>>,
}

/// What woke the loop.
enum Input<S: Service> {
    Stop,
    Landed(Box<Landing<S>>),
    Inquired(AskedAt, Result<Option<StoredFrame>, LogError>),
    Tick,
    Room,
    LogEvent(LogEvent),
    Asks(usize),
    Observation(ObservationOf<S>),
}

impl<'a, S: Service, L: EventLog, T: Stage<S>> Lead<'a, S, L, T> {
    /// A writer with `mind`, over `log`, between the lines.
    pub(crate) fn new(
        mind: Mind<S>,
        (log, stage): (&'a L, &'a T),
        inlets: Inlets<S>,
        outlets: Outlets<S>,
    ) -> Self {
        Self {
            mind,
            log,
            stage,
            inlets,
            outlets,
            standing: Standing::default(),
            backlog: VecDeque::new(),
            gather_for: *GATHER.start(),
            stopping_since: None,
        }
    }

    /// Commits the frame that opens the term, or says why there is no term.
    pub(crate) async fn open(&mut self) -> Result<(), Ended> {
        self.mind.turn(self.stage.connected());
        self.mind.open_term();
        let Some(outgoing) = self.mind.next_frame() else { return Ok(()) };
        let landing = fly(self.log.clone(), self.mind.head().sequence, outgoing).await;
        self.landed(landing)
    }

    /// The sign of life of this writer.
    pub(crate) fn sign_of_life(&self) -> Beat {
        let (head, mind) = (self.mind.head(), &self.mind);
        Beat { instance: mind.instance().clone(), term: mind.term(), sequence: head.sequence }
    }

    /// Runs until the term ends. What still waits then is told `NOT_THE_WRITER` or the like.
    pub(crate) async fn run(mut self, mut stop: impl Future<Output = ()> + Unpin + Send) -> Ended {
        for effect in self.mind.resume() {
            self.perform(effect, self.mind.head().cursor());
        }
        let mut work = Work::begin();
        let ended = loop {
            self.launch(&mut work);
            if self.has_stopped(&work) {
                break Ended::Stopped;
            }
            let input = self.next_input(&mut work, &mut stop).await;
            if let Err(ended) = self.handle(input, &mut work).await {
                break ended;
            }
        };
        self.mind.give_up(&farewell(&ended));
        ended
    }

    /// Sends the next frame; without one, asks the log whether anybody else has written.
    fn launch(&mut self, work: &mut Work<S>) {
        if work.flight.is_some() {
            return;
        }
        let (log, fence) = (self.log.clone(), self.mind.head().sequence);
        if let Some(outgoing) = self.mind.next_frame() {
            // The frame will prove what was asked, and would look like a rival's to the question.
            work.inquiry = None;
            work.flight = Some(Box::pin(fly(log, fence, outgoing)));
        } else if work.inquiry.is_none() && !work.asked_in_vain && self.standing.is_due() {
            work.inquiry = Some(Box::pin(inquire(log, fence)));
        }
    }

    fn has_stopped(&self, work: &Work<S>) -> bool {
        let Some(since) = self.stopping_since else { return false };
        if work.flight.is_some() && STOP_PATIENCE <= since.elapsed() {
            tracing::warn!(
                "the log did not take the last decisions in time; they stay unconfirmed"
            );
            return true;
        }
        work.flight.is_none()
    }

    /// Whether requests are taken in; they wait outside otherwise.
    fn takes_requests(&self) -> bool {
        self.stopping_since.is_none()
            && self.backlog.len() < BACKLOG_MAX
            && !self.mind.is_sated()
            && self.standing.holds()
    }

    async fn next_input(
        &mut self,
        work: &mut Work<S>,
        stop: &mut (impl Future<Output = ()> + Unpin + Send),
    ) -> Input<S> {
        let (takes_requests, goes_on) = (self.takes_requests(), self.stopping_since.is_none());
        let Work { flight, inquiry, ticks, asks, .. } = work;
        // In this order: what is rare comes before what may never end.
        tokio::select! {
            biased;
            landing = under_way(flight) => Input::Landed(Box::new(landing)),
            (asked, answer) = under_way(inquiry) => Input::Inquired(asked, answer),
            () = stop, if goes_on => Input::Stop,
            _ = ticks.tick() => Input::Tick,
            Ok(room) = self.outlets.effects.reserve(), if !self.backlog.is_empty() => {
                if let Some(effect) = self.backlog.pop_front() {
                    room.send(effect);
                }
                Input::Room
            }
            Some(event) = self.inlets.log_events.recv(), if goes_on => Input::LogEvent(event),
            count = self.inlets.asks.recv_many(asks, TURN_MAX), if takes_requests => {
                Input::Asks(count)
            }
            Some(observation) = self.inlets.observations.recv() => Input::Observation(observation),
        }
    }

    async fn handle(&mut self, input: Input<S>, work: &mut Work<S>) -> Result<(), Ended> {
        match input {
            Input::Stop => self.stopping_since = Some(Instant::now()),
            Input::Landed(landing) => {
                work.flight = None;
                let decisions = landing.outgoing.frame.decisions.len();
                self.landed(*landing)?;
                self.gather(decisions, work).await;
            }
            Input::Inquired(asked, answer) => {
                work.inquiry = None;
                work.asked_in_vain = answer.is_err();
                self.answered(asked, answer)?;
            }
            Input::Tick => {
                work.tick_count = work.tick_count.wrapping_add(1);
                work.asked_in_vain = false;
                self.tick(work.tick_count);
            }
            Input::Room => (),
            Input::LogEvent(event) => {
                self.turn();
                self.mind.decide_log_event("take-snapshot", &event);
            }
            Input::Asks(0) => return Err(Ended::Deaf),
            Input::Asks(_) => self.take(&mut work.asks),
            Input::Observation(observation) => self.mind.observe(observation),
        }
        Ok(())
    }

    /// Begins a turn: what was observed while this process was paused comes before its clock.
    fn turn(&mut self) {
        for _ in 0..self.inlets.observations.len() {
            if let Ok(observation) = self.inlets.observations.try_recv() {
                self.mind.observe(observation);
            }
        }
        let connected = self.stage.connected();
        if !connected {
            self.standing.doubt();
        }
        self.mind.turn(connected);
    }

    fn take(&mut self, asks: &mut Vec<Ask<S>>) {
        self.turn();
        for ask in asks.drain(..) {
            self.mind.take(ask);
        }
    }

    fn tick(&mut self, count: u32) {
        self.turn();
        if self.stopping_since.is_none() {
            self.mind.look_around();
        }
        self.perform_due();
        if count.is_multiple_of(TICKS_PER_BEAT) {
            self.stage.beat(&self.sign_of_life());
        }
    }

    fn landed(&mut self, landing: Landing<S>) -> Result<(), Ended> {
        let Landing { outgoing, sent, result } = landing;
        match result {
            Ok(Commit::Committed { sequence }) => {
                self.standing.prove(sent);
                self.mind.committed_frame(&outgoing, sequence);
                self.publish(&outgoing, sequence);
                self.perform_due();
                Ok(())
            }
            Ok(Commit::Replaced { .. }) => Err(Ended::Replaced),
            Ok(Commit::Full) => Err(Ended::Full),
            Err(error) => Err(Ended::Broken(error)),
        }
    }

    fn answered(
        &mut self,
        asked: AskedAt,
        answer: Result<Option<StoredFrame>, LogError>,
    ) -> Result<(), Ended> {
        match answer {
            Ok(None) => self.standing.prove(asked),
            Ok(Some(_)) => return Err(Ended::Replaced),
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "the log does not tell whether anybody else writes");
            }
            Err(error) => return Err(Ended::Broken(error)),
        }
        Ok(())
    }

    fn publish(&mut self, outgoing: &Outgoing<S>, sequence: u64) {
        for (index, effect) in &outgoing.effects {
            let cursor = self.mind.head().cursor_at(sequence, *index);
            self.perform(effect.clone(), cursor);
        }
        let stored = StoredFrame { sequence, bytes: outgoing.bytes.clone() };
        let committed = Committed { stored, frame: Arc::clone(&outgoing.frame) };
        self.stage.announce(&committed);
        // A projector that is behind notices the gap and reads the log instead.
        drop(self.outlets.commits.try_send(committed));
    }

    fn perform_due(&mut self) {
        for effect in self.mind.effects_due() {
            self.perform(effect, self.mind.head().cursor());
        }
    }

    fn perform(&mut self, effect: EffectOf<S>, cursor: Cursor) {
        let context = EffectContext { term: self.mind.term(), cursor, now_ms: wall_clock_ms() };
        self.backlog.push_back((effect, context));
        while let Ok(room) = self.outlets.effects.try_reserve() {
            let Some(next) = self.backlog.pop_front() else { return };
            room.send(next);
        }
    }

    /// Holds the next frame back for a moment, while those who were just answered may ask again:
    /// a group that is committed together then stays together, instead of falling apart into two
    /// that wait for one another's frames. Where they do not come back, it soon stops waiting.
    async fn gather(&mut self, expected: usize, work: &mut Work<S>) {
        if expected < 2 {
            return;
        }
        let begin = std::time::Instant::now();
        while work.asks.len() < expected
            && self.takes_requests()
            && begin.elapsed() < self.gather_for
        {
            match self.inlets.asks.try_recv() {
                Ok(ask) => work.asks.push(ask),
                Err(_) => tokio::task::yield_now().await,
            }
        }
        let paid_off = expected <= work.asks.len() * 2;
        let next = if paid_off { self.gather_for * 2 } else { self.gather_for / 2 };
        self.gather_for = next.clamp(*GATHER.start(), *GATHER.end());
        if !work.asks.is_empty() {
            self.take(&mut work.asks);
        }
    }
}

impl<S: Service> Work<S> {
    fn begin() -> Self {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let asks = Vec::with_capacity(TURN_MAX);
        let (flight, inquiry) = (None, None);
        Self { flight, inquiry, asked_in_vain: false, ticks, tick_count: 0, asks }
    }
}

/// What becomes of `something`, if it is under way.
async fn under_way<F: Future + Unpin>(something: &mut Option<F>) -> F::Output {
    match something.as_mut() {
        Some(something) => something.await,
        None => std::future::pending().await,
    }
}

async fn fly<S: Service, L: EventLog>(log: L, fence: u64, outgoing: Outgoing<S>) -> Landing<S> {
    let sent = AskedAt::now();
    let result = commit(&log, fence, &outgoing.frame.id, outgoing.bytes.clone()).await;
    Landing { outgoing, sent, result }
}

async fn inquire<L: EventLog>(
    log: L,
    fence: u64,
) -> (AskedAt, Result<Option<StoredFrame>, LogError>) {
    let asked = AskedAt::now();
    let answer = log.next_after(fence).await;
    (asked, answer)
}

fn farewell(ended: &Ended) -> Fault {
    match ended {
        Ended::Stopped => Fault::new(ErrorCode::NotTheWriter, "this instance is stopping"),
        Ended::Replaced => Fault::new(ErrorCode::NotTheWriter, "another instance took over"),
        Ended::Deaf => Fault::new(ErrorCode::NotTheWriter, "this instance cannot be reached"),
        Ended::Full => Fault::new(ErrorCode::StorageFull, "the log is full, nothing was recorded"),
        Ended::Broken(error) => Fault::new(error.code(), error.to_string()),
    }
}
