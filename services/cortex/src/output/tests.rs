//! What is printed is aligned, complete for machines and harmless for terminals.

use schemas::Timestamp;
use serde_json::json;

use super::*;

#[test]
fn columns_are_aligned_and_wide_ones_left_out() {
    let listing = Listing::new(
        &[Column::Usual("ID"), Column::Wide("OWNER"), Column::Usual("STATUS")],
        [Row::new(vec!["local".into(), "ada".into(), "online".into()])],
    );
    assert_eq!(listing.table(Column::is_usual, false), "ID     STATUS\nlocal  online\n");
    assert_eq!(listing.table(|_| true, false), "ID     OWNER  STATUS\nlocal  ada    online\n");
    assert_eq!(listing.names(), "local\n");
}

#[test]
fn colours_do_not_disturb_the_columns() {
    let rows = ["online", "offline"].map(|status| Row::new(vec![status.into(), "x".into()]));
    let text = Listing::new(&[Column::Usual("STATUS"), Column::Usual("X")], rows);
    let text = text.table(Column::is_usual, true);
    assert_eq!(text, "STATUS   X\n\x1b[32monline\x1b[0m   x\n\x1b[31moffline\x1b[0m  x\n");
}

#[test]
fn one_thing_is_shown_by_its_properties_and_empty_ones_are_left_out() {
    let listing = Listing::of_one("t1", vec![("id", "t1".into()), ("node", String::new())]);
    assert_eq!(listing.table(|_| true, false), "id  t1\n");
    assert_eq!(listing.names(), "t1\n");
}

#[test]
fn foreign_text_cannot_steer_the_terminal() {
    assert_eq!(clean("a\x1b[2Jb\rc\u{9b}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
}

#[test]
fn yaml_quotes_what_could_be_read_as_something_else() {
    let value = json!({
        "id": "local", "n": 7, "empty": [], "none": null, "no": "no", "version": "1.0",
        "list": [{ "a": "x: y" }, "line\nbreak"],
    });
    let expected = "empty: []\nid: local\nlist:\n  -\n    a: \"x: y\"\n  - \"line\\nbreak\"\n\
                    n: 7\n\"no\": \"no\"\nnone: null\nversion: \"1.0\"\n";
    // The `n` key is a word of YAML 1.1 as well.
    assert_eq!(yaml::render(&value), expected.replace("\nn: 7", "\n\"n\": 7"));
    assert_eq!(yaml::render(&json!([])), "[]\n");
}

#[test]
fn sizes_and_ages_have_their_largest_unit() {
    for (count, expected) in
        [(1023, "1023 B"), (1024, "1.0 KiB"), (1_500_000, "1.4 MiB"), (8 << 30, "8.0 GiB")]
    {
        assert_eq!(bytes(count), expected);
    }
    for (seconds, expected) in [(7, "7s"), (180, "3m"), (7200, "2h"), (400_000, "4d")] {
        assert_eq!(age(Timestamp(0), Timestamp(seconds * 1000)), expected);
    }
    assert_eq!(age(Timestamp(5), Timestamp(0)), "0s");
}
