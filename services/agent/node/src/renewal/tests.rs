//! When credentials are renewed, and over which connection.

use std::time::Duration;

use schemas::Timestamp;
use trust::nats::Summary;

use super::{LOOK_EVERY, Step, decide};

const BEGIN_S: u64 = 1_000_000;

fn login(life_s: Option<u64>) -> Summary {
    Summary {
        issuer: "A".to_owned(),
        subject: "U".to_owned(),
        name: "n1".to_owned(),
        issued_at_s: BEGIN_S,
        expires_at_s: life_s.map(|life_s| BEGIN_S + life_s),
    }
}

/// Credentials of an hour, `after_s` after they began.
fn check(after_s: u64, spread: u64, away_s: Option<u64>, expected: Step) {
    let now = Timestamp::from_seconds(BEGIN_S + after_s);
    let away = away_s.map(Duration::from_secs);
    assert_eq!(decide(&login(Some(3600)), now, (spread, away)), expected, "after {after_s} s");
}

#[test]
fn credentials_are_renewed_between_half_and_seven_tenths_of_their_life() {
    check(0, 0, None, Step::Wait(LOOK_EVERY));
    check(1799, 0, None, Step::Wait(Duration::from_secs(1)));
    check(1800, 0, None, Step::Ask);
    check(2519, 200, None, Step::Wait(Duration::from_secs(1)));
    check(2520, 200, None, Step::Ask);
    check(9999, 0, None, Step::Ask);
}

#[test]
fn a_node_without_a_connection_uses_the_renewal_credentials_when_it_may_have_to() {
    check(100, 0, Some(0), Step::Wait(Duration::from_secs(1)));
    check(3599, 0, Some(5), Step::Wait(Duration::from_secs(1)));
    check(3600, 0, Some(0), Step::AskAlone);
    check(100, 0, Some(20), Step::AskAlone);
}

#[test]
fn a_clock_far_behind_or_ahead_does_no_harm() {
    let now = Timestamp::from_seconds(0);
    assert_eq!(decide(&login(Some(3600)), now, (0, None)), Step::Wait(LOOK_EVERY));
    check(u64::MAX - BEGIN_S, 0, None, Step::Ask);
}

#[test]
fn credentials_that_never_end_are_left_alone() {
    let now = Timestamp::from_seconds(BEGIN_S * 2);
    assert_eq!(decide(&login(None), now, (0, None)), Step::Wait(LOOK_EVERY));
}
