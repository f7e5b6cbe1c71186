//! Remembers answered commands, so that a repeat is answered alike and nothing happens twice.
//!
//! **Invariant:** made from the log alone, so the next writer answers repeats as this one did.
//! **Invariant:** shrinks by the times of frames, never by a clock.

use std::collections::{BTreeMap, BTreeSet};

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
    answers: BTreeMap<Key, RecordedAnswer>,
    by_end: BTreeSet<(Timestamp, Key)>,
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
        self.by_end.insert((end(&answer), key.clone()));
        self.answers.insert(key, answer);
    }

    fn forget_until(&mut self, now: Timestamp) {
        while self.by_end.first().is_some_and(|(end, _)| *end < now) {
            if let Some((_, key)) = self.by_end.pop_first() {
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
    fn from(repeats: Repeats) -> Self {
        let each = repeats.answers.into_iter();
        each.map(|((principal, id), RecordedAnswer { command_hash, not_after, body })| Kept {
            principal,
            id,
            command_hash,
            not_after,
            body: body.get().to_owned(),
        })
        .collect()
    }
}
