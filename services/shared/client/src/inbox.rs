//! One subscription for all answers of a connection, and who waits for which.
//!
//! The multiplexer of async-nats keeps an entry for every request that was never answered, for
//! ever, and drops the answer to an attempt that was given up; here a slot outlives its attempts
//! and is gone with its request.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_nats::{Message, Subscriber};
use futures::StreamExt;
use tokio::{sync::mpsc, task::AbortHandle};

type Waiting = Arc<Mutex<HashMap<u64, mpsc::UnboundedSender<Message>>>>;

/// The inbox of one connection.
#[derive(Debug)]
pub(crate) struct Inbox {
    prefix: String,
    next: AtomicU64,
    waiting: Waiting,
    reading: AbortHandle,
}

impl Inbox {
    /// Subscribes to a name below `prefix` that no other connection has.
    ///
    /// # Errors
    ///
    /// The subject and why it could not be subscribed to.
    pub(crate) async fn open(
        nats: &async_nats::Client,
        prefix: &str,
    ) -> Result<Self, (String, async_nats::SubscribeError)> {
        let prefix = format!("{prefix}.{:016x}.", rand::random::<u64>());
        let subject = format!("{prefix}*");
        let messages = nats.subscribe(subject.clone()).await.map_err(|source| (subject, source))?;
        let waiting = Waiting::default();
        let task = tokio::spawn(deliver(messages, prefix.len(), Arc::clone(&waiting)));
        Ok(Self { prefix, next: AtomicU64::new(0), waiting, reading: task.abort_handle() })
    }

    /// A place for the answers to one request.
    pub(crate) fn slot(&self) -> Slot {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answers) = mpsc::unbounded_channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        let reply = format!("{}{id:x}", self.prefix);
        Slot { id, reply, answers, waiting: Arc::clone(&self.waiting) }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn deliver(mut messages: Subscriber, prefix_length: usize, waiting: Waiting) {
    while let Some(message) = messages.next().await {
        let token = message.subject.get(prefix_length..).unwrap_or_default();
        let Ok(id) = u64::from_str_radix(token, 16) else { continue };
        let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = waiting.get(&id) {
            // A request that has just been answered does not mind missing a repetition.
            drop(sender.send(message));
        }
    }
}

/// Where the answers to one request arrive, whichever of its attempts they answer.
#[derive(Debug)]
pub(crate) struct Slot {
    id: u64,
    reply: String,
    answers: mpsc::UnboundedReceiver<Message>,
    waiting: Waiting,
}

impl Slot {
    pub(crate) fn reply(&self) -> &str {
        &self.reply
    }

    /// The next answer. Never ends: the slot itself keeps its sender registered.
    pub(crate) async fn next(&mut self) -> Message {
        match self.answers.recv().await {
            Some(message) => message,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
