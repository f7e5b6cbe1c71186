//! Waits grow, stay below their limit and differ with the random number.

use super::*;

#[test]
fn waits_to_reconnect_double_up_to_the_limit_and_never_pass_it() {
    for (attempt, least_ms, most_ms) in
        [(1, 0, 99), (2, 25, 50), (3, 50, 100), (8, 1600, 3200), (9, 2000, 4000), (500, 2000, 4000)]
    {
        for random in [0, 1, 7919, u64::MAX] {
            let delay = reconnect_delay(attempt, random).as_millis();
            assert!((least_ms..=most_ms).contains(&delay), "attempt {attempt}: {delay} ms");
        }
    }
}

#[test]
fn waits_differ_with_the_random_number() {
    assert_ne!(reconnect_delay(9, 1), reconnect_delay(9, 1000));
    assert_ne!(reconnect_delay(1, 1), reconnect_delay(1, 2));
    assert_ne!(retry_delay(1), retry_delay(2));
}

#[test]
fn a_request_is_sent_again_after_50_to_250_ms() {
    for random in [0, 1, 200, 201, u64::MAX] {
        assert!((50..=250).contains(&retry_delay(random).as_millis()));
    }
}
