//! Promise: every attack that the design numbers has a test that is named after it.
//!
//! A test of attack 7 is called `attack_07_` and a sentence, wherever it lives: envelopes in the
//! trust crate, replays where a node or the scheduler remembers, enrolment where it is served.
//! `cargo test -p cortex-tests --test attacks -- --nocapture` prints which stands where.

#![forbid(unsafe_code)]

mod can_fail;
mod list;
mod sources;

use list::{ATTACKS, AWAITED, Attack};
use sources::{NamedTest, tests_of_the_workspace};

/// Every way in which the tests do not fit the list, a line each.
fn faults(tests: &[NamedTest], awaited: &[u8]) -> Vec<String> {
    let mut faults = Vec::new();
    for attack in ATTACKS {
        let is_there = tests.iter().any(|test| test.number == attack.number);
        let is_awaited = awaited.contains(&attack.number);
        match (is_there, is_awaited) {
            (false, false) => faults.push(format!("{attack} has no test")),
            (true, true) => faults.push(format!("{attack} has a test: take it off AWAITED")),
            (true, false) | (false, true) => {}
        }
    }
    for number in awaited.iter().filter(|number| find(**number).is_none()) {
        faults.push(format!("AWAITED names {number}, which is not on the list"));
    }
    for (index, test) in tests.iter().enumerate() {
        match find(test.number) {
            None => faults.push(format!("{test} has a number that is not on the list")),
            Some(attack) if !attack.fits(&test.name) => {
                let words = attack.words.join(", ");
                faults.push(format!("{test} is not about {attack}; it would say one of {words}"));
            }
            Some(_) => {}
        }
        if tests[..index].iter().any(|earlier| earlier.name == test.name) {
            faults.push(format!("{test} has the name of another test"));
        }
    }
    faults
}

fn find(number: u8) -> Option<&'static Attack> {
    ATTACKS.iter().find(|attack| attack.number == number)
}

#[test]
fn every_attack_of_the_list_has_a_test_of_its_number() {
    let tests = tests_of_the_workspace();
    for attack in ATTACKS {
        println!("{attack}");
        if AWAITED.contains(&attack.number) {
            println!("      (awaited)");
        }
        for test in tests.iter().filter(|test| test.number == attack.number) {
            println!("      {test}");
        }
    }
    let faults = faults(&tests, AWAITED);
    assert!(faults.is_empty(), "\n  {}\n", faults.join("\n  "));
}
