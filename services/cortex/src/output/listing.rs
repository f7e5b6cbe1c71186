//! Rows under titles, aligned for people.

use super::text::clean;

/// Spaces between two columns.
const GAP: usize = 2;
/// Longest cell in the usual form, in characters; the wide form cuts nothing.
const CELL_CHARS_MAX: usize = 60;

/// A title and whether its column is always shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Always shown.
    Usual(&'static str),
    /// Shown in the wide form.
    Wide(&'static str),
}

impl Column {
    pub(super) fn is_usual(self) -> bool {
        match self {
            Self::Usual(_) => true,
            Self::Wide(_) => false,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Usual(title) | Self::Wide(title) => title,
        }
    }
}

/// One thing that is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What names it.
    pub name: String,
    /// A cell for each column.
    pub cells: Vec<String>,
}

impl Row {
    /// A row whose name stands in its first cell.
    #[must_use]
    pub fn new(cells: Vec<String>) -> Self {
        Self { name: cells.first().cloned().unwrap_or_default(), cells }
    }
}

/// What a command lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    columns: Vec<Column>,
    rows: Vec<Row>,
    is_uncut: bool,
}

impl Listing {
    /// A list under `columns`.
    #[must_use]
    pub fn new(columns: &[Column], rows: impl IntoIterator<Item = Row>) -> Self {
        Self { columns: columns.to_vec(), rows: rows.into_iter().collect(), is_uncut: false }
    }

    /// The same with every cell whole, however long.
    #[must_use]
    pub fn uncut(self) -> Self {
        Self { is_uncut: true, ..self }
    }

    /// One thing, a line for each of its properties.
    #[must_use]
    pub fn of_one(name: &str, properties: Vec<(&str, String)>) -> Self {
        let filled = properties.into_iter().filter(|(_, value)| !value.is_empty());
        let rows = filled
            .map(|(title, value)| Row { name: name.to_owned(), cells: vec![title.into(), value] });
        Self { columns: Vec::new(), rows: rows.collect(), is_uncut: true }
    }

    pub(super) fn names(&self) -> String {
        let mut names: Vec<&str> = self.rows.iter().map(|row| row.name.as_str()).collect();
        names.dedup();
        names.iter().map(|name| clean(name) + "\n").collect()
    }

    pub(super) fn table(&self, shown: impl Fn(Column) -> bool, color: bool) -> String {
        let has_hidden = self.columns.iter().any(|column| !column.is_usual());
        let wide = self.is_uncut || (has_hidden && self.columns.iter().all(|c| shown(*c)));
        let mut lines: Vec<Vec<String>> = Vec::new();
        if !self.columns.is_empty() {
            let shown = self.columns.iter().filter(|column| shown(**column));
            lines.push(shown.map(|column| column.title().to_owned()).collect());
        }
        for row in &self.rows {
            let cells = row.cells.iter().enumerate();
            let cells = cells.filter(|(at, _)| self.columns.get(*at).is_none_or(|c| shown(*c)));
            lines.push(cells.map(|(_, cell)| cut(&clean(cell), wide)).collect());
        }
        aligned(&lines, color)
    }
}

fn cut(cell: &str, wide: bool) -> String {
    if wide || cell.chars().count() <= CELL_CHARS_MAX {
        return cell.to_owned();
    }
    let beginning: String = cell.chars().take(CELL_CHARS_MAX - 3).collect();
    beginning + "..."
}

fn aligned(lines: &[Vec<String>], color: bool) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for line in lines {
        for (at, cell) in line.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(at) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for line in lines {
        for (at, cell) in line.iter().enumerate() {
            text.push_str(&painted(cell, color));
            if at + 1 < line.len() {
                let width = widths.get(at).copied().unwrap_or_default();
                text.extend(std::iter::repeat_n(' ', width - cell.chars().count() + GAP));
            }
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

/// Words that mean the same everywhere get the same colour everywhere.
fn painted(cell: &str, color: bool) -> String {
    let code = match cell {
        "online" | "succeeded" | "ok" | "running" => "32",
        "degraded" | "queued" | "assigned" | "started" | "maintenance" | "cancelled" => "33",
        "offline" | "failed" | "lost" | "timed-out" | "expired" | "FAILED" => "31",
        _ => "",
    };
    if color && !code.is_empty() { format!("\x1b[{code}m{cell}\x1b[0m") } else { cell.to_owned() }
}
