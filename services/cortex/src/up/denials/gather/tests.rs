//! What is told of many denials.

use schemas::registry::DeniedAction;

use super::*;

fn denial(login: &str, subject: usize) -> Denial {
    let (login, subject) = (login.to_owned(), format!("s.{subject}"));
    Denial { login, action: DeniedAction::Publish, subject }
}

/// Takes what is heard in a row, a millisecond apart, and checks entries and suppressed ones.
#[track_caller]
fn check(heard: &[Denial], entries: &[(&str, u32, u64)], suppressed: u64) {
    let mut gathered = Gathered::default();
    for (at, denial) in (1..).zip(heard) {
        gathered.take(denial.clone(), Timestamp(at));
    }
    let request = gathered.drain().unwrap();
    assert_eq!(number(&request), heard.len() as u64);
    let told = request.denials.iter().map(|it| (it.subject.as_str(), it.count, it.since.0));
    assert_eq!((told.collect::<Vec<_>>(), request.suppressed), (entries.to_vec(), suppressed));
    assert_eq!(gathered.drain(), None);
}

#[test]
fn equal_ones_are_counted_from_the_first() {
    let heard = [denial("a", 1), denial("a", 2), denial("a", 1), denial("a", 1)];
    check(&heard, &[("s.1", 3, 1), ("s.2", 1, 2)], 0);
}

#[test]
fn one_key_leaves_room_for_the_others() {
    let mut gathered = Gathered::default();
    let of_one = (0..1000).map(|number| denial("a", number));
    let heard: Vec<_> = of_one.map(|it| gathered.take(it, Timestamp(1))).collect();
    assert_eq!(heard.iter().filter(|it| **it == Heard::First).count(), OF_ONE_KEY_MAX);
    assert_eq!(heard.last(), Some(&Heard::Suppressed));
    assert_eq!(gathered.take(denial("b", 1), Timestamp(1)), Heard::First);
    assert_eq!(gathered.take(denial("a", 1), Timestamp(1)), Heard::Again);
    let request = gathered.drain().unwrap();
    assert_eq!((request.denials.len(), request.suppressed), (OF_ONE_KEY_MAX + 1, 984));
}

#[test]
fn a_report_is_bounded_whoever_takes_part() {
    let mut gathered = Gathered::default();
    for number in 0..1000 {
        gathered.take(denial(&format!("{number}"), number), Timestamp(1));
    }
    let request = gathered.drain().unwrap();
    assert_eq!((request.denials.len(), request.suppressed), (DENIALS_REPORTED_MAX, 936));
}

#[test]
fn what_was_not_told_is_counted_in_the_next_report() {
    let mut gathered = Gathered::default();
    for _ in 0..3 {
        gathered.take(denial("a", 1), Timestamp(1));
    }
    let request = gathered.drain().unwrap();
    gathered.lose(&request);
    let next = gathered.drain().unwrap();
    assert_eq!((next.denials.len(), next.suppressed), (0, 3));
}
