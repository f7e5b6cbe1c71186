//! One sample of every message that was ever shipped: it must stay readable, to the letter.
//!
//! **Invariant:** a sample is never edited once a release has spoken it. What changes gets a new
//! sample beside the old one.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    catalogue::{Message, messages},
    coverage::{Fields, declared, shown},
    files::{differs, folder, read_all},
};

#[test]
fn every_sample_is_read_and_written_again_to_the_letter() {
    let differing: Vec<_> = samples()
        .iter()
        .filter_map(|(name, message, text)| match (message.rewrite)(text) {
            Ok(again) => differs(&folder("golden").join(format!("{name}.json")), &again),
            Err(error) => Some(format!("{name}.json is no {}: {error}", message.name)),
        })
        .collect();
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn every_message_has_a_sample() {
    let sampled: BTreeSet<_> = samples().iter().map(|(_, message, _)| message.name).collect();
    let missing: Vec<_> =
        messages().iter().map(|message| message.name).filter(|it| !sampled.contains(it)).collect();
    assert!(missing.is_empty(), "write schemas/golden/NAME.json for {missing:?}");
}

#[test]
fn the_samples_show_every_field_of_every_message() {
    let mut all = Fields::new();
    for message in messages() {
        all.extend(declared(&Value::from((message.schema)())));
    }
    let mut seen = Fields::new();
    for (_, message, text) in samples() {
        let sample: Value = serde_json::from_str(&text).unwrap();
        seen.extend(shown(&Value::from((message.schema)()), &sample));
    }
    assert!(200 < all.len(), "only {} fields were found: does the search still work?", all.len());
    let hidden: Vec<_> = all.difference(&seen).collect();
    assert!(hidden.is_empty(), "no sample shows {hidden:#?}");
}

/// Each sample with its message: `NAME.json`, or `NAME.CASE.json` where one is not enough.
fn samples() -> Vec<(String, Message, String)> {
    let files = read_all(&folder("golden"), ".json");
    let message_of = |file: &str| {
        let name = file.split('.').next().unwrap_or_default();
        let found = messages().into_iter().find(|message| message.name == name);
        found.unwrap_or_else(|| panic!("golden/{file}.json is a sample of no message"))
    };
    files.into_iter().map(|(file, text)| (file.clone(), message_of(&file), text)).collect()
}
