//! A service's state as the log makes it: frames in, state out, and nothing that does not continue.
//!
//! **Invariant:** a frame is folded only if its `prev`, revision and term continue those before; a
//! revision that was folded already is skipped; anything else halts.
//! **Invariant:** folding causes nothing in the world.

use decider::{Decider, Recorded};
use jetstream_config::StoredFrame;
use schemas::{
    Cursor, ErrorCode, InstanceId, Sha256Hash, Timestamp,
    frame::{FRAME_VERSION, Frame, LOG_EVENT_PREFIX, LogEvent},
    subject::LogName,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{EventOf, Service, StateOf, repeats::Repeats};

/// The last frame that was folded, or that this process has committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Partition of the service.
    pub partition: u32,
    /// Generation of the stream.
    pub generation: u32,
    /// Sequence in that stream; 0 before the first frame.
    pub sequence: u64,
    /// Frames since the first generation began.
    pub revision: u64,
    /// SHA-256 of the frame's bytes.
    pub hash: Sha256Hash,
    /// Term of its writer.
    pub term: u64,
    /// Its writer; nobody before the first frame.
    pub instance: Option<InstanceId>,
    /// When its last decision was made.
    pub at: Timestamp,
    /// Events in it, so that the cursor after its last one is known.
    pub events: u32,
}

impl Head {
    /// Before the first frame of a log.
    #[must_use]
    pub fn genesis(log: LogName) -> Self {
        Self {
            partition: log.partition,
            generation: log.generation,
            sequence: 0,
            revision: 0,
            hash: Sha256Hash::ZERO,
            term: 0,
            instance: None,
            at: Timestamp::default(),
            events: 0,
        }
    }

    /// The cursor after its last event.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor_at(self.sequence, self.events.saturating_sub(1))
    }

    /// The cursor after event `index` of the frame at `sequence`.
    #[must_use]
    pub fn cursor_at(&self, sequence: u64, index: u32) -> Cursor {
        Cursor { partition: self.partition, generation: self.generation, sequence, index }
    }
}

/// Why a frame was not folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// It is not a frame that this version can read.
    #[error("the frame at {sequence} cannot be read")]
    Unreadable {
        /// Where it stands.
        sequence: u64,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
    /// It is of another format.
    #[error("the frame at {sequence} has format {found}, this version reads {FRAME_VERSION}")]
    Format {
        /// Where it stands.
        sequence: u64,
        /// Its format.
        found: u16,
    },
    /// It does not continue what was folded before.
    #[error("the frame at {sequence} does not continue the log: {problem}")]
    Broken {
        /// Where it stands.
        sequence: u64,
        /// What does not fit.
        problem: String,
    },
}

impl FoldError {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        ErrorCode::LogDamaged
    }
}

/// One event with all that the log says about it.
pub(crate) struct Folded<'a, S: Service> {
    /// The event.
    pub(crate) event: &'a EventOf<S>,
    /// Right after it.
    pub(crate) cursor: Cursor,
    /// State that includes it and nothing after it.
    pub(crate) state: &'a StateOf<S>,
    /// Its size in the log, in bytes.
    pub(crate) bytes: usize,
}

/// An event as a frame holds it: the service's, or the log's own.
pub(crate) enum AnyEvent<E> {
    /// Of the service.
    Service(E),
    /// Of the log itself.
    Log(LogEvent),
}

/// Reads an event of a frame.
pub(crate) fn read_event<E: for<'de> Deserialize<'de>>(
    raw: &RawValue,
) -> Result<AnyEvent<E>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Tag<'a> {
        #[serde(borrow, rename = "type")]
        name: std::borrow::Cow<'a, str>,
    }
    let Tag { name } = serde_json::from_str(raw.get())?;
    if name.starts_with(LOG_EVENT_PREFIX) {
        return serde_json::from_str(raw.get()).map(AnyEvent::Log);
    }
    serde_json::from_str(raw.get()).map(AnyEvent::Service)
}

/// The fold of a log up to its head.
pub(crate) struct Replica<S: Service> {
    /// What the service remembers.
    pub(crate) state: StateOf<S>,
    /// Which commands were answered how.
    pub(crate) repeats: Repeats,
    /// Up to where.
    pub(crate) head: Head,
    /// The newest snapshot that the log announces.
    pub(crate) snapshot: Option<LogEvent>,
}

impl<S: Service> Clone for Replica<S> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            repeats: self.repeats.clone(),
            head: self.head.clone(),
            snapshot: self.snapshot.clone(),
        }
    }
}

impl<S: Service> Replica<S> {
    /// Before the first frame.
    pub(crate) fn genesis(log: LogName) -> Self {
        Self {
            state: StateOf::<S>::default(),
            repeats: Repeats::default(),
            head: Head::genesis(log),
            snapshot: None,
        }
    }

    /// Folds the frame at `stored.sequence`, showing each of the service's events to `each`.
    /// Returns whether it was new.
    pub(crate) fn fold(
        &mut self,
        stored: &StoredFrame,
        mut each: impl FnMut(Folded<'_, S>),
    ) -> Result<bool, FoldError> {
        if stored.sequence <= self.head.sequence {
            return Ok(false);
        }
        let frame = read_frame(stored)?;
        let hash = hash_of(&stored.bytes);
        self.check(stored.sequence, &frame)?;
        let mut index = 0_u32;
        for decision in &frame.decisions {
            self.repeats.record(decision);
            let recorded = Recorded { at_ms: decision.at.0, term: frame.term };
            for raw in &decision.events {
                let unreadable = |cause| FoldError::Unreadable { sequence: stored.sequence, cause };
                match read_event::<EventOf<S>>(raw).map_err(unreadable)? {
                    AnyEvent::Service(event) => {
                        S::Core::evolve(&mut self.state, &event, &recorded);
                        let cursor = self.head.cursor_at(stored.sequence, index);
                        let bytes = raw.get().len();
                        each(Folded { event: &event, cursor, state: &self.state, bytes });
                    }
                    AnyEvent::Log(event) => self.take(event),
                }
                index = index.saturating_add(1);
            }
            self.head.at = decision.at;
        }
        self.advance(stored.sequence, hash, &frame, index);
        Ok(true)
    }

    /// Remembers an event of the log itself.
    pub(crate) fn take(&mut self, event: LogEvent) {
        match event {
            LogEvent::TermStarted { .. } => (),
            LogEvent::SnapshotTaken { .. } => self.snapshot = Some(event),
        }
    }

    /// Moves the head over a frame whose events are in the state already.
    pub(crate) fn advance(&mut self, sequence: u64, hash: Sha256Hash, frame: &Frame, events: u32) {
        self.head.sequence = sequence;
        self.head.revision = frame.revision;
        self.head.hash = hash;
        self.head.term = frame.term;
        self.head.instance = Some(frame.instance.clone());
        self.head.events = events;
    }

    fn check(&self, sequence: u64, frame: &Frame) -> Result<(), FoldError> {
        let broken = |problem: String| Err(FoldError::Broken { sequence, problem });
        let head = &self.head;
        if sequence != head.sequence + 1 {
            return broken(format!("it follows {}, but frames run without a gap", head.sequence));
        }
        if frame.revision != head.revision + 1 {
            return broken(format!("revision {} follows {}", frame.revision, head.revision));
        }
        if frame.prev != head.hash {
            return broken(format!(
                "its prev is {}, the frame before is {}",
                frame.prev, head.hash
            ));
        }
        let mut latest = head.at;
        for decision in &frame.decisions {
            if decision.at < latest {
                return broken(format!("it goes back in time to {}", decision.at));
            }
            latest = decision.at;
        }
        let starts_term = frame.term == frame.revision && starts_with_term(frame);
        let continues_term =
            frame.term == head.term && Some(&frame.instance) == head.instance.as_ref();
        if starts_term || continues_term {
            return Ok(());
        }
        broken(format!("{} writes in term {} after {}", frame.instance, frame.term, head.term))
    }
}

/// Reads a stored frame, checking its format.
pub(crate) fn read_frame(stored: &StoredFrame) -> Result<Frame, FoldError> {
    let sequence = stored.sequence;
    let frame: Frame = serde_json::from_slice(&stored.bytes)
        .map_err(|cause| FoldError::Unreadable { sequence, cause })?;
    if frame.v != FRAME_VERSION {
        return Err(FoldError::Format { sequence, found: frame.v });
    }
    Ok(frame)
}

fn starts_with_term(frame: &Frame) -> bool {
    let first = frame.decisions.first().and_then(|decision| decision.events.first());
    let event = first.and_then(|raw| serde_json::from_str::<LogEvent>(raw.get()).ok());
    matches!(event, Some(LogEvent::TermStarted { instance }) if instance == frame.instance)
}

/// SHA-256 of a frame's bytes.
pub(crate) fn hash_of(bytes: &[u8]) -> Sha256Hash {
    Sha256Hash(Sha256::digest(bytes).into())
}
