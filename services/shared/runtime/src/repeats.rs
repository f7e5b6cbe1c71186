//! Remembers answered commands, so that a repeat is answered alike and nothing happens twice.
//!
//! **Invariant:** made from the log alone, so the next writer answers repeats as this one did.
//! **Invariant:** shrinks by the times of frames, never by a clock.

use std::collections::{BTreeMap, HashMap};

use schemas::{
    CommandId, PrincipalId, Sha256Hash, Timestamp,
    frame::{DecisionRecord, RecordedAnswer},
    protocol::ANSWER_KEPT_AFTER,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A command as its sender can repeat it.
type Key = (PrincipalId, CommandId);

/// Answers by (principal, command id), each kept until its command cannot be repeated any more.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Kept>", into = "Vec<Kept>")]
pub(crate) struct Repeats {
    /// Looked up on every command and never walked in its own order.
    answers: HashMap<Key, RecordedAnswer>,
    /// What ends when: most ends lie at the far side, so this only grows there.
    by_end: BTreeMap<Timestamp, Vec<Key>>,
}

/// An answer as a snapshot holds it; the raw JSON is text there, for snapshots are not JSON.
#[derive(Serialize, Deserialize)]
struct Kept {
    principal: PrincipalId,
    id: CommandId,
    command_hash: Sha256Hash,
    not_after: Timestamp,
    body: String,
}

impl Repeats {
    /// The answer that the command was given, if it was decided before.
    pub(crate) fn find(&self, principal: &PrincipalId, id: &CommandId) -> Option<&RecordedAnswer> {
        self.answers.get(&(principal.clone(), id.clone()))
    }

    /// Takes a decision into account: its answer, and its time for what is older.
    pub(crate) fn record(&mut self, decision: &DecisionRecord) {
        self.forget_until(decision.at);
        if let Some(answer) = &decision.answer {
            self.insert((decision.principal.clone(), decision.id.clone()), answer.clone());
        }
    }

    fn insert(&mut self, key: Key, answer: RecordedAnswer) {
        self.by_end.entry(end(&answer)).or_default().push(key.clone());
        self.answers.insert(key, answer);
    }

    fn forget_until(&mut self, now: Timestamp) {
        while let Some(first) = self.by_end.first_entry().filter(|first| *first.key() < now) {
            for key in first.remove() {
                self.answers.remove(&key);
            }
        }
    }
}

fn end(answer: &RecordedAnswer) -> Timestamp {
    let kept_ms = u64::try_from(ANSWER_KEPT_AFTER.as_millis()).unwrap_or(u64::MAX);
    answer.not_after.plus_ms(kept_ms)
}

impl TryFrom<Vec<Kept>> for Repeats {
    type Error = serde_json::Error;
    fn try_from(kept: Vec<Kept>) -> Result<Self, serde_json::Error> {
        let mut repeats = Self::default();
        for Kept { principal, id, command_hash, not_after, body } in kept {
            let body = RawValue::from_string(body)?;
            repeats.insert((principal, id), RecordedAnswer { command_hash, not_after, body });
        }
        Ok(repeats)
    }
}

impl From<Repeats> for Vec<Kept> {
    /// In the order of their ends, so that equal tables are equal bytes.
    fn from(mut repeats: Repeats) -> Self {
        let keys = std::mem::take(&mut repeats.by_end).into_values().flatten();
        let mut all = Self::new();
        for key in keys {
            if let Some(answer) = repeats.answers.remove(&key) {
                let RecordedAnswer { command_hash, not_after, body } = answer;
                let (principal, id) = key;
                let body = body.get().to_owned();
                all.push(Kept { principal, id, command_hash, not_after, body });
            }
        }
        all
    }
}
