//! The environment of a run: what a task names, five words of the host, nothing else.
//!
//! **Invariant:** no variable of the node reaches a run unless [`INHERITED`] names it.

use std::collections::BTreeMap;

/// Where programs are looked up, for every run alike.
pub const FIXED_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a run gets from its node's environment, where the node has it.
pub const INHERITED: [&str; 3] = ["LANG", "TERM", "TZ"];

/// What the launcher sets and a task may not.
const RESERVED: [&str; 2] = ["HOME", "PATH"];

/// What is wrong with the variables that a task names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// The launcher sets this variable itself.
    #[error("the variable {name} is set by the launcher and cannot be named by a task")]
    Reserved {
        /// The variable.
        name: String,
    },
    /// A name that no environment can hold.
    #[error("{name:?} is no name for a variable: it is empty or holds = or NUL")]
    InvalidName {
        /// What was given as a name.
        name: String,
    },
    /// A value that no environment can hold.
    #[error("the value of the variable {name} holds NUL")]
    InvalidValue {
        /// Whose value it is; the value may be a secret and is left out.
        name: String,
    },
}

/// The whole environment of a run.
///
/// `host` is the node's environment, `scratch` the run's own directory, `named` what the task
/// asks for; a task may replace what is inherited, but not `PATH` and `HOME`.
///
/// # Errors
///
/// Names the first variable of the task that cannot be set.
pub fn environment(
    host: &BTreeMap<String, String>,
    scratch: &str,
    named: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, EnvironmentError> {
    for (name, value) in named {
        check(name, value)?;
    }
    let inherited = INHERITED
        .iter()
        .filter_map(|name| host.get(*name).map(|value| ((*name).to_owned(), value.clone())));
    let mut variables: BTreeMap<String, String> = inherited.collect();
    variables.insert("PATH".to_owned(), FIXED_PATH.to_owned());
    variables.insert("HOME".to_owned(), scratch.to_owned());
    variables.extend(named.clone());
    Ok(variables)
}

fn check(name: &str, value: &str) -> Result<(), EnvironmentError> {
    let name_of = || name.to_owned();
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(EnvironmentError::InvalidName { name: name_of() });
    }
    if RESERVED.contains(&name) {
        return Err(EnvironmentError::Reserved { name: name_of() });
    }
    if value.contains('\0') {
        return Err(EnvironmentError::InvalidValue { name: name_of() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
