//! A context as the plain `nats` command reads it, so that it asks as the same principal.
//!
//! **Invariant:** no secret stands anywhere but in a file that only its owner may read.

use std::path::{Path, PathBuf};

use schemas::{PrincipalId, subject::inbox_prefix};
use serde::Serialize;

use crate::{
    context::Context,
    files::{FileError, write_private},
};

/// Names the context to use, to the `nats` command: a name of its own, or a file as here.
pub const CONTEXT_VARIABLE: &str = "NATS_CONTEXT";
/// Names the principal in subjects, as the documentation writes them: `cortex.cmd.$ME.>`.
pub const PRINCIPAL_VARIABLE: &str = "ME";

/// Names the broker to use instead of the context's.
pub const URL_VARIABLE: &str = "NATS_URL";

/// What the `nats` command keeps in `~/.config/nats/context/NAME.json`.
#[derive(Serialize)]
struct NatsContext<'a> {
    description: String,
    url: &'a str,
    /// The only inboxes that the principal may hear.
    inbox_prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    creds: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
}

/// Writes `context` where the `nats` command can read it.
///
/// # Errors
///
/// Names the file that cannot be written.
pub(crate) fn write(path: &Path, context: &Context) -> Result<(), FileError> {
    let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let file = NatsContext {
        description: format!("Cortex as {}", context.principal),
        url: &context.url,
        inbox_prefix: inbox_prefix(&context.principal),
        creds: text(&context.creds),
        ca: text(&context.ca),
    };
    write_private(path, &json(&file))
}

fn json(file: &NatsContext<'_>) -> Vec<u8> {
    serde_json::to_vec_pretty(file).expect("a plain struct of texts is JSON")
}

/// What a shell needs for the `nats` command to speak as `principal`.
#[derive(Debug, Serialize)]
pub(crate) struct Environment {
    #[serde(rename = "NATS_CONTEXT")]
    pub(crate) context: PathBuf,
    #[serde(rename = "ME")]
    pub(crate) principal: PrincipalId,
    /// Outranks the context's.
    #[serde(rename = "NATS_URL", skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
}

impl Environment {
    /// Lines for `eval`.
    pub(crate) fn exports(&self) -> String {
        let context = quoted(&self.context.to_string_lossy());
        let url = self.url.as_deref().map(|url| (URL_VARIABLE, quoted(url)));
        [(CONTEXT_VARIABLE, context), (PRINCIPAL_VARIABLE, self.principal.to_string())]
            .into_iter()
            .chain(url)
            .map(|(name, value)| format!("export {name}={value}\n"))
            .collect()
    }
}

/// One word for a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
