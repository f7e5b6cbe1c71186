//! Points in time as people read them.

use super::*;

#[test]
fn timestamps_are_shown_in_rfc_3339() {
    // Compared with `date -u -d @SECONDS +%FT%TZ`.
    for (ms, shown) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (999, "1970-01-01T00:00:00.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_868_799_999, "2000-02-29T23:59:59.999Z"),
        (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (1_767_225_599_001, "2025-12-31T23:59:59.001Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (253_402_300_799_000, "9999-12-31T23:59:59.000Z"),
    ] {
        assert_eq!(Timestamp(ms).to_string(), shown);
    }
}

#[test]
fn time_never_wraps_around() {
    assert_eq!(Timestamp(u64::MAX).plus_ms(1), Timestamp(u64::MAX));
    assert_eq!(Timestamp(1).since_ms(Timestamp(2)), 0);
    assert_eq!(Timestamp::from_seconds(u64::MAX), Timestamp(u64::MAX));
    assert_eq!(Timestamp(1_999).seconds(), 1);
    // The year has more digits then, which is no reason to panic.
    assert!(Timestamp(u64::MAX).to_string().ends_with('Z'));
}
