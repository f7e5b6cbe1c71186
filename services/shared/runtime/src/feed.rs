//! Committed events as others read them: made from frames, live or long after.

use jetstream_config::{EventLog, StoredFrame};
use schemas::{
    Cursor, ErrorCode, Fault,
    feed::{EventsRequest, FeedEvent},
    frame::Frame,
    subject::LogName,
};

use crate::{
    EventOf, FoldError, FollowError, Service,
    chain::chain,
    follow::{patiently, wait_for_a_replica},
    replica::{AnyEvent, read_event, read_frame},
};

/// Events in one answer when nothing else is asked for.
const EVENTS_DEFAULT: u32 = 100;
/// Most events in one answer.
const EVENTS_MAX: u32 = 1000;
/// Largest answer before its last event, in bytes; the broker takes messages of 1 MiB.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// Bytes of an event in an answer around the event itself, generously.
const EVENT_HEAD_BYTES: usize = 512;
/// How much of the log is read at once, in bytes.
const READ_BYTES: usize = 1024 * 1024;

/// An event, and how it is shown to whoever may read it.
pub(crate) struct ReadEvent<S: Service> {
    pub(crate) event: EventOf<S>,
    pub(crate) shown: FeedEvent,
}

/// A piece of the log, before anybody has asked who may read it.
pub(crate) struct Page<S: Service> {
    pub(crate) events: Vec<ReadEvent<S>>,
    pub(crate) next: Cursor,
    pub(crate) at_head: bool,
}

/// The service's events of a frame, each with its place.
pub(crate) fn feed_events<S: Service>(
    frame: &Frame,
    sequence: u64,
    name: LogName,
) -> Result<Vec<ReadEvent<S>>, serde_json::Error> {
    let mut events = Vec::new();
    let mut index = 0_u32;
    for decision in &frame.decisions {
        for raw in &decision.events {
            if let AnyEvent::Service(event) = read_event::<EventOf<S>>(raw)? {
                let (kind, id) = S::about(&event);
                let LogName { partition, generation, .. } = name;
                let shown = FeedEvent {
                    cursor: Cursor { partition, generation, sequence, index },
                    at: decision.at,
                    principal: decision.principal.clone(),
                    kind: kind.to_owned(),
                    id: id.to_owned(),
                    trace: decision.trace.clone(),
                    event: raw.clone(),
                };
                events.push(ReadEvent { event, shown });
            }
            index = index.saturating_add(1);
        }
    }
    Ok(events)
}

/// Why events could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventsError {
    /// The log could not be read.
    #[error("reading the events failed")]
    Follow(#[source] FollowError),
    /// The cursor is of another log.
    #[error("{cursor} is not a cursor of {log}")]
    Foreign { cursor: Cursor, log: String },
    /// The cursor lies behind the end of the log.
    #[error("{log} ends at {last}, before {cursor}")]
    Beyond { cursor: Cursor, log: String, last: u64 },
}

impl EventsError {
    /// The error as users see it.
    pub(crate) fn fault(&self) -> Fault {
        let code = match self {
            Self::Follow(error) => error.code(),
            Self::Foreign { .. } => ErrorCode::InvalidValue,
            Self::Beyond { .. } => ErrorCode::LogRegressed,
        };
        Fault::new(code, chain(self))
    }
}

/// Reads the events after a cursor from the log.
pub(crate) async fn read_events<S: Service, L: EventLog>(
    log: &L,
    name: LogName,
    request: &EventsRequest,
) -> Result<Page<S>, EventsError> {
    let limit = request.limit.unwrap_or(EVENTS_DEFAULT).clamp(1, EVENTS_MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let start = request.after.unwrap_or_else(|| origin(name));
    if (start.partition, start.generation) != (name.partition, name.generation) {
        return Err(EventsError::Foreign { cursor: start, log: name.stream() });
    }
    let mut page = Page { events: Vec::new(), next: start, at_head: false };
    let mut bytes = 0_usize;
    // The frame at the cursor may hold more events behind it.
    let mut after = start.sequence.saturating_sub(1);
    loop {
        let frames =
            patiently(|| log.read(after, READ_BYTES)).await.map_err(EventsError::Follow)?;
        if frames.is_empty() && ends_at(log, name, (after, start)).await? {
            page.at_head = true;
            return Ok(page);
        }
        for stored in frames {
            let events = events_of::<S>(&stored, name).map_err(EventsError::Follow)?;
            for read in events.into_iter().filter(|read| start < read.shown.cursor) {
                if page.events.len() == limit || ANSWER_BYTES_MAX < bytes {
                    return Ok(page);
                }
                bytes += read.shown.event.get().len() + EVENT_HEAD_BYTES;
                page.next = read.shown.cursor;
                page.events.push(read);
            }
            after = stored.sequence;
        }
    }
}

/// Whether the log ends at sequence `after`. A bulk read that brought nothing does not show that,
/// for a replica that lags may have answered it.
async fn ends_at<L: EventLog>(
    log: &L,
    name: LogName,
    (after, start): (u64, Cursor),
) -> Result<bool, EventsError> {
    let last = patiently(|| log.last_sequence()).await.map_err(EventsError::Follow)?;
    if last < start.sequence {
        return Err(EventsError::Beyond { cursor: start, log: name.stream(), last });
    }
    if last <= after {
        return Ok(true);
    }
    wait_for_a_replica().await;
    Ok(false)
}

fn events_of<S: Service>(
    stored: &StoredFrame,
    name: LogName,
) -> Result<Vec<ReadEvent<S>>, FollowError> {
    let sequence = stored.sequence;
    let frame = read_frame(stored).map_err(FollowError::Fold)?;
    feed_events::<S>(&frame, sequence, name)
        .map_err(|cause| FollowError::Fold(FoldError::Unreadable { sequence, cause }))
}

fn origin(name: LogName) -> Cursor {
    Cursor { partition: name.partition, generation: name.generation, sequence: 0, index: 0 }
}
