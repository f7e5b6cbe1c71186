//! What children write: kept whole in a file, and shown where it is a warning.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use super::denials::{Denials, Heard};
use crate::{
    files::{FileError, make_private_dir},
    output::note,
};

/// A log that has grown so long is put aside, and the one before it thrown away.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Lines of a log that are shown when its process is given up.
const TAIL_LINES: usize = 12;

/// The log of one process.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Log {
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        if let Some(directory) = path.parent() {
            make_private_dir(directory)?;
        }
        let opened = open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (bytes, file) = opened.map_err(|error| FileError::new("opening", path, error))?;
        Ok(Self { path: path.to_owned(), file, bytes })
    }

    /// For both streams of a process.
    pub(crate) fn shared(self) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(self))
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        if BYTES_MAX <= self.bytes {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            self.file = open(&self.path)?;
            self.bytes = 0;
        }
        self.file.write_all(line.as_bytes())?;
        self.bytes += u64::try_from(line.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Writes what comes into the log until it ends; warnings are shown with the process's name.
/// `denials` hears the lines of the broker.
pub(crate) async fn pump(
    name: String,
    from: impl AsyncRead + Unpin,
    log: Arc<Mutex<Log>>,
    denials: Option<Denials>,
) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => (),
        }
        let text = String::from_utf8_lossy(&line);
        if is_shown(&text, denials.as_ref()) {
            note(&format!("{name} | {}", text.trim_end()));
        }
        let written = log.lock().unwrap_or_else(PoisonError::into_inner).write(&text);
        if let Err(error) = written {
            note(&format!("{name} | its log cannot be written: {error}"));
        }
    }
}

/// Whether people see a line. Of what the broker forbids they see each thing once: whoever tries it
/// must not fill their screen.
fn is_shown(line: &str, denials: Option<&Denials>) -> bool {
    match denials.and_then(|denials| denials.hear(line)) {
        Some(Heard::First) => true,
        Some(Heard::Again | Heard::Suppressed) => false,
        None => is_warning(line),
    }
}

/// Whether a line of ours or of nats-server says that something is wrong.
fn is_warning(line: &str) -> bool {
    let head: String = line.chars().take(80).collect();
    [" WARN ", " ERROR ", "[WRN]", "[ERR]", "[FTL]", "error ", "panicked at"]
        .iter()
        .any(|mark| head.contains(mark))
}

/// The last lines of a log, for whoever has to find out.
pub(crate) fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(TAIL_LINES);
    lines.get(first..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pump_into(path: &Path, from: &[u8]) {
        pump("x".into(), from, Log::open(path).unwrap().shared(), None).await;
    }

    #[tokio::test]
    async fn everything_is_kept_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/x.log");
        pump_into(&path, b"one\ntwo").await;
        pump_into(&path, b"\nthree\n").await;
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
        assert_eq!(tail(&path), "one\ntwo\nthree");
    }

    #[test]
    fn of_what_the_broker_forbids_each_thing_is_shown_once() {
        let denials = Denials::default();
        let line = |subject: &str| {
            format!("[7] [ERR] ::1:9 - cid:4 - \"x\" - Publish Violation - Subject \"{subject}\"\n")
        };
        for (subject, shown) in [("a", true), ("a", false), ("b", true), ("a", false)] {
            assert_eq!(is_shown(&line(subject), Some(&denials)), shown, "{subject}");
            assert!(is_shown(&line(subject), None), "of another process it is any warning");
        }
    }

    #[test]
    fn a_full_log_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let mut log = Log::open(&path).unwrap();
        log.write("old\n").unwrap();
        log.bytes = BYTES_MAX;
        log.write("new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(fs::read_to_string(dir.path().join("x.log.1")).unwrap(), "old\n");
    }

    #[test]
    fn warnings_are_told_from_what_only_mentions_them() {
        assert!(is_warning("2026-01-01T00:00:00Z  WARN runtime: slow"));
        assert!(is_warning("[7] 2026/01/01 00:00:00.0 [ERR] no"));
        assert!(!is_warning("2026-01-01T00:00:00Z  INFO runtime: ready"));
    }
}
