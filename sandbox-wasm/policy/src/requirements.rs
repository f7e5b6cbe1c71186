//! What a task requires and a node does not enforce.

use std::fmt;

use schemas::sandbox::{Enforcement, Property, SandboxReport};

/// A required property that is not enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Which property.
    pub property: Property,
    /// How far the node keeps it.
    pub level: Enforcement,
    /// Why not further, in the node's words; empty when the node does not know the property.
    pub why: String,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.property, self.level)?;
        if self.why.is_empty() { Ok(()) } else { write!(f, ": {}", self.why) }
    }
}

/// The required properties that `report` does not enforce, each once and in order.
///
/// A node refuses a task for which this is not empty: partial is not enough.
#[must_use]
pub fn unmet(required: &[Property], report: &SandboxReport) -> Vec<Unmet> {
    Property::ALL
        .into_iter()
        .filter(|property| required.contains(property) && !report.enforces(*property))
        .map(|property| Unmet {
            property,
            level: report.level(property),
            why: report
                .properties
                .get(&property)
                .map(|entry| entry.why.clone())
                .unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
