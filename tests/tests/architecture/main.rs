//! The house's law, read from the manifests and the files: who may use whom, and what no file may hold.
//!
//! **Invariant:** every rule here is shown to fail on a workspace that breaks it (`can_fail`).

#![forbid(unsafe_code)]

mod can_fail;
mod claims;
mod dependencies;
mod files;
mod lints;
mod words;
mod workspace;

use workspace::Workspace;

/// A rule finds what breaks it: a line for each place.
type Rule = fn(&Workspace) -> Vec<String>;

/// Fails with every place that breaks `rule` and with what to do about it.
fn check(rule: Rule, what_to_do: &str) {
    let found = rule(Workspace::this());
    assert!(found.is_empty(), "\n  {}\n\n{what_to_do}\n", found.join("\n  "));
}
