//! Arrays are taken where arrays are meant, and nowhere else.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Named;

#[derive(Debug, PartialEq, Deserialize)]
struct Outer {
    #[serde(default)]
    inner: Option<Inner>,
    #[serde(default)]
    list: Vec<Inner>,
    #[serde(default)]
    table: BTreeMap<String, Inner>,
    #[serde(default)]
    tagged: Option<Tagged>,
    #[serde(default)]
    plain: Option<Plain>,
    #[serde(default)]
    wrapped: Option<Wrapped>,
    #[serde(default)]
    pair: Option<(u8, Inner)>,
    #[serde(default)]
    any: serde_json::Value,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Inner {
    a: u8,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Wrapped(Inner);

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    One { a: u8 },
}

#[derive(Debug, PartialEq, Deserialize)]
enum Plain {
    One { a: u8 },
    Two(Inner),
    Three,
}

#[test]
fn fields_by_name_are_taken_at_any_depth() {
    for body in [
        r#"{}"#,
        r#"{"inner":{"a":1},"list":[{"a":1},{"a":2}],"table":{"k":{"a":1}}}"#,
        r#"{"tagged":{"kind":"One","a":1},"wrapped":{"a":1},"pair":[1,{"a":1}]}"#,
        r#"{"plain":{"One":{"a":1}}}"#,
        r#"{"plain":{"Two":{"a":1}}}"#,
        r#"{"plain":"Three"}"#,
        r#"{"any":[1,"x",[null,{"y":[1.5,true,-1]}]]}"#,
    ] {
        let plain: Outer = serde_json::from_str(body).unwrap();
        assert_eq!(read(body).unwrap(), plain, "{body}");
    }
}

#[test]
fn fields_by_position_are_refused_at_any_depth() {
    for body in [
        r#"[{"a":1}]"#,
        r#"{"inner":[1]}"#,
        r#"{"list":[{"a":1},[2]]}"#,
        r#"{"table":{"k":[1]}}"#,
        r#"{"tagged":["One",1]}"#,
        r#"{"plain":{"One":[1]}}"#,
        r#"{"plain":{"Two":[1]}}"#,
        r#"{"wrapped":[1]}"#,
        r#"{"pair":[1,[1]]}"#,
    ] {
        assert!(serde_json::from_str::<Outer>(body).is_ok(), "serde takes {body}");
        let error = read(body).unwrap_err().to_string();
        assert!(error.starts_with("invalid type: sequence, expected "), "{body}: {error}");
    }
}

fn read(body: &str) -> Result<Outer, serde_json::Error> {
    Outer::deserialize(Named(&mut serde_json::Deserializer::from_str(body)))
}
