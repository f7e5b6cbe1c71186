//! Decisions that wait for their frame, and the frame that is made of them.
//!
//! **Invariant:** a frame holds whole decisions, in the order in which they were decided.

use std::sync::Arc;

use bytes::Bytes;
use schemas::{
    InstanceId, Sha256Hash,
    frame::{DecisionRecord, FRAME_BYTES_MAX, FRAME_VERSION, Frame},
};

use crate::{
    EffectOf, Service,
    replica::{Head, hash_of},
};

/// Bytes of a frame around its decisions, generously.
const FRAME_HEAD_BYTES: usize = 1024;
/// Bytes of a decision around its events and its answer: two ids, a hash, two times, the verb.
const DECISION_HEAD_BYTES: usize = 512;
/// Largest decision, so that each fits one frame.
pub(crate) const DECISION_BYTES_MAX: usize = FRAME_BYTES_MAX - FRAME_HEAD_BYTES;

/// A decision that is in the speculative state, but not yet in the log.
pub(crate) struct Decision<S: Service> {
    /// What the log will keep.
    pub(crate) record: DecisionRecord,
    /// What to do once it is committed, each with the index of its event in the decision.
    pub(crate) effects: Vec<(u32, EffectOf<S>)>,
    /// Upper bound of its encoded size.
    pub(crate) bytes: usize,
}

/// Upper bound of a record's encoded size.
pub(crate) fn size_of(record: &DecisionRecord) -> usize {
    let events: usize = record.events.iter().map(|event| event.get().len() + 1).sum();
    let answer = record.answer.as_ref().map_or(0, |answer| answer.body.get().len());
    let trace = record.trace.as_ref().map_or(0, String::len);
    DECISION_HEAD_BYTES + events + answer + trace
}

/// A frame that is about to be committed.
pub(crate) struct Outgoing<S: Service> {
    /// The frame.
    pub(crate) frame: Arc<Frame>,
    /// Its encoding.
    pub(crate) bytes: Bytes,
    /// SHA-256 of the encoding.
    pub(crate) hash: Sha256Hash,
    /// Events in it.
    pub(crate) events: u32,
    /// What to do once it is committed, each with the index of its event in the frame.
    pub(crate) effects: Vec<(u32, EffectOf<S>)>,
}

/// Who writes, and in which term; 0 opens a new one with this very frame.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) instance: InstanceId,
    pub(crate) term: u64,
}

/// Makes the frame that follows `head` of `decisions`.
pub(crate) fn frame_of<S: Service>(
    head: &Head,
    writer: &Writer,
    decisions: Vec<Decision<S>>,
) -> Outgoing<S> {
    let revision = head.revision + 1;
    let mut effects = Vec::new();
    let mut events = 0_u32;
    let mut records = Vec::with_capacity(decisions.len());
    for decision in decisions {
        for (index, effect) in decision.effects {
            effects.push((events.saturating_add(index), effect));
        }
        let count = u32::try_from(decision.record.events.len()).unwrap_or(u32::MAX);
        events = events.saturating_add(count);
        records.push(decision.record);
    }
    let frame = Frame {
        v: FRAME_VERSION,
        id: format!("{:032x}", rand::random::<u128>()),
        instance: writer.instance.clone(),
        term: if writer.term == 0 { revision } else { writer.term },
        revision,
        prev: head.hash,
        decisions: records,
    };
    let bytes = serde_json::to_vec(&frame).expect("frames are plain structs with text keys");
    let bytes = Bytes::from(bytes);
    Outgoing { hash: hash_of(&bytes), bytes, frame: Arc::new(frame), events, effects }
}

/// How many of the waiting decisions the next frame takes.
pub(crate) fn fitting<'a, S: Service>(waiting: impl Iterator<Item = &'a Decision<S>>) -> usize {
    let mut bytes = FRAME_HEAD_BYTES;
    let fits = |decision: &&Decision<S>| {
        bytes += decision.bytes;
        bytes <= FRAME_BYTES_MAX
    };
    waiting.take_while(fits).count()
}
