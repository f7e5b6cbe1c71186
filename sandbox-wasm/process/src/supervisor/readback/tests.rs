//! Cases for reading what the kernel says.

use super::*;

const LIMITS_TEXT: &str = "\
Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              10                   20                   seconds   
Max file size             unlimited            unlimited            bytes     
Max processes             33                   33                   processes 
";

#[test]
fn the_hard_limit_counts_and_what_is_unlimited_is_left_out() {
    let expected = [("cpu_s".to_owned(), 20), ("pids".to_owned(), 33)];
    assert_eq!(parse_limits(LIMITS_TEXT), BTreeMap::from(expected));
}

#[test]
fn one_capability_in_any_set_is_seen() {
    let status = "CapInh:\t0\nCapPrm:\t0\nCapEff:\t0000000000200000\nCapAmb:\t1\n";
    assert_eq!(capabilities(status).unwrap(), 0x20_0001);
}

#[test]
fn what_is_not_there_is_an_error_and_not_zero() {
    assert!(capabilities("CapInh:\t0\n").is_err());
    assert!(number::<u32>("Uid:\t-\n", "Uid:", 10).is_err());
}
