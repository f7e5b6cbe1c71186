//! One attack, done twice, and its line in the table.

use std::io::Write;

use crate::stage::{Stage, is_root};

/// Whoever does the control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// The run's user, without walls: what a run would do if there were none.
    SameUser,
    /// The node's user, for what only root can do anywhere; not run when the node is not root.
    Node,
}

/// An attack that is one act of the attacker.
pub(crate) struct Attack<'a> {
    /// Its number in the list of attacks.
    pub(crate) id: &'a str,
    /// The act and what it aims at.
    pub(crate) act: &'a [&'a str],
    /// What it may come to behind the walls.
    pub(crate) inside: &'a [&'a str],
    /// What it must come to without them.
    pub(crate) outside: &'a str,
    pub(crate) control: Control,
}

impl<'a> Attack<'a> {
    /// An act that succeeds outside and comes to one of these inside.
    pub(crate) fn new(id: &'a str, act: &'a [&'a str], inside: &'a [&'a str]) -> Self {
        Self { id, act, inside, outside: "did", control: Control::SameUser }
    }

    /// As [`Attack::new`], for what only root can do outside.
    pub(crate) fn of_root(id: &'a str, act: &'a [&'a str], inside: &'a [&'a str]) -> Self {
        Self { control: Control::Node, ..Self::new(id, act, inside) }
    }
}

/// Does it inside, then outside, and fails unless each came to what it must.
pub(crate) async fn check(stage: &Stage, attack: Attack<'_>) {
    let Attack { id, act, inside: expected, outside: wanted, control } = attack;
    let words: Vec<_> = act.iter().copied().filter(|word| !word.contains('/')).collect();
    let name = &words.join(" ");
    if control == Control::Node && !is_root() {
        not_run(id, name, "its control needs root");
        return;
    }
    let inside = stage.inside(act).await;
    let outside = match control {
        Control::SameUser => stage.outside(act),
        Control::Node => stage.outside_as_node(act),
    };
    row([id, name, &expected.join(" or "), &inside, &outside]);
    assert_eq!(outside, wanted, "{id} {name}: the control shows nothing");
    assert!(expected.contains(&inside.as_str()), "{id} {name}: {inside} inside");
}

/// Says of an attack that is a story of its own how it went.
pub(crate) fn told(id: &str, name: &str, observed: &str, control: &str) {
    row([id, name, "withstood", observed, control]);
}

/// Says that an attack was not tried, and why.
pub(crate) fn not_run(id: &str, name: &str, why: &str) {
    row([id, name, "-", "not run", why]);
}

/// Attack, act, expected, observed, control.
fn row([id, name, expected, observed, control]: [&str; 5]) {
    let lane = if is_root() { "root" } else { "user" };
    let line = format!(
        "| {id:<4} | {lane} | {name:<20} | {expected:<34} | {observed:<20} | control: {control}\n"
    );
    // Past the capture of output, which knows print alone.
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}
