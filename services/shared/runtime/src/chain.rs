//! An error with all its causes, for the one place that reports it.

use std::error::Error;

/// The error and its causes, from the outermost to the innermost.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
