//! A bounded run of what the fuzz targets run without end.
//!
//! `CORTEX_FUZZ_SECONDS` makes it longer, and `CORTEX_FUZZ_ROUND` begins at the round that a failure
//! named. A round is a fixed number of inputs from a fixed seed. `CORTEX_FUZZ_SEEDS` names a folder
//! for the inputs to begin from, for the targets in `fuzz/`.

mod bodies;

use std::time::{Duration, Instant};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// How long each target runs in the ordinary suite, in seconds.
const SECONDS: u64 = 2;
/// Inputs of a round.
const ROUND_CASES: u32 = 1000;

#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Flip(Index, u8),
    Cut(Index),
    Repeat(Index, Index),
    /// A head of 64 bits with this major type and a huge argument.
    Bomb(Index, u8, u64),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match self {
            Self::Set(at, byte) => bytes[at.index(length)] = *byte,
            Self::Insert(at, byte) => bytes.insert(at.index(length), *byte),
            Self::Remove(at) => drop(bytes.remove(at.index(length))),
            Self::Flip(at, bit) => bytes[at.index(length)] ^= 1 << (bit % 8),
            Self::Cut(at) => bytes.truncate(at.index(length)),
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(length), to.index(length));
                let slice = bytes[from.min(to)..from.max(to)].to_vec();
                let at = from.max(to);
                bytes.splice(at..at, slice);
            }
            Self::Bomb(at, major, argument) => {
                let at = at.index(length);
                let head = crate::cbor::head_of_width(major % 8, *argument, 8);
                bytes.splice(at..at, head);
            }
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let index = any::<Index>;
    let change = prop_oneof![
        4 => (index(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        3 => (index(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        3 => index().prop_map(Change::Remove),
        4 => (index(), any::<u8>()).prop_map(|(at, bit)| Change::Flip(at, bit)),
        1 => index().prop_map(Change::Cut),
        1 => (index(), index()).prop_map(|(from, to)| Change::Repeat(from, to)),
        1 => (index(), any::<u8>(), select(vec![1 << 30, 1 << 40, 1 << 63, u64::MAX]))
            .prop_map(|(at, major, argument)| Change::Bomb(at, major, argument)),
    ];
    vec(change, 0..5)
}

/// Some good bytes with some changes, or any bytes at all.
fn inputs(good: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changed = (select(good), changes()).prop_map(|(mut bytes, changes)| {
        changes.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    });
    prop_oneof![5 => changed, 1 => vec(any::<u8>(), 0..48)]
}

#[expect(clippy::disallowed_methods, reason = "how long to look is up to whoever looks")]
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[expect(clippy::disallowed_methods, reason = "what ends is the looking, not what is looked at")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "how much was tried is worth knowing")]
fn run(name: &str, good: Vec<Vec<u8>>, body: fn(&[u8])) {
    let end = now() + Duration::from_secs(setting("CORTEX_FUZZ_SECONDS", SECONDS));
    let first = setting("CORTEX_FUZZ_ROUND", 0);
    let strategy = inputs(good);
    let mut round = first;
    while round == first || now() < end {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&round.to_be_bytes());
        let config = Config { cases: ROUND_CASES, failure_persistence: None, ..Config::default() };
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let tried = TestRunner::new_with_rng(config, random).run(&strategy, |input| {
            body(&input);
            Ok(())
        });
        assert!(tried.is_ok(), "{name}, CORTEX_FUZZ_ROUND={round}: {}", tried.unwrap_err());
        round += 1;
    }
    println!("{name}: {} inputs", (round - first) * u64::from(ROUND_CASES));
}

#[test]
fn nothing_that_is_scanned_breaks_the_rules_of_the_scanner() {
    let good = bodies::good_inputs().into_iter().map(|input| input[1..].to_vec()).collect();
    run("scanner", good, bodies::scanner);
}

#[test]
fn nothing_that_is_verified_breaks_the_rules_of_the_envelope() {
    run("envelope", bodies::good_inputs(), bodies::envelope);
}

/// The control: the inputs to begin from are accepted, each under its own meaning.
#[test]
fn the_good_inputs_of_the_fuzzer_are_good() {
    let good = bodies::good_inputs();
    let modes: Vec<u8> = good.iter().map(|input| input[0]).collect();
    assert_eq!(modes, (0..bodies::MODES).collect::<Vec<_>>());
    for input in &good {
        assert!(bodies::is_accepted(input), "meaning {}", input[0]);
    }
    save(&good);
}

#[expect(clippy::disallowed_methods, reason = "where to is up to whoever wants them")]
fn save(inputs: &[Vec<u8>]) {
    let Ok(folder) = std::env::var("CORTEX_FUZZ_SEEDS") else { return };
    for input in inputs {
        std::fs::write(format!("{folder}/meaning-{}", input[0]), input).unwrap();
    }
}
