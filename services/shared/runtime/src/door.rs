//! From a request as it was heard to an ask that the loop takes, and from what is said to bytes.

use std::time::Duration;

use bytes::Bytes;
use client::IncomingRequest;
use schemas::{ErrorCode, Fault, Sha256Hash};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::{
    Ask, AskAbout, Caller, FactsOf, Lines, Look, Request, Said, Service, StateOf,
    clock::wall_clock_ms,
};

/// How long an answer may wait for the log before whoever asks is told so.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(5);

/// What an ask will be answered with.
pub(crate) type Promised<S> = oneshot::Receiver<Result<Said<S>, Fault>>;

/// Reads a request and hands it to the loop.
pub(crate) async fn knock<S: Service>(
    service: &S,
    request: &IncomingRequest,
    lines: &Lines<S>,
) -> Result<Promised<S>, Fault> {
    let caller = Caller {
        principal: request.principal().clone(),
        trace: request.trace().map(str::to_owned),
        now_ms: wall_clock_ms(),
    };
    let asked = service.read(request.verb(), request.body(), &caller)?;
    let about = AskAbout {
        principal: caller.principal,
        verb: request.verb(),
        command_id: request.command_id().cloned(),
        not_after: request.not_after(),
        hash: hash(request.verb(), request.body()),
        trace: caller.trace,
    };
    let (reply, answer) = oneshot::channel();
    let ask = Ask { request: asked, about, reply };
    lines.asks.send(ask).await.map_err(|_| not_the_writer())?;
    Ok(answer)
}

/// Waits for what is said, completes it, and encodes it.
pub(crate) async fn wait<S: Service>(service: &S, answer: Promised<S>) -> Result<Bytes, Fault> {
    let confirmed = tokio::time::timeout(CONFIRMED_WITHIN, answer).await;
    match confirmed.map_err(|_| unconfirmed())?.map_err(|_| not_the_writer())?? {
        Said::Recorded(body) => Ok(Bytes::copy_from_slice(body.get().as_bytes())),
        Said::Answer(answer) => service.complete(answer).await.map(|answer| encode(&answer)),
        Said::Nothing => Ok(Bytes::new()),
    }
}

/// What `look` makes of state and facts as they are now.
pub(crate) async fn look<S: Service, T: Send + 'static>(
    lines: &Lines<S>,
    about: AskAbout,
    look: impl FnOnce(&StateOf<S>, &FactsOf<S>) -> T + Send + 'static,
) -> Result<T, Fault> {
    let (found, seen) = oneshot::channel();
    let look: Look<S::Core> = Box::new(move |state, facts| {
        // Nobody listens any more when this fails; then there is nobody to tell.
        drop(found.send(look(state, facts)));
    });
    let (reply, shown) = oneshot::channel();
    let ask = Ask { request: Request::Look(look), about, reply };
    lines.asks.send(ask).await.map_err(|_| not_the_writer())?;
    let confirmed = tokio::time::timeout(CONFIRMED_WITHIN, shown).await;
    confirmed.map_err(|_| unconfirmed())?.map_err(|_| not_the_writer())??;
    seen.await.map_err(|_| not_the_writer())
}

fn encode(value: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(value).expect("answers are plain structs with text keys").into()
}

fn hash(verb: &str, body: &[u8]) -> Sha256Hash {
    let digest = Sha256::new().chain_update(verb).chain_update([0]).chain_update(body);
    Sha256Hash(digest.finalize().into())
}

fn unconfirmed() -> Fault {
    let message = "the log does not confirm that this was recorded, or that nothing else was";
    Fault::new(ErrorCode::StorageUnconfirmed, message)
}

fn not_the_writer() -> Fault {
    Fault::new(ErrorCode::NotTheWriter, "this instance has stopped writing")
}
