//! The witness: a file outside every run, to which each run appends one line; its folder is given to
//! all of them.
//!
//! **Invariant:** a line is written by one `write` with `O_APPEND`, so lines never mix.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use schemas::task::{TaskSpec, Work};

/// A run's own directory is named after its task and epoch; a pause before the line and one after
/// it let kills fall on either side.
const SCRIPT: &str = r#"sleep "$2"; echo "${HOME##*/} $$" >>"$1"; sleep "$3""#;

/// Where runs leave their lines.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    path: PathBuf,
}

/// One run's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) epoch: u64,
    pub(crate) pid: u32,
}

impl Witness {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join("witness.log") }
    }

    /// A command that leaves a line, with pauses in milliseconds before and after it.
    pub(crate) fn command(&self, before_ms: u64, after_ms: u64) -> TaskSpec {
        let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
        let words = ["sh", "-c", SCRIPT, "witness"].map(str::to_owned).into_iter();
        let path = self.path.display().to_string();
        let argv = words.chain([path, seconds(before_ms), seconds(after_ms)]).collect();
        TaskSpec::new(Work::Command { argv, cwd: None, env: BTreeMap::new(), stdin: None })
    }

    /// All lines, by task.
    pub(crate) fn lines(&self) -> Result<BTreeMap<String, Vec<Line>>> {
        let text = fs::read_to_string(&self.path).context("reading the witness")?;
        let mut lines: BTreeMap<String, Vec<Line>> = BTreeMap::new();
        for text in text.lines() {
            let (task, line) = parse(text).with_context(|| format!("the line {text:?}"))?;
            lines.entry(task).or_default().push(line);
        }
        Ok(lines)
    }
}

fn parse(text: &str) -> Option<(String, Line)> {
    let (run, pid) = text.split_once(' ')?;
    let (task, epoch) = run.rsplit_once('-')?;
    Some((task.to_owned(), Line { epoch: epoch.parse().ok()?, pid: pid.parse().ok()? }))
}
