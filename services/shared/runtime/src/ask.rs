//! A request on its way through the loop, and what is said in return.

use schemas::{CommandId, Fault, PrincipalId, Sha256Hash, Timestamp};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::{AnswerOf, Request, Service};

/// A request with what came around it.
pub struct Ask<S: Service> {
    /// What is asked.
    pub request: Request<S::Core>,
    /// Who asks, and how it can be repeated.
    pub about: AskAbout,
    /// Where the answer goes, once everything that it rests on is committed.
    pub reply: oneshot::Sender<Result<Said<S>, Fault>>,
}

/// What a request says about itself.
#[derive(Clone, Debug)]
pub struct AskAbout {
    /// Who asks.
    pub principal: PrincipalId,
    /// The verb.
    pub verb: &'static str,
    /// Names the command for repetition; a command without one cannot be repeated safely.
    pub command_id: Option<CommandId>,
    /// When it must not be decided any more.
    pub not_after: Option<Timestamp>,
    /// SHA-256 of verb and body.
    pub hash: Sha256Hash,
    /// W3C `traceparent`.
    pub trace: Option<String>,
}

impl AskAbout {
    /// About something that `principal` asks for once, at no time in particular.
    pub(crate) fn once(principal: PrincipalId, verb: &'static str) -> Self {
        let (command_id, not_after, trace) = (None, None, None);
        Self { principal, verb, command_id, not_after, hash: Sha256Hash::ZERO, trace }
    }
}

/// What is said to a request.
pub enum Said<S: Service> {
    /// To a command: the answer as it is recorded.
    Recorded(Box<RawValue>),
    /// To a query, or to a command that is decided anew each time: an answer that may lack what is
    /// not in the state.
    Answer(AnswerOf<S>),
    /// To whoever only looked.
    Nothing,
}
