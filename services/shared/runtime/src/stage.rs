//! Where a partition's writer and standbys meet the world, and one another.
//!
//! **Invariant:** nothing here makes writing safe: two who both believe to be the writer are told
//! apart by the log's fence. Beats only save them the trouble.

use std::{future::Future, sync::Arc, time::Duration};

use jetstream_config::StoredFrame;
use schemas::{Fault, InstanceId, frame::Frame};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{Ask, ObservationOf, Service};

/// Sign of life of a writer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beat {
    /// The writer.
    pub instance: InstanceId,
    /// Its term.
    pub term: u64,
    /// Sequence of the last frame that it committed.
    pub sequence: u64,
}

/// A frame that this writer has just committed.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Where it stands, and its bytes.
    pub stored: StoredFrame,
    /// The same, parsed.
    pub frame: Arc<Frame>,
}

/// What a partition's process needs of its surroundings.
pub trait Stage<S: Service>: Send + Sync + 'static {
    /// Stops taking requests when dropped.
    type Serving: Send;

    /// Whether the broker can be reached.
    fn connected(&self) -> bool;

    /// Shows the standbys that this writer lives; must not wait.
    fn beat(&self, beat: &Beat);

    /// Waits for a beat of whoever writes, at most `within`.
    fn next_beat(&self, within: Duration) -> impl Future<Output = Option<Beat>> + Send;

    /// Asks whether somebody writes: false only when certainly nobody does.
    fn somebody_writes(&self) -> impl Future<Output = bool> + Send;

    /// Starts taking requests and observations, as the writer.
    ///
    /// # Errors
    ///
    /// `UNREACHABLE` when the broker does not take the subscription.
    fn serve(
        &self,
        lines: Lines<S>,
        beat: Beat,
    ) -> impl Future<Output = Result<Self::Serving, Fault>> + Send;

    /// Tells the live feed of a committed frame; must not wait.
    fn announce(&self, committed: &Committed);
}

/// The lines into a writer's loop.
pub struct Lines<S: Service> {
    /// Requests.
    pub asks: mpsc::Sender<Ask<S>>,
    /// Observations.
    pub observations: mpsc::Sender<ObservationOf<S>>,
}

impl<S: Service> Clone for Lines<S> {
    fn clone(&self) -> Self {
        Self { asks: self.asks.clone(), observations: self.observations.clone() }
    }
}
