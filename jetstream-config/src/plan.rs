//! What must change for the streams on the broker to be as wanted. Pure.
//!
//! **Invariant:** a change that could lose what is stored is never an [`Change::Update`].
//! **Invariant:** what operators set besides, such as placement, stays as it is.

use std::{cmp::Ordering, collections::BTreeMap, fmt};

use serde_json::Value;

use crate::streams::{Role, Settings, Wanted};

/// A setting that is not as wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// JetStream's name for it.
    pub setting: String,
    /// What it should be; `null` for what should not be set.
    pub wanted: Value,
    /// What it is.
    pub actual: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, not {}", self.setting, self.actual, self.wanted)
    }
}

/// One step towards what is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The stream does not exist.
    Create {
        /// The settings to make it with.
        settings: Settings,
    },
    /// Settings differ that can be set without losing anything.
    Update {
        /// Name of the stream.
        stream: String,
        /// What differs.
        differences: Vec<Difference>,
        /// All settings as they should be then.
        settings: Settings,
    },
    /// Destructive: settings differ that would make the stream hold less.
    Shrink {
        /// Name of the stream.
        stream: String,
        /// What differs.
        differences: Vec<Difference>,
        /// All settings as they should be then.
        settings: Settings,
    },
    /// Destructive: settings differ that cannot be set, and what the stream holds can be made anew.
    Recreate {
        /// Name of the stream.
        stream: String,
        /// What differs.
        differences: Vec<Difference>,
        /// The settings to make it with.
        settings: Settings,
    },
    /// Settings of a record differ that must never differ; nothing but a person can mend that.
    Drift {
        /// Name of the stream.
        stream: String,
        /// What differs.
        differences: Vec<Difference>,
    },
}

/// How a setting may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Says nothing about what is stored.
    Free,
    /// A limit: raising it loses nothing.
    Limit,
    /// Decides what is stored and how safely.
    Fixed,
    /// Others' business.
    Foreign,
}

/// What a difference asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    Harmless,
    Shrinks,
    Fixed,
}

/// What must change for `actual`, by name, to be as `wanted`.
#[must_use]
pub fn plan(wanted: &[Wanted], actual: &BTreeMap<String, Settings>) -> Vec<Change> {
    let changes = wanted.iter().map(|wanted| match actual.get(wanted.name()) {
        None => vec![Change::Create { settings: wanted.settings.clone() }],
        Some(actual) => changes_of(wanted, actual),
    });
    changes.flatten().collect()
}

fn changes_of(wanted: &Wanted, actual: &Settings) -> Vec<Change> {
    let mut found: BTreeMap<Effect, Vec<Difference>> = BTreeMap::new();
    for (effect, difference) in differences(wanted, actual) {
        found.entry(effect).or_default().push(difference);
    }
    let mut take = |effect| found.remove(&effect).unwrap_or_default();
    let fixed = take(Effect::Fixed);
    let stream = wanted.name().to_owned();
    if !fixed.is_empty() {
        return vec![irreconcilable(wanted, fixed)];
    }
    let (harmless, shrinks) = (take(Effect::Harmless), take(Effect::Shrinks));
    let updated = merged(actual, &harmless);
    let shrunk = merged(&updated, &shrinks);
    let mut changes = Vec::new();
    if !harmless.is_empty() {
        let stream = stream.clone();
        changes.push(Change::Update { stream, differences: harmless, settings: updated });
    }
    if !shrinks.is_empty() {
        changes.push(Change::Shrink { stream, differences: shrinks, settings: shrunk });
    }
    changes
}

fn irreconcilable(wanted: &Wanted, differences: Vec<Difference>) -> Change {
    let stream = wanted.name().to_owned();
    match wanted.role {
        Role::Record => Change::Drift { stream, differences },
        Role::Disposable => {
            Change::Recreate { stream, differences, settings: wanted.settings.clone() }
        }
    }
}

/// `actual` with the wanted side of `differences`, so that what operators set besides stays.
fn merged(actual: &Settings, differences: &[Difference]) -> Settings {
    let mut settings = actual.clone();
    for difference in differences {
        settings.insert(difference.setting.clone(), difference.wanted.clone());
    }
    settings
}

fn differences(wanted: &Wanted, actual: &Settings) -> Vec<(Effect, Difference)> {
    let unwanted = actual.keys().filter(|setting| !wanted.settings.contains_key(*setting));
    let settings = wanted.settings.keys().chain(unwanted);
    settings.filter_map(|setting| compare(setting, wanted, actual)).collect()
}

fn compare(setting: &str, wanted: &Wanted, actual: &Settings) -> Option<(Effect, Difference)> {
    let rule = rule(setting, wanted.role);
    let here = wanted.settings.get(setting).cloned().unwrap_or_default();
    let there = actual.get(setting).cloned().unwrap_or_default();
    let effect = match rule {
        Rule::Foreign => return None,
        Rule::Limit => compare_limits(amount(&here), amount(&there))?,
        Rule::Free | Rule::Fixed if plain(&here) == plain(&there) => return None,
        Rule::Free => Effect::Harmless,
        Rule::Fixed => Effect::Fixed,
    };
    let setting = setting.to_owned();
    Some((effect, Difference { setting, wanted: here, actual: there }))
}

fn compare_limits(wanted: u64, actual: u64) -> Option<Effect> {
    match actual.cmp(&wanted) {
        Ordering::Equal => None,
        Ordering::Less => Some(Effect::Harmless),
        Ordering::Greater => Some(Effect::Shrinks),
    }
}

fn rule(setting: &str, role: Role) -> Rule {
    match (setting, role) {
        ("description" | "duplicate_window" | "max_consumers" | "allow_direct" | "no_ack", _) => {
            Rule::Free
        }
        ("max_bytes" | "max_msg_size" | "num_replicas", _) => Rule::Limit,
        ("max_age" | "max_msgs" | "max_msgs_per_subject", Role::Disposable) => Rule::Limit,
        ("metadata" | "placement" | "compression" | "consumer_limits" | "mirror_direct", _) => {
            Rule::Foreign
        }
        _ => Rule::Fixed,
    }
}

/// A limit as a number, where none, 0 and -1 are no limit at all.
fn amount(value: &Value) -> u64 {
    match value.as_u64() {
        None | Some(0) => u64::MAX,
        Some(amount) => amount,
    }
}

/// A value in which all that JetStream takes for the default is `null`.
fn plain(value: &Value) -> Value {
    let unset = match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_i64().is_some_and(|number| number <= 0),
        Value::String(text) => text.is_empty() || text == "default",
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    };
    if unset { Value::Null } else { value.clone() }
}

#[cfg(test)]
mod tests;
