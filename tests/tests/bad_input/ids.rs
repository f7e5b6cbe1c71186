//! Ids that are none, in every place that an id can stand in a body.

use anyhow::Result;
use schemas::ErrorCode::InvalidId;
use serde_json::json;

use crate::stage::{Ask, Stage, check, no, registration, registry, scheduler};

/// What must never become a part of a subject, and what is said of it.
const BAD_IDS: [(&str, &str); 19] = [
    ("", "it is empty"),
    (".", "only a-z, 0-9 and - may occur"),
    ("a.b", "only a-z, 0-9 and - may occur"),
    ("a..b", "only a-z, 0-9 and - may occur"),
    (".a", "only a-z, 0-9 and - may occur"),
    ("*", "only a-z, 0-9 and - may occur"),
    (">", "only a-z, 0-9 and - may occur"),
    ("a*", "only a-z, 0-9 and - may occur"),
    ("a b", "only a-z, 0-9 and - may occur"),
    ("a\tb", "only a-z, 0-9 and - may occur"),
    ("a\r\nPUB x 0", "only a-z, 0-9 and - may occur"),
    ("a\0", "only a-z, 0-9 and - may occur"),
    ("Local", "only a-z, 0-9 and - may occur"),
    ("a_b", "only a-z, 0-9 and - may occur"),
    // Cyrillic letters, a composed and a decomposed accent.
    ("l\u{43e}cal", "only a-z, 0-9 and - may occur"),
    ("caf\u{e9}", "only a-z, 0-9 and - may occur"),
    ("cafe\u{301}", "only a-z, 0-9 and - may occur"),
    ("-a", "it starts with -"),
    ("$JS", "only a-z, 0-9 and - may occur"),
];

#[tokio::test]
async fn a_bad_id_is_refused_wherever_it_stands() -> Result<()> {
    let stage = Stage::enter().await?;
    let long = "a".repeat(64);
    let bad = BAD_IDS.into_iter().chain([(long.as_str(), "it is longer than 63 bytes")]);
    for (id, says) in bad {
        for ask in with_id(id) {
            check(&stage, ask, no(InvalidId, says)).await?;
        }
    }
    stage.granted(&registry("register", registration(&"a".repeat(63)).to_string())).await?;
    Ok(())
}

/// One request for each sort of id.
fn with_id(id: &str) -> [Ask; 5] {
    let start = json!({ "task": "0", "epoch": 1, "instance": id, "ask": 1 });
    [
        registry("register", registration(id).to_string()),
        registry("can-task", json!({ "from": "local", "to": id }).to_string()),
        scheduler("get-task", json!({ "id": id }).to_string()),
        scheduler("cancel", json!({ "select": { "node": id } }).to_string()),
        scheduler("start", start.to_string()),
    ]
}
