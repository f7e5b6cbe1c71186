//! The event log in memory, with every fault that the real one was seen to have.
//!
//! **Invariant:** what happens depends on the seed, the script and the order of calls alone.
//! **Invariant:** like the broker, it stores nothing behind a fence that has been passed, not even
//! a frame that was long on its way; only [`TwinLog::store_unguarded`] does.

mod fault;
mod state;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;

pub use self::fault::Fault;
use self::state::State;
use crate::log::{Append, EventLog, LogError, StoredFrame};

/// Name that stands in errors where JetStream's stream would.
const STREAM: &str = "the log in memory";

/// A handle on a log in memory. Clones share log and connection.
#[derive(Clone, Debug, Default)]
pub struct TwinLog {
    state: Arc<Mutex<State>>,
    connection: Arc<Connection>,
}

#[derive(Debug, Default)]
struct Connection {
    lost: AtomicBool,
}

impl TwinLog {
    /// An empty log without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty log in which `per_mille` of a thousand appends meet a fault that `seed` chooses.
    #[must_use]
    pub fn with_faults(seed: u64, per_mille: u32) -> Self {
        let twin = Self::new();
        twin.state().set_chance(seed, per_mille);
        twin
    }

    /// The same log through a connection of its own, as another process has it.
    #[must_use]
    pub fn another_connection(&self) -> Self {
        Self { state: Arc::clone(&self.state), connection: Arc::default() }
    }

    /// Has the next appends meet these faults, one each, before chance is asked again.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().script(faults);
    }

    /// Ends chance; what is scripted or on its way stays.
    pub fn calm(&self) {
        self.state().set_chance(0, 0);
    }

    /// Cuts this connection. What is sent meanwhile is queued, as async-nats does it.
    pub fn disconnect(&self) {
        self.connection.lost.store(true, Ordering::SeqCst);
    }

    /// Mends this connection; what was queued on any connection lands, where its fence allows.
    pub fn reconnect(&self) {
        self.connection.lost.store(false, Ordering::SeqCst);
        self.state().land_queued();
    }

    /// How many frames were sent while disconnected; a careful writer sends none.
    #[must_use]
    pub fn sent_while_disconnected(&self) -> u64 {
        self.state().sent_while_disconnected
    }

    /// Refuses appends as full from `bytes` of frames on; `None` has no limit.
    pub fn limit_bytes(&self, bytes: Option<usize>) {
        self.state().limit_bytes = bytes;
    }

    /// Hides the last `frames` frames from [`EventLog::read`], as a follower behind its leader does.
    pub fn lag_reads(&self, frames: u64) {
        self.state().read_lag = frames;
    }

    /// Takes the log back to `sequence`, as a restored disk does.
    pub fn truncate(&self, sequence: u64) {
        self.state().truncate(sequence);
    }

    /// Stores a frame behind any fence, as brokers before 2.14.5 could, and says where.
    pub fn store_unguarded(&self, bytes: Bytes) -> u64 {
        self.state().store(bytes)
    }

    /// Lands everything that is on its way, where its fence allows.
    pub fn land_ghosts(&self) {
        self.state().land_all();
    }

    /// All frames.
    #[must_use]
    pub fn frames(&self) -> Vec<StoredFrame> {
        self.state().frames_after(0, usize::MAX)
    }

    /// How often each fault was met, so that a test can tell that it was not idle.
    #[must_use]
    pub fn faults_met(&self) -> BTreeMap<&'static str, u64> {
        self.state().faults_met.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state for one read, ghosts landed; an error while disconnected.
    fn reached(&self, attempt: &'static str) -> Result<MutexGuard<'_, State>, LogError> {
        if !self.connected() {
            let (stream, cause) = (STREAM.to_owned(), "disconnected".into());
            return Err(LogError::Unavailable { attempt, stream, cause });
        }
        let mut state = self.state();
        state.tick();
        Ok(state)
    }
}

impl EventLog for TwinLog {
    async fn append(&self, fence: u64, bytes: Bytes) -> Append {
        // Lets rivals run between any two calls, as they do around a real network.
        tokio::task::yield_now().await;
        if self.connected() {
            self.state().append(fence, bytes)
        } else {
            self.state().queue(fence, bytes)
        }
    }

    async fn next_after(&self, sequence: u64) -> Result<Option<StoredFrame>, LogError> {
        tokio::task::yield_now().await;
        let state = self.reached("reading the next frame of")?;
        Ok(state.frames_after(sequence, 1).pop())
    }

    async fn last_sequence(&self) -> Result<u64, LogError> {
        tokio::task::yield_now().await;
        Ok(self.reached("asking for the last sequence of")?.last_sequence())
    }

    async fn read(&self, after: u64, bytes_max: usize) -> Result<Vec<StoredFrame>, LogError> {
        tokio::task::yield_now().await;
        let state = self.reached("reading")?;
        let visible = state.last_sequence().saturating_sub(state.read_lag);
        let mut frames = state.frames_after(after, bytes_max);
        frames.retain(|frame| frame.sequence <= visible);
        Ok(frames)
    }

    fn connected(&self) -> bool {
        !self.connection.lost.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests;
