//! Reads what nats-server forbade out of a line of its log.
//!
//! What strangers chose, such as the names of their connections and the subjects, stands in quotes
//! there as Go writes them, so none of it can be taken for the rest of a line.
//!
//! **Invariant:** whoever is named is named by the server, never by what a client says of itself.

use schemas::registry::{DENIED_SUBJECT_BYTES_MAX, DeniedAction, SUBJECT_CUT, is_login};

/// How the server marks lines of that kind.
const MARK: &str = "[ERR] ";
/// How it begins to name a connection: of a plain client, over websockets, of MQTT.
const CONNECTIONS: [&str; 3] = ["cid:", "wid:", "mid:"];
/// How servers before 2.13 name who it was, instead of in the connection.
const WHO: [&str; 3] = ["JWT User ", "Nkey ", "User "];

/// Something that was forbidden, once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Denial {
    /// NATS public key of whoever tried it; empty when the server does not say.
    pub(super) login: String,
    /// What was tried.
    pub(super) action: DeniedAction,
    /// On which subject; of a login, the address that it came from.
    pub(super) subject: String,
}

/// What a line tells of, if it tells of a denial.
pub(super) fn read(line: &str) -> Option<Denial> {
    let (head, rest) = line.trim_end_matches(['\r', '\n']).split_once(MARK)?;
    let is_ours = |c: char| c.is_ascii_digit() || "[]/:. ".contains(c);
    let (address, rest) = rest.split_once(" - ").filter(|_| head.chars().all(is_ours))?;
    let rest = CONNECTIONS.iter().find_map(|kind| rest.strip_prefix(kind))?;
    let mut rest = rest.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix(" - ")?;
    // Only the last of them is always the server's own.
    let mut user = String::new();
    while let Some((text, after)) = quoted(rest) {
        (user, rest) = (text, after.strip_prefix(" - ")?);
    }
    if let Some(rest) = rest.strip_prefix("Publish Violation - ") {
        let (who, rest) = who(rest)?;
        let (subject, rest) = quoted(strip_any(rest, &["Subject ", "Reply "])?)?;
        rest.is_empty().then_some(())?;
        return denial(&who.unwrap_or(user), DeniedAction::Publish, &subject);
    }
    if let Some(rest) = rest.strip_prefix("Subscription Violation - ") {
        let (who, rest) = who(rest)?;
        let (subject, rest) = quoted(rest.strip_prefix("Subject ")?)?;
        subscription_end(rest)?;
        return denial(&who.unwrap_or(user), DeniedAction::Subscribe, &subject);
    }
    let rest = rest.strip_prefix("authentication error")?;
    let claimed = match rest.strip_prefix(" - ") {
        Some(rest) => quoted(strip_any(rest, &WHO)?).filter(|(_, rest)| rest.is_empty())?.0,
        None => rest.is_empty().then(String::new)?,
    };
    let (host, _) = address.rsplit_once(':')?;
    denial(&claimed, DeniedAction::Login, host.trim_matches(['[', ']']))
}

fn denial(user: &str, action: DeniedAction, subject: &str) -> Option<Denial> {
    // The key stands alone, or after the account and how it was proven: `A.../name/jwt:U...`.
    let key = user.rsplit([':', '/']).next().unwrap_or_default();
    let login = if is_login(key) { key.to_owned() } else { String::new() };
    let denial = Denial { login, action, subject: bounded(subject) };
    (!denial.subject.is_empty()).then_some(denial)
}

/// Who it was, where the server says so here, and what follows.
fn who(text: &str) -> Option<(Option<String>, &str)> {
    let Some(named) = strip_any(text, &WHO) else { return Some((None, text)) };
    let (who, rest) = quoted(named)?;
    Some((Some(who), rest.trim_start().strip_prefix(", ")?))
}

/// The queue, if there is one, and the number of the subscription, which the client chose.
fn subscription_end(text: &str) -> Option<()> {
    let text = match text.strip_prefix(", Queue: ") {
        Some(queue) => quoted(queue)?.1,
        None => text,
    };
    let number = text.strip_prefix(", SID ")?;
    (!number.is_empty() && !number.contains(char::is_whitespace)).then_some(())
}

fn strip_any<'a>(text: &'a str, prefixes: &[&str]) -> Option<&'a str> {
    prefixes.iter().find_map(|prefix| text.strip_prefix(prefix))
}

/// A text in quotes as Go writes it, and what follows. What can be printed is not escaped there, so
/// whatever is, but quotes and backslashes, is shown as one sign for all of that kind.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut letters = text.strip_prefix('"')?.chars();
    let mut found = String::new();
    loop {
        match letters.next()? {
            '"' => return Some((found, letters.as_str())),
            '\\' => {
                let digits = match letters.next()? {
                    plain @ ('"' | '\\') => {
                        found.push(plain);
                        continue;
                    }
                    'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' => 0,
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => return None,
                };
                for _ in 0..digits {
                    letters.next().filter(char::is_ascii_hexdigit)?;
                }
                found.push(char::REPLACEMENT_CHARACTER);
            }
            letter if letter.is_control() => return None,
            letter => found.push(letter),
        }
    }
}

/// As much of a subject as is told.
fn bounded(subject: &str) -> String {
    if subject.len() <= DENIED_SUBJECT_BYTES_MAX {
        return subject.to_owned();
    }
    let room = subject.floor_char_boundary(DENIED_SUBJECT_BYTES_MAX - SUBJECT_CUT.len());
    format!("{}{SUBJECT_CUT}", subject.get(..room).unwrap_or_default())
}

#[cfg(test)]
mod tests;
