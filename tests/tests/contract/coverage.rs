//! Which fields of the messages a sample shows, by walking along its JSON Schema.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The fields that are declared or shown, as `Type.field` or `Type[variant].field`.
pub(crate) type Fields = BTreeSet<String>;

/// The types that a message's schema describes, the message itself first among equals.
pub(crate) fn definitions(schema: &Value) -> BTreeMap<String, Value> {
    let defs = schema["$defs"].as_object().cloned().unwrap_or_default();
    let mut all: BTreeMap<_, _> = defs.into_iter().collect();
    let title = schema["title"].as_str().unwrap_or_default().to_owned();
    all.insert(title, schema.clone());
    all
}

/// Every field that the schema of a message declares.
pub(crate) fn declared(schema: &Value) -> Fields {
    let mut fields = Fields::new();
    for (name, definition) in definitions(schema) {
        for (place, node) in variants(&name, &definition) {
            let properties = node["properties"].as_object();
            fields
                .extend(properties.into_iter().flatten().map(|(key, _)| format!("{place}.{key}")));
        }
    }
    fields
}

/// Every field of the schema that `sample` shows.
pub(crate) fn shown(schema: &Value, sample: &Value) -> Fields {
    let mut walk = Walk { definitions: definitions(schema), shown: Fields::new() };
    let title = schema["title"].as_str().unwrap_or_default();
    walk.visit(title, schema, sample);
    walk.shown
}

/// A definition's variants with their names; of one without variants, itself.
fn variants(name: &str, definition: &Value) -> Vec<(String, Value)> {
    let one_of = definition["oneOf"].as_array();
    let Some(one_of) = one_of else { return vec![(name.to_owned(), definition.clone())] };
    one_of
        .iter()
        .map(|node| (format!("{name}[{}]", tag(node).map_or("", |(_, word)| word)), node.clone()))
        .collect()
}

/// The field that tells variants apart, and the word that stands in it.
fn tag(node: &Value) -> Option<(&str, &str)> {
    let properties = node["properties"].as_object()?;
    properties.iter().find_map(|(key, field)| Some((key.as_str(), field["const"].as_str()?)))
}

struct Walk {
    definitions: BTreeMap<String, Value>,
    shown: Fields,
}

impl Walk {
    fn visit(&mut self, name: &str, node: &Value, sample: &Value) {
        if let Some(target) = node["$ref"].as_str() {
            let name = target.trim_start_matches("#/$defs/");
            let target = self.definitions[name].clone();
            return self.visit(name, &target, sample);
        }
        for option in node["anyOf"].as_array().into_iter().flatten() {
            if !sample.is_null() && option["type"] != "null" {
                self.visit(name, option, sample);
            }
        }
        for (place, variant) in variants(name, node) {
            let chosen = tag(&variant).is_none_or(|(key, word)| sample[key] == word);
            if chosen {
                self.visit_fields(&place, &variant, sample);
            }
        }
    }

    fn visit_fields(&mut self, place: &str, node: &Value, sample: &Value) {
        for (key, value) in sample.as_object().into_iter().flatten() {
            let field = &node["properties"][key];
            if !field.is_null() {
                self.shown.insert(format!("{place}.{key}"));
                self.visit(place, field, value);
            } else if node["additionalProperties"].is_object() {
                self.visit(place, &node["additionalProperties"], value);
            }
        }
        for value in sample.as_array().into_iter().flatten() {
            self.visit(place, &node["items"], value);
        }
    }
}
