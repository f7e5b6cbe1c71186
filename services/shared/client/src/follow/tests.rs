//! Positions only move forward, each partition for itself.

use super::*;

#[test]
fn what_was_reached_is_not_reached_again() {
    let mut positions = Positions::default();
    assert!(positions.advance(at(0, 7, 1)));
    assert!(!positions.advance(at(0, 7, 1)));
    assert!(!positions.advance(at(0, 6, 9)));
    assert!(positions.advance(at(0, 7, 2)));
    assert!(positions.includes(at(0, 7, 0)));
    assert!(!positions.includes(at(0, 8, 0)));
}

#[test]
fn partitions_do_not_hide_each_other() {
    let mut positions = Positions::default();
    assert_eq!(positions.next_reads(), [None]);
    assert!(positions.advance(at(1, 9, 0)));
    assert!(positions.advance(at(0, 3, 0)));
    assert_eq!(positions.next_reads(), [Some(at(0, 3, 0)), Some(at(1, 9, 0))]);
}

#[test]
fn a_new_generation_is_ahead_of_every_sequence_of_the_old_one() {
    let mut positions = Positions::default();
    assert!(positions.advance(at(0, 1_000, 5)));
    let opened = Cursor { generation: 2, ..at(0, 1, 0) };
    assert!(positions.advance(opened));
    assert!(positions.includes(at(0, 2_000, 0)));
}

fn at(partition: u32, sequence: u64, index: u32) -> Cursor {
    Cursor { partition, generation: 1, sequence, index }
}
