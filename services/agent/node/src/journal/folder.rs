//! The journal's folder: its lock, its one live segment, and the way to a fresh one.
//!
//! **Invariant:** a segment carries its final name only when all that it was begun with is on
//! disk, so the newest named segment is complete and older ones are worth nothing.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    thread::park_timeout,
    time::{Duration, Instant},
};

use agent_core::Record;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{
    JournalError,
    frame::{self, FrameError},
};

const MAGIC: &[u8; 8] = b"CORTEXJ1";
const EXTENSION: &str = "journal";
/// How long a lock may still be held by what a killed process was just forking.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// Pause between two looks at a lock that is held.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// A file that can be appended to, synced, and cut back.
pub(crate) trait Medium: Send {
    /// Writes all of it behind what is there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when everything that was appended is on disk.
    fn sync(&mut self) -> io::Result<()>;
}

impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The segment that is written to.
pub(crate) struct Segment {
    pub(crate) medium: Box<dyn Medium>,
    pub(crate) number: u64,
    pub(crate) bytes: u64,
}

/// A locked folder.
pub(crate) struct Folder {
    path: PathBuf,
    /// Holds the lock as long as it is open.
    _lock: File,
}

/// The live segment, ready for more.
pub(crate) struct Opened {
    pub(crate) segment: Segment,
    pub(crate) records: Vec<Record>,
    pub(crate) trimmed: Option<Trimmed>,
}

/// What was cut off the end of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trimmed {
    /// Bytes that were kept.
    pub(crate) kept: u64,
    /// Bytes that were cut off; never told to be on disk.
    pub(crate) cut: u64,
    /// What was wrong with them.
    pub(crate) problem: String,
}

impl Folder {
    pub(crate) fn open(path: &Path) -> Result<(Self, Opened), JournalError> {
        fs::create_dir_all(path).map_err(cannot("make the folder", path))?;
        let folder = Self { path: path.to_owned(), _lock: lock(path)? };
        let mut numbers = folder.segments()?;
        let Some(newest) = numbers.pop() else {
            let segment = folder.begin(1, &[])?;
            return Ok((folder, Opened { segment, records: Vec::new(), trimmed: None }));
        };
        let opened = folder.reopen(newest)?;
        folder.remove(&numbers);
        Ok((folder, opened))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn segment_path(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:010}.{EXTENSION}"))
    }

    /// Numbers of the named segments, ascending. What never got its name is removed.
    fn segments(&self) -> Result<Vec<u64>, JournalError> {
        let list = cannot("list", &self.path);
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(&list)? {
            let path = entry.map_err(&list)?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            match (stem.and_then(|stem| stem.parse().ok()), extension) {
                (Some(number), Some(EXTENSION)) => numbers.push(number),
                (_, Some("new")) => fs::remove_file(&path).map_err(cannot("remove", &path))?,
                (_, _) => (),
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Reads a segment, cuts a torn end off, and opens it for more.
    fn reopen(&self, number: u64) -> Result<Opened, JournalError> {
        let path = self.segment_path(number);
        let file = OpenOptions::new().read(true).append(true).open(&path);
        let mut file = file.map_err(cannot("open", &path))?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(cannot("read", &path))?;
        let (records, kept, problem) = read_records(&content, &path)?;
        let trimmed = problem.map(|problem| Trimmed {
            kept: size(kept),
            cut: size(content.len() - kept),
            problem: problem.to_string(),
        });
        if trimmed.is_some() {
            file.set_len(size(kept)).map_err(cannot("cut the torn end off", &path))?;
        }
        // Also what an earlier process wrote and did not sync is on disk before it is believed.
        file.sync_all().map_err(cannot("sync", &path))?;
        let segment = Segment { medium: Box::new(file), number, bytes: size(kept) };
        Ok(Opened { segment, records, trimmed })
    }

    /// Makes a segment that holds these records, complete or not at all.
    pub(crate) fn begin(&self, number: u64, records: &[Record]) -> Result<Segment, JournalError> {
        let path = self.segment_path(number);
        let unnamed = path.with_extension("new");
        let mut content = MAGIC.to_vec();
        for record in records {
            frame::encode(record, &mut content).map_err(|error| JournalError::Damaged {
                path: path.clone(),
                problem: error.to_string(),
            })?;
        }
        let mut file = File::create(&unnamed).map_err(cannot("make", &unnamed))?;
        file.write_all(&content).map_err(cannot("write", &unnamed))?;
        file.sync_all().map_err(cannot("sync", &unnamed))?;
        fs::rename(&unnamed, &path).map_err(cannot("name", &path))?;
        self.sync()?;
        Ok(Segment { medium: Box::new(file), number, bytes: size(content.len()) })
    }

    /// Removes segments that a newer one stands for; a left-over does no harm.
    pub(crate) fn remove(&self, numbers: &[u64]) {
        for number in numbers {
            let path = self.segment_path(*number);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(%error, ?path, "an old segment of the journal stays");
            }
        }
    }

    fn sync(&self) -> Result<(), JournalError> {
        let folder = File::open(&self.path).and_then(|folder| folder.sync_all());
        folder.map_err(cannot("sync the folder", &self.path))
    }
}

/// The records, how many bytes they take, and what is wrong with the bytes after them.
fn read_records(
    content: &[u8],
    path: &Path,
) -> Result<(Vec<Record>, usize, Option<FrameError>), JournalError> {
    let damaged = |problem: String| JournalError::Damaged { path: path.to_owned(), problem };
    if !content.starts_with(MAGIC) {
        return Err(damaged("it does not begin as a journal does".to_owned()));
    }
    let (mut records, mut position) = (Vec::new(), MAGIC.len());
    while position < content.len() {
        match frame::decode(&content[position..]) {
            Ok((record, length)) => {
                records.push(record);
                position += length;
            }
            // Written whole, so not torn: a newer program's record, which must not be forgotten.
            Err(error @ FrameError::Json(_)) => {
                return Err(damaged(format!("at byte {position}: {error}")));
            }
            Err(error @ (FrameError::Short | FrameError::Length(_) | FrameError::Checksum)) => {
                return Ok((records, position, Some(error)));
            }
        }
    }
    Ok((records, position, None))
}

fn lock(folder: &Path) -> Result<File, JournalError> {
    let path = folder.join("lock");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(cannot("make", &path))?;
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(Errno::WOULDBLOCK) if Instant::now() < until => park_timeout(LOCK_RETRY),
            Err(Errno::WOULDBLOCK) => {
                return Err(JournalError::InUse { path: folder.to_owned() });
            }
            Err(error) => return Err(cannot("lock", &path)(error.into())),
        }
    }
}

fn cannot(attempt: &'static str, path: &Path) -> impl Fn(io::Error) -> JournalError {
    move |source| JournalError::Io { attempt, path: path.to_owned(), source }
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a usize fits 64 bits")
}
