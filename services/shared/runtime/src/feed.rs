//! Committed events as others read them: made from frames, live or long after.

use schemas::{
    Cursor,
    feed::{EventsAnswer, EventsRequest, FeedEvent},
    frame::Frame,
    subject::LogName,
};

use crate::{
    EventOf, FollowError, Service,
    follow::patiently,
    replica::{AnyEvent, read_event, read_frame},
};
use jetstream_config::EventLog;

/// Events in one answer when nothing else is asked for.
const EVENTS_DEFAULT: u32 = 100;
/// Most events in one answer.
const EVENTS_MAX: u32 = 1000;
/// Largest answer, in bytes of its events; the broker takes messages of 1 MiB.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// How much of the log is read at once, in bytes.
const READ_BYTES: usize = 1024 * 1024;

/// The service's events of a frame, each with its place.
pub(crate) fn feed_events<S: Service>(
    frame: &Frame,
    sequence: u64,
    name: LogName,
) -> Result<Vec<FeedEvent>, serde_json::Error> {
    let mut events = Vec::new();
    let mut index = 0_u32;
    for decision in &frame.decisions {
        for raw in &decision.events {
            if let AnyEvent::Service(event) = read_event::<EventOf<S>>(raw)? {
                let (kind, id) = S::about(&event);
                events.push(FeedEvent {
                    cursor: Cursor {
                        partition: name.partition,
                        generation: name.generation,
                        sequence,
                        index,
                    },
                    at: decision.at,
                    principal: decision.principal.clone(),
                    kind: kind.to_owned(),
                    id: id.to_owned(),
                    trace: decision.trace.clone(),
                    event: raw.clone(),
                });
            }
            index = index.saturating_add(1);
        }
    }
    Ok(events)
}

/// Reads the events after a cursor from the log.
pub(crate) async fn read_events<S: Service, L: EventLog>(
    log: &L,
    name: LogName,
    request: &EventsRequest,
) -> Result<EventsAnswer, FollowError> {
    let limit = request.limit.unwrap_or(EVENTS_DEFAULT).clamp(1, EVENTS_MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let start = request.after.unwrap_or(Cursor { index: 0, sequence: 0, ..origin(name) });
    let mut answer = EventsAnswer { events: Vec::new(), next: start, at_head: false };
    let mut bytes = 0_usize;
    // The frame at the cursor may hold more events behind it.
    let mut after = start.sequence.saturating_sub(1);
    loop {
        let frames = patiently(|| log.read(after, READ_BYTES)).await?;
        if frames.is_empty() {
            answer.at_head = true;
            return Ok(answer);
        }
        for stored in frames {
            let frame = read_frame(&stored).map_err(FollowError::Fold)?;
            let events = feed_events::<S>(&frame, stored.sequence, name).map_err(|cause| {
                FollowError::Fold(crate::FoldError::Unreadable { sequence: stored.sequence, cause })
            })?;
            for event in events.into_iter().filter(|event| start < event.cursor) {
                if answer.events.len() == limit || ANSWER_BYTES_MAX < bytes {
                    return Ok(answer);
                }
                bytes += event.event.get().len() + event.id.len();
                answer.next = event.cursor;
                answer.events.push(event);
            }
            after = stored.sequence;
        }
    }
}

fn origin(name: LogName) -> Cursor {
    Cursor { partition: name.partition, generation: name.generation, sequence: 0, index: 0 }
}
