//! The writer's mind: decides requests on a state that runs ahead of the log, and says nothing
//! before the log has caught up.
//!
//! **Invariant:** every answer, also a rejection, a query's or a repeat's, waits until the newest
//! decision that the state included when it was made is committed.
//! **Invariant:** no effect is handed out before all that its state included is committed.
//! **Invariant:** no IO; frames are handed out and their fate is handed back.

use std::{collections::VecDeque, time::Duration};

use decider::{Decided, Decider, Recorded};
use schemas::{
    CommandId, ErrorCode, Fault, InstanceId, PrincipalId, Timestamp,
    frame::{DecisionRecord, LogEvent, RecordedAnswer},
    protocol::NOT_AFTER_AHEAD_MAX,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use crate::{
    Ask, AskAbout, CommandOf, EffectOf, EventOf, ObservationOf, Request, Said, Service,
    clock::{LoopClock, wall_clock_ms},
    decision::{DECISION_BYTES_MAX, Decision, Outgoing, Writer, fitting, frame_of, size_of},
    replica::{Head, Replica},
};

/// Decisions that may wait for a frame before requests have to wait, in bytes.
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// Answers that may wait for a commit before requests have to wait.
const WAITING_ANSWERS_MAX: usize = 2048;

/// An answer that waits for the decision with this ordinal to be committed.
struct Waiting<S: Service> {
    ordinal: u64,
    reply: oneshot::Sender<Result<Said<S>, Fault>>,
    said: Result<Said<S>, Fault>,
}

/// State, facts, and everything that is decided but not yet committed.
pub(crate) struct Mind<S: Service> {
    replica: Replica<S>,
    facts: <S::Core as Decider>::Facts,
    clock: LoopClock,
    writer: Writer,
    /// Acts as the author of what nobody asked for.
    own_name: PrincipalId,
    now_ms: u64,
    last_at: Timestamp,
    undecided_ids: u64,
    waiting_for_frame: VecDeque<Decision<S>>,
    waiting_bytes: usize,
    /// Counts decisions of this term.
    decided: u64,
    committed: u64,
    waiting_for_commit: VecDeque<Waiting<S>>,
    /// Effects that time called for, each with the ordinal of the newest decision that the state
    /// included when it was named.
    waiting_effects: VecDeque<(u64, EffectOf<S>)>,
    full_until: Option<Instant>,
    head_watch: Option<watch::Sender<Head>>,
}

impl<S: Service> Mind<S> {
    /// Takes over from a replica that has read the log to its head.
    pub(crate) fn new(replica: Replica<S>, writer: Writer) -> Self {
        let last_at = replica.head.at;
        Self {
            replica,
            facts: <S::Core as Decider>::Facts::default(),
            clock: LoopClock::start(),
            writer,
            own_name: PrincipalId::parse(S::NAME.as_str()).expect("service names are ids"),
            now_ms: wall_clock_ms(),
            last_at,
            undecided_ids: 0,
            waiting_for_frame: VecDeque::new(),
            waiting_bytes: 0,
            decided: 0,
            committed: 0,
            waiting_for_commit: VecDeque::new(),
            waiting_effects: VecDeque::new(),
            full_until: None,
            head_watch: None,
        }
    }

    /// The last frame that is committed.
    pub(crate) fn head(&self) -> &Head {
        &self.replica.head
    }

    /// The term that this writer writes in; 0 before its first frame.
    pub(crate) fn term(&self) -> u64 {
        self.writer.term
    }

    /// The process start that writes.
    pub(crate) fn instance(&self) -> &InstanceId {
        &self.writer.instance
    }

    /// Whether requests should wait for the log to catch up.
    pub(crate) fn is_sated(&self) -> bool {
        WAITING_BYTES_MAX <= self.waiting_bytes
            || WAITING_ANSWERS_MAX <= self.waiting_for_commit.len()
    }

    /// Begins a turn of the loop: looks at the clocks.
    pub(crate) fn turn(&mut self, connected: bool) {
        self.now_ms = wall_clock_ms();
        self.clock.turn(Instant::now().into_std(), connected);
        S::Core::tell(&mut self.facts, self.clock.moment(self.now_ms, self.writer.term));
    }

    /// Takes an observation into the facts.
    pub(crate) fn observe(&mut self, observation: ObservationOf<S>) {
        S::Core::observe(&self.replica.state, &mut self.facts, observation);
    }

    /// Opens a term: the first decision of a writer.
    pub(crate) fn open_term(&mut self) {
        let instance = self.writer.instance.clone();
        self.decide_log_event("start-term", &LogEvent::TermStarted { instance });
    }

    /// Records an event of the log itself.
    pub(crate) fn decide_log_event(&mut self, verb: &'static str, event: &LogEvent) {
        let raw = json(event);
        let about = self.unasked(verb);
        let record = self.record(about, vec![raw]);
        self.replica.take(event.clone());
        self.keep(record, Vec::new());
    }

    /// Decides what time and observations call for, and names effects that are due by time alone;
    /// [`Self::effects_due`] hands them out.
    pub(crate) fn look_around(&mut self) {
        self.waiting_for_commit.retain(|waiting| !waiting.reply.is_closed());
        if self.is_sated() {
            return;
        }
        for command in S::Core::due(&self.replica.state, &self.facts) {
            let about = self.unasked(S::verb(&command));
            if let Err(fault) = self.decide(&command, &about, Repeatable::No) {
                tracing::warn!(verb = about.verb, %fault, "a command of our own was refused");
            }
        }
        if self.waiting_effects.is_empty() {
            let named = S::Core::due_effects(&self.replica.state, &mut self.facts);
            self.waiting_effects.extend(named.into_iter().map(|effect| (self.decided, effect)));
        }
    }

    /// Effects that are due by time alone and rest on nothing but what is committed.
    pub(crate) fn effects_due(&mut self) -> Vec<EffectOf<S>> {
        let committed = |(ordinal, _): &&(u64, EffectOf<S>)| *ordinal <= self.committed;
        let count = self.waiting_effects.iter().take_while(committed).count();
        self.waiting_effects.drain(..count).map(|(_, effect)| effect).collect()
    }

    /// Everything that should have been done by now and may not have been.
    pub(crate) fn resume(&self) -> Vec<EffectOf<S>> {
        S::Core::resume(&self.replica.state)
    }

    /// Takes a request: decides or answers it. What is said waits for the log.
    pub(crate) fn take(&mut self, ask: Ask<S>) {
        let Ask { request, about, reply } = ask;
        let said = match request {
            Request::Command(command) => self.decide(&command, &about, Repeatable::Yes),
            Request::Unrepeatable(command) => self.decide(&command, &about, Repeatable::No),
            Request::Query(query) => self.answer(&query),
            Request::Observe(observation, query) => {
                self.observe(observation);
                self.answer(&query)
            }
            Request::Look(look) => {
                look(&self.replica.state, &self.facts);
                Ok(Said::Nothing)
            }
        };
        let ordinal = self.decided;
        if ordinal <= self.committed {
            // Nobody listens any more when this fails; then there is nobody to tell.
            drop(reply.send(said));
        } else {
            self.waiting_for_commit.push_back(Waiting { ordinal, reply, said });
        }
    }

    fn answer(&self, query: &<S::Core as Decider>::Query) -> Result<Said<S>, Fault> {
        let mut answer =
            S::Core::answer(&self.replica.state, query, &self.facts).map_err(Into::into)?;
        S::stamp(&mut answer, self.replica.head.cursor());
        Ok(Said::Answer(answer))
    }

    fn decide(
        &mut self,
        command: &CommandOf<S>,
        about: &AskAbout,
        repeatable: Repeatable,
    ) -> Result<Said<S>, Fault> {
        self.check_time(about)?;
        if let Some(answer) = self.repeated(about, repeatable)? {
            return Ok(Said::Recorded(answer));
        }
        let Decided { events, answer } =
            S::Core::decide(&self.replica.state, command, &self.facts).map_err(Into::into)?;
        let said = match repeatable {
            Repeatable::Yes => Said::Recorded(json(&answer)),
            Repeatable::No => Said::Answer(answer),
        };
        if events.is_empty() {
            return Ok(said);
        }
        if self.full_until.is_some_and(|until| Instant::now() < until) {
            return Err(Fault::new(
                ErrorCode::StorageFull,
                "the log is full, nothing was recorded",
            ));
        }
        let mut record = self.record(about.clone(), events.iter().map(json).collect());
        if let (Said::Recorded(body), Some(_)) = (&said, &about.command_id) {
            record.answer = Some(RecordedAnswer {
                command_hash: about.hash,
                not_after: about.not_after.unwrap_or_else(|| self.default_not_after()),
                body: body.clone(),
            });
        }
        if DECISION_BYTES_MAX < size_of(&record) {
            let message = format!("the decision on {} does not fit one frame", about.verb);
            return Err(Fault::new(ErrorCode::Internal, message));
        }
        let effects = self.evolve(&events, record.at);
        self.keep(record, effects);
        Ok(said)
    }

    fn check_time(&self, about: &AskAbout) -> Result<(), Fault> {
        let Some(not_after) = about.not_after else { return Ok(()) };
        if not_after.0 < self.now_ms {
            let late_ms = self.now_ms - not_after.0;
            let message = format!("{} came {late_ms} ms after its not-after", about.verb);
            return Err(Fault::new(ErrorCode::CommandExpired, message));
        }
        if self.default_not_after() < not_after {
            let message = "not-after may lie at most 300 seconds ahead";
            return Err(Fault::new(ErrorCode::InvalidValue, message));
        }
        Ok(())
    }

    fn default_not_after(&self) -> Timestamp {
        let ahead_ms = u64::try_from(NOT_AFTER_AHEAD_MAX.as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.now_ms).plus_ms(ahead_ms)
    }

    fn repeated(
        &self,
        about: &AskAbout,
        repeatable: Repeatable,
    ) -> Result<Option<Box<RawValue>>, Fault> {
        let (Repeatable::Yes, Some(id)) = (repeatable, &about.command_id) else { return Ok(None) };
        match self.replica.repeats.find(&about.principal, id) {
            Some(answer) if answer.command_hash == about.hash => Ok(Some(answer.body.clone())),
            Some(_) => {
                let message = format!("command {id} was another command before");
                Err(Fault::new(ErrorCode::CommandIdReused, message))
            }
            None => Ok(None),
        }
    }

    fn evolve(&mut self, events: &[EventOf<S>], at: Timestamp) -> Vec<(u32, EffectOf<S>)> {
        let recorded = Recorded { at_ms: at.0, term: self.writer.term };
        let mut effects = Vec::new();
        for (index, event) in (0..).zip(events) {
            S::Core::evolve(&mut self.replica.state, event, &recorded);
            let named = S::Core::react(&self.replica.state, event);
            effects.extend(named.into_iter().map(|effect| (index, effect)));
        }
        effects
    }

    fn unasked(&self, verb: &'static str) -> AskAbout {
        AskAbout {
            principal: self.own_name.clone(),
            verb,
            command_id: None,
            not_after: None,
            hash: schemas::Sha256Hash::ZERO,
            trace: None,
        }
    }

    fn record(&mut self, about: AskAbout, events: Vec<Box<RawValue>>) -> DecisionRecord {
        let id = about.command_id.unwrap_or_else(|| {
            self.undecided_ids += 1;
            let made_up = format!("c{:x}-{}", self.replica.head.revision, self.undecided_ids);
            CommandId::parse(&made_up).expect("hexadecimal digits and a dash make an id")
        });
        DecisionRecord {
            id,
            command: about.verb.to_owned(),
            principal: about.principal,
            cause: None,
            trace: about.trace,
            at: self.last_at.max(Timestamp(self.now_ms)),
            answer: None,
            events,
        }
    }

    fn keep(&mut self, record: DecisionRecord, effects: Vec<(u32, EffectOf<S>)>) {
        self.last_at = record.at;
        self.replica.repeats.record(&record);
        let bytes = size_of(&record);
        self.waiting_bytes += bytes;
        self.decided += 1;
        self.waiting_for_frame.push_back(Decision { record, effects, bytes });
    }

    /// The next frame, of as many waiting decisions as fit. Only one may be on its way at a time.
    pub(crate) fn next_frame(&mut self) -> Option<Outgoing<S>> {
        let count = fitting(self.waiting_for_frame.iter());
        if count == 0 {
            return None;
        }
        let decisions: Vec<_> = self.waiting_for_frame.drain(..count).collect();
        self.waiting_bytes -= decisions.iter().map(|decision| decision.bytes).sum::<usize>();
        Some(frame_of(&self.replica.head, &self.writer, decisions))
    }

    /// Takes note that a frame is committed at `sequence`, and says what waited for it.
    pub(crate) fn committed_frame(&mut self, outgoing: &Outgoing<S>, sequence: u64) {
        let Outgoing { frame, hash, events, .. } = outgoing;
        self.replica.advance(sequence, *hash, frame, *events);
        self.replica.head.at = frame.decisions.last().map_or(self.last_at, |last| last.at);
        self.writer.term = frame.term;
        if let Some(watcher) = &self.head_watch {
            watcher.send_replace(self.replica.head.clone());
        }
        self.committed += u64::try_from(frame.decisions.len()).unwrap_or(u64::MAX);
        while self.waiting_for_commit.front().is_some_and(|first| first.ordinal <= self.committed) {
            if let Some(Waiting { reply, said, .. }) = self.waiting_for_commit.pop_front() {
                // Nobody listens any more when this fails; then there is nobody to tell.
                drop(reply.send(said));
            }
        }
    }

    /// Answers everything that waits with `fault`: none of it is known to be in the log.
    pub(crate) fn give_up(self, fault: &Fault) {
        for Waiting { reply, .. } in self.waiting_for_commit {
            // Nobody listens any more when this fails; then there is nobody to tell.
            drop(reply.send(Err(fault.clone())));
        }
    }

    /// For `pause` commands that would record something are refused: the log was full just now.
    pub(crate) fn refuse_for(&mut self, pause: Duration) {
        self.full_until = Some(Instant::now() + pause);
    }

    /// Shows every committed head to `watcher` from here on.
    pub(crate) fn watch_head(&mut self, watcher: watch::Sender<Head>) {
        self.head_watch = Some(watcher);
    }
}

fn json(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("events and answers are plain structs with text keys")
}

/// Whether a repeat of a command is answered from the record.
#[derive(Clone, Copy)]
enum Repeatable {
    Yes,
    No,
}
