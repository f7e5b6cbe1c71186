//! Places in a log, as text and in order.

use super::*;

#[test]
fn a_cursor_is_read_as_it_was_written() {
    for cursor in [Cursor::default(), cursor(1, 2, 3, 4), cursor(u32::MAX, 1, u64::MAX, 0)] {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}

#[test]
fn what_is_no_cursor_is_refused() {
    for text in
        ["", "0.1.2", "0.1.2.3.4", "0.1.2.x", "00.1.2.3", "+0.1.2.3", "0.1.2.-3", " 0.1.2.3"]
    {
        assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor(text.to_owned())));
    }
    assert!("0.1.99999999999999999999.0".parse::<Cursor>().is_err());
}

#[test]
fn cursors_stand_in_the_order_of_the_log() {
    let places = [
        cursor(0, 1, 9, 9),
        cursor(0, 2, 1, 0),
        cursor(0, 2, 1, 1),
        cursor(0, 2, 10, 0),
        cursor(1, 1, 1, 0),
    ];
    assert!(places.is_sorted());
}

#[test]
fn events_of_the_log_are_told_apart_by_their_prefix() {
    let instance = InstanceId::parse("registry-7").unwrap();
    let event = serde_json::to_value(LogEvent::TermStarted { instance }).unwrap();
    assert!(event["type"].as_str().unwrap().starts_with(LOG_EVENT_PREFIX));
}

fn cursor(partition: u32, generation: u32, sequence: u64, index: u32) -> Cursor {
    Cursor { partition, generation, sequence, index }
}
