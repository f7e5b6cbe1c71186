//! Reads the values of flags.

use std::time::Duration;

use schemas::{
    manifest::PrincipalPattern, principal::UserRole, registry::AgentStatus, sandbox::Property,
    subject::ServiceName, task::TaskState,
};

/// `500ms`, `30s`, `5m`, `2h` or `1d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| explain(text))?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(explain(text)),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(|| explain(text))
}

fn explain(text: &str) -> String {
    format!("{text:?} is no duration: write for example 500ms, 30s, 5m, 2h or 1d")
}

/// `KEY=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err(format!("{text:?} is no KEY=VALUE")),
    }
}

/// The word of a task's state.
pub(crate) fn task_state(text: &str) -> Result<TaskState, String> {
    word(text)
}

/// The word of an agent's status.
pub(crate) fn agent_status(text: &str) -> Result<AgentStatus, String> {
    word(text)
}

/// The word of a sandbox's property.
pub(crate) fn property(text: &str) -> Result<Property, String> {
    word(text)
}

/// The word of a person's role.
pub(crate) fn user_role(text: &str) -> Result<UserRole, String> {
    word(text)
}

/// An id, `prefix-*` or `*`.
pub(crate) fn principals(text: &str) -> Result<PrincipalPattern, String> {
    PrincipalPattern::parse(text).map_err(|error| error.to_string())
}

/// The word of a service.
pub(crate) fn service(text: &str) -> Result<ServiceName, String> {
    ServiceName::parse(text).ok_or_else(|| {
        let known = ServiceName::ALL.map(ServiceName::as_str).join(", ");
        format!("there is no service {text:?}; there are {known}")
    })
}

/// Reads a word as messages have it; the error lists all words.
fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_their_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for text in ["", "5", "s", "-1s", "1.5h", "1w", "99999999999999999999s", "300000000000000d"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pairs_may_have_an_empty_value_and_more_equal_signs() {
        assert_eq!(pair("A="), Ok(("A".into(), String::new())));
        assert_eq!(pair("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert!(pair("=b").is_err());
        assert!(pair("A").is_err());
    }

    #[test]
    fn an_unknown_word_is_answered_with_those_that_are_known() {
        assert_eq!(task_state("timed-out"), Ok(TaskState::TimedOut));
        assert!(agent_status("sleepy").unwrap_err().contains("maintenance"));
        assert!(property("magic").unwrap_err().contains("tree_kill"));
        assert!(service("magic").unwrap_err().contains("registry, scheduler"));
    }
}
