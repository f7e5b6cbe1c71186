//! Panics, written down where the next process start finds them.
//!
//! **Invariant:** a crash report is counted once: it is moved aside when it was read.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use schemas::{InstanceId, agent::FailureCounters};

const PREFIX: &str = "crash-";
/// Where reports go once they were counted.
const ASIDE: &str = "crashes";
/// Reports that are kept there; older ones are removed.
const KEPT_MAX: usize = 20;
/// Longest first line that heartbeats carry, in characters.
const LINE_CHARS_MAX: usize = 200;

/// Writes every panic of this process to a file, beside whatever was done before.
pub(crate) fn write_panics(state_dir: &Path, instance: &InstanceId) {
    let path = state_dir.join(format!("{PREFIX}{instance}.txt"));
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let trace = std::backtrace::Backtrace::force_capture();
        let line = info.to_string().replace('\n', " ");
        // Nothing can be done about a crash report that cannot be written.
        drop(append(&path, &format!("{line}\n{trace}\n")));
        before(info);
    }));
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    use io::Write as _;
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Counts the panics of earlier process starts and moves their reports aside.
///
/// # Errors
///
/// When the folder cannot be read.
pub(crate) fn collect(state_dir: &Path) -> io::Result<FailureCounters> {
    let mut found = reports(state_dir)?;
    found.sort();
    let mut failures = FailureCounters::default();
    for (_, path) in found {
        let text = fs::read_to_string(&path).unwrap_or_default();
        failures.panics += 1;
        let line = text.lines().next().unwrap_or("a crash report that cannot be read");
        failures.last_panic = Some(line.chars().take(LINE_CHARS_MAX).collect());
        tracing::warn!(report = ?path, line, "an earlier process start of this node panicked");
        move_aside(state_dir, &path)?;
    }
    prune(&state_dir.join(ASIDE))?;
    Ok(failures)
}

/// Crash reports in a folder with the time they were written.
fn reports(folder: &Path) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(".txt")) {
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    Ok(found)
}

fn move_aside(state_dir: &Path, report: &Path) -> io::Result<()> {
    let aside = state_dir.join(ASIDE);
    fs::create_dir_all(&aside)?;
    let name = report.file_name().expect("a report was found by its name");
    fs::rename(report, aside.join(name))
}

fn prune(aside: &Path) -> io::Result<()> {
    if !aside.exists() {
        return Ok(());
    }
    let mut kept = reports(aside)?;
    kept.sort();
    let surplus = kept.len().saturating_sub(KEPT_MAX);
    kept.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
}

#[cfg(test)]
mod tests;
