//! What commands print: data on stdout in the form that was asked for, the rest on stderr.
//!
//! **Invariant:** nothing that came from others reaches a terminal with control characters in it,
//! except the output of a run, which is passed on as it is.

mod listing;
mod text;
mod yaml;

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use schemas::{ErrorCode, Fault};
use serde::Serialize;

pub use listing::{Column, Listing, Row};
pub use text::{age, bytes, clean, local_time};

/// The form of what is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns.
    #[default]
    Table,
    /// Aligned columns, more of them.
    Wide,
    /// The answer as it came, in JSON.
    Json,
    /// The same in YAML.
    Yaml,
    /// Names alone, one a line.
    Name,
}

/// Writes to stdout and stderr.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    format: Format,
    color: bool,
}

impl Printer {
    /// Prints as `format` says; colours only for a terminal and without `NO_COLOR`.
    #[must_use]
    pub fn new(format: Format) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { format, color: wanted && !dumb && io::stdout().is_terminal() }
    }

    /// The form that was asked for.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether what is printed is for machines.
    #[must_use]
    pub fn is_for_machines(&self) -> bool {
        match self.format {
            Format::Json | Format::Yaml => true,
            Format::Table | Format::Wide | Format::Name => false,
        }
    }

    /// Prints an answer: `value` for machines, `listing` for people.
    ///
    /// # Errors
    ///
    /// When stdout cannot be written to.
    pub fn show(&self, value: &impl Serialize, listing: &Listing) -> Result<(), Fault> {
        let text = match self.format {
            Format::Json => json(value) + "\n",
            Format::Yaml => yaml::render(&tree(value)),
            Format::Name => listing.names(),
            Format::Table => listing.table(Column::is_usual, self.color),
            Format::Wide => listing.table(|_| true, self.color),
        };
        print(text.as_bytes())
    }

    /// Prints one of many answers, one a line for machines.
    ///
    /// # Errors
    ///
    /// When stdout cannot be written to.
    pub fn show_line(&self, value: &impl Serialize, line: &str) -> Result<(), Fault> {
        let text = match self.format {
            Format::Json => tree(value).to_string(),
            Format::Yaml => format!("---\n{}", yaml::render(&tree(value)).trim_end()),
            Format::Table | Format::Wide | Format::Name => line.to_owned(),
        };
        print(format!("{text}\n").as_bytes())
    }

    /// Clears the screen before what is shown again and again, where there is a screen.
    ///
    /// # Errors
    ///
    /// When stdout cannot be written to.
    pub fn clear(&self) -> Result<(), Fault> {
        let is_screen = !self.is_for_machines() && io::stdout().is_terminal();
        if is_screen { print(b"\x1b[H\x1b[2J") } else { Ok(()) }
    }

    /// Says why a command failed: code, message and hint on stderr.
    pub fn fail(&self, fault: &Fault) {
        let text = if self.is_for_machines() {
            let error = serde_json::json!({ "error": fault });
            if self.format == Format::Yaml { yaml::render(&error) } else { json(&error) + "\n" }
        } else {
            let hint = match fault.hint.as_str() {
                "" => String::new(),
                hint => format!("hint: {}\n", clean(hint)),
            };
            format!("error {}: {}\n{hint}", fault.code, clean(&fault.message))
        };
        note_raw(&text);
    }
}

/// Writes data to stdout.
///
/// # Errors
///
/// `INTERNAL` when nothing can be written; nothing when nobody reads any more.
pub fn print(data: &[u8]) -> Result<(), Fault> {
    write_all(&mut io::stdout().lock(), data)
}

/// Writes to a stream that somebody reads, or no longer does.
///
/// # Errors
///
/// As [`print()`].
pub fn write_all(stream: &mut impl Write, data: &[u8]) -> Result<(), Fault> {
    match stream.write_all(data).and_then(|()| stream.flush()) {
        Ok(()) => Ok(()),
        // `cortex task ls | head`: whoever read has enough, which is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Fault::new(ErrorCode::Internal, format!("writing output: {error}"))),
    }
}

/// Tells a person something that is no data.
pub fn note(text: &str) {
    note_raw(&format!("{}\n", clean(text)));
}

fn note_raw(text: &str) {
    // With stderr gone there is nobody left to tell.
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

fn tree(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("answers are plain structs with text keys")
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("answers are plain structs with text keys")
}

#[cfg(test)]
mod tests;
