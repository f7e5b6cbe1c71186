//! Times: expired, early, from the future, too long, and clocks that stand elsewhere.

use schemas::{ErrorCode, claims::RequestClaims};
use trust::{
    ASSIGNMENT_LIFETIME_MAX_S, Anchor, Assignment, CLOCK_SKEW_S, REQUEST_LIFETIME_MAX_S, Request,
    TrustAnchors, sign,
};

use crate::{
    cbor::unsigned,
    forge::{Draft, EXP, IAT, NBF, claims},
    support::{NOW_S, World, anchor, assignment, cluster, request},
};

/// A request with these times, signed whatever they are.
fn timed(issued_at_s: u64, not_before_s: u64, expires_at_s: u64) -> Vec<u8> {
    let mut claims = claims();
    for (key, value) in &mut claims {
        match *key {
            EXP => *value = unsigned(expires_at_s),
            NBF => *value = unsigned(not_before_s),
            IAT => *value = unsigned(issued_at_s),
            _ => (),
        }
    }
    Draft::of(&claims).seal()
}

#[test]
fn attack_27_an_expired_request_is_refused() {
    let mut world = World::new();
    let envelope = timed(NOW_S, NOW_S, NOW_S + 3600);
    world.check(&envelope, None, "in time");
    for late_s in [CLOCK_SKEW_S, 60, 3600, 86_400] {
        world.now_s = NOW_S + 3600 + late_s;
        world.check(&envelope, Some(ErrorCode::Expired), &format!("{late_s} s late"));
    }
    world.now_s = NOW_S;
    world.check(&timed(NOW_S - 900, NOW_S - 900, NOW_S - 60), Some(ErrorCode::Expired), "long ago");
}

#[test]
fn attack_28_a_request_before_its_time_is_refused() {
    let mut world = World::new();
    world.check(&timed(NOW_S, NOW_S, NOW_S + 3600), None, "from now on");
    for early_s in [CLOCK_SKEW_S + 1, 60, 900] {
        let envelope = timed(NOW_S, NOW_S + early_s, NOW_S + 3600);
        world.check(&envelope, Some(ErrorCode::NotYetValid), &format!("{early_s} s early"));
        world.now_s = NOW_S + early_s;
        world.check(&envelope, None, "when its time has come");
        world.now_s = NOW_S;
    }
}

#[test]
fn attack_29_a_request_issued_in_the_future_is_refused() {
    let world = World::new();
    world.check(&timed(NOW_S, NOW_S, NOW_S + 3600), None, "issued now");
    let not_yet = Some(ErrorCode::NotYetValid);
    for ahead_s in [CLOCK_SKEW_S + 1, 60, 900] {
        let issued = NOW_S + ahead_s;
        world.check(&timed(issued, issued, issued + 60), not_yet, &format!("{ahead_s} s ahead"));
        // It cannot be valid before it was issued either.
        let claims_invalid = Some(ErrorCode::ClaimsInvalid);
        world.check(&timed(issued, NOW_S, issued + 60), claims_invalid, "valid before its issue");
    }
}

#[test]
fn attack_30_a_life_over_the_cap_is_refused_however_it_is_asked_for() {
    let world = World::new();
    let longest = NOW_S + REQUEST_LIFETIME_MAX_S;
    world.check(&timed(NOW_S, NOW_S, longest), None, "30 days");
    let too_long = Some(ErrorCode::LifetimeTooLong);
    world.check(&timed(NOW_S, NOW_S, longest + 1), too_long, "30 days and a second");
    world.check(&timed(NOW_S - 1, NOW_S, longest), too_long, "from its issue, not from its begin");
    world.check(&timed(NOW_S, NOW_S, u64::MAX), too_long, "for ever");
    world.check(&timed(0, NOW_S, NOW_S + 1), Some(ErrorCode::KeyNotValid), "issued in 1970");
    let claims = RequestClaims { expires_at_s: longest + 1, ..request() };
    let refused = sign::<Request>(&claims, &cluster(), &world.alice).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::LifetimeTooLong);
    let envelope = world.sign_request(&request());
    let mut long = assignment(&envelope);
    long.expires_at_s = NOW_S + ASSIGNMENT_LIFETIME_MAX_S;
    let fits = sign::<Assignment>(&long, &cluster(), &world.scheduler);
    assert!(fits.is_ok());
    long.expires_at_s += 1;
    let refused = sign::<Assignment>(&long, &cluster(), &world.scheduler);
    assert_eq!(refused.unwrap_err().code(), ErrorCode::LifetimeTooLong);
}

#[test]
fn attack_31_the_clock_may_differ_by_the_skew_and_not_by_a_second_more() {
    let mut world = World::new();
    let envelope = world.sign_request(&request());
    let (begin, end) = (request().not_before_s, request().expires_at_s);
    let mut check = |now_s, expected| {
        world.now_s = now_s;
        assert_eq!(world.refusal(&envelope), expected, "at {now_s}");
    };
    check(begin - CLOCK_SKEW_S - 1, Some(ErrorCode::NotYetValid));
    check(begin - CLOCK_SKEW_S, None);
    check(begin - CLOCK_SKEW_S + 1, None);
    check(begin, None);
    check(end, None);
    check(end + CLOCK_SKEW_S - 1, None);
    check(end + CLOCK_SKEW_S, Some(ErrorCode::Expired));
    check(end + CLOCK_SKEW_S + 1, Some(ErrorCode::Expired));
}

#[test]
fn attack_33_time_zero_a_leap_second_and_the_end_of_time_are_times_like_others() {
    const LEAP_S: u64 = 1_483_228_800;
    let mut world = World::new();
    let envelope = world.sign_request(&request());
    world.check(&envelope, None, "now");
    world.now_s = 0;
    world.check(&envelope, Some(ErrorCode::NotYetValid), "a clock that was never set");
    let claims_invalid = Some(ErrorCode::ClaimsInvalid);
    world.check(&timed(0, 0, 0), claims_invalid, "all times zero");
    world.check(&timed(0, 0, 3600), Some(ErrorCode::KeyNotValid), "signed at time zero");
    let end = u64::MAX;
    world.check(&timed(end, end, end), claims_invalid, "all times at the end");
    world.now_s = end / 1000;
    world.check(&envelope, Some(ErrorCode::KeyNotValid), "a clock at its end");
    world.check(&timed(end - 2, end - 1, end), Some(ErrorCode::KeyNotValid), "the end of time");
    let mut anchors = TrustAnchors::new(cluster());
    let alice = anchor(world.alice.public().clone(), "alice");
    let always = Anchor { not_before_s: 0, not_after_s: u64::MAX, ..alice };
    anchors.add(always).unwrap();
    world.anchors = anchors;
    let across = timed(LEAP_S - 2, LEAP_S - 1, LEAP_S + 1);
    // Unix clocks say the last second twice; others smear it over hours.
    for now_s in [LEAP_S - 1, LEAP_S, LEAP_S, LEAP_S + 1] {
        world.now_s = now_s;
        world.check(&across, None, &format!("at {now_s}"));
    }
    world.check(&timed(end - 2, end - 1, end), Some(ErrorCode::NotYetValid), "no sum overflows");
}
