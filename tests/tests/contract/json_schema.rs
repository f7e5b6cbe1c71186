//! The JSON Schema of every message, as others may rely on it.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::{
    catalogue::messages,
    coverage::definitions,
    files::{differs, folder, read_all, update},
};

#[test]
fn the_schemas_are_those_of_the_code() {
    let differing: Vec<_> = messages()
        .iter()
        .filter_map(|message| {
            let text = serde_json::to_string_pretty(&(message.schema)()).unwrap() + "\n";
            differs(&folder("json").join(format!("{}.json", message.name)), &text)
        })
        .collect();
    assert!(differing.is_empty(), "run again with UPDATE=1 if that is meant: {differing:#?}");
}

#[test]
fn there_is_no_schema_without_a_message() {
    let known: BTreeSet<_> = messages().iter().map(|message| message.name.to_owned()).collect();
    let found: BTreeSet<_> = read_all(&folder("json"), ".json").into_keys().collect();
    let strange: Vec<_> = found.difference(&known).collect();
    for name in strange.iter().filter(|_| update()) {
        fs::remove_file(folder("json").join(format!("{name}.json"))).unwrap();
    }
    assert!(strange.is_empty() || update(), "{strange:?} describe no message");
}

#[test]
fn no_message_is_missing_from_the_catalogue() {
    let catalogued: BTreeSet<String> = messages()
        .iter()
        .flat_map(|message| definitions(&Value::from((message.schema)())).into_keys())
        .collect();
    let written = described_types();
    assert!(30 < written.len(), "only {written:?} were found: does the search still work?");
    let missing: Vec<_> = written.difference(&catalogued).collect();
    assert!(missing.is_empty(), "{missing:?} have a schema but are in no message of the catalogue");
}

/// The types of `schemas` that derive a JSON Schema.
fn described_types() -> BTreeSet<String> {
    let mut types = BTreeSet::new();
    for (_, text) in sources() {
        let mut described = false;
        for line in text.lines() {
            described |= line.contains("JsonSchema") && !line.starts_with("use ");
            let declared = ["pub struct ", "pub enum "].iter().find_map(|it| line.strip_prefix(it));
            if let Some(rest) = declared {
                let name = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                if described {
                    types.insert(name.to_owned());
                }
                described = false;
            }
            described &= !line.starts_with('}') && !line.starts_with("impl");
        }
    }
    types
}

fn sources() -> Vec<(String, String)> {
    let entries = fs::read_dir(folder("src")).unwrap().map(|entry| entry.unwrap().path());
    let sources = entries.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    sources.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap())).collect()
}
