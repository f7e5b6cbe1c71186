//! The run's end of the socket, for programs that ask.

use std::{
    env,
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    path::{Path, PathBuf},
};

use schemas::{ErrorCode, Fault, TaskId, task::Outcome};

use super::{Ask, DELEGATE_VARIABLE, Reply, Submit};

/// Longest path that a socket's address can hold, in bytes.
const ADDRESS_BYTES_MAX: usize = 107;

/// Why a run gets no task.
#[derive(Debug, thiserror::Error)]
pub enum DelegateError {
    /// The process is no part of a run that may ask.
    #[error("{DELEGATE_VARIABLE} is not set: this is no run, or its request grants nothing")]
    NotOffered,
    /// The node cannot be reached.
    #[error("cannot reach the node at {path:?}")]
    Unreachable {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The node says no.
    #[error("{0}")]
    Refused(Fault),
    /// The node says something that is not understood.
    #[error("the node's answer is not understood: {0}")]
    Answer(String),
}

impl DelegateError {
    /// The error as users see it.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        match self {
            Self::NotOffered => Fault::new(ErrorCode::NotAllowed, self.to_string())
                .with_hint("grant the task something when it is submitted"),
            Self::Unreachable { source, .. } => {
                Fault::new(ErrorCode::Unreachable, format!("{self}: {source}"))
                    .with_hint("the node serves a run for as long as it lasts")
            }
            Self::Refused(fault) => fault.clone(),
            Self::Answer(_) => Fault::new(ErrorCode::ProtocolMismatch, self.to_string()),
        }
    }
}

/// A run's way to its node.
#[derive(Debug)]
pub struct Delegate {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Delegate {
    /// Connects to the node that runs this process.
    ///
    /// # Errors
    ///
    /// [`DelegateError::NotOffered`] outside of a run that may ask for tasks.
    pub fn from_environment() -> Result<Self, DelegateError> {
        let path = env::var_os(DELEGATE_VARIABLE).ok_or(DelegateError::NotOffered)?;
        Self::connect(PathBuf::from(path))
    }

    /// Connects to a node's socket.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub fn connect(path: PathBuf) -> Result<Self, DelegateError> {
        match connect(&path) {
            Ok(stream) => Ok(Self { path, stream: BufReader::new(stream) }),
            Err(source) => Err(DelegateError::Unreachable { path, source }),
        }
    }

    /// Has a task submitted, and returns its id.
    ///
    /// # Errors
    ///
    /// `GRANTS_EXCEEDED` for what the run was not granted, and whatever the scheduler says.
    pub fn submit(&mut self, task: Submit) -> Result<TaskId, DelegateError> {
        match self.say(&Ask::Submit(Box::new(task)))? {
            Reply::Task(task) => Ok(task),
            Reply::Fault(fault) => Err(DelegateError::Refused(fault)),
            Reply::Outcome(_) => Err(DelegateError::Answer("an outcome".to_owned())),
        }
    }

    /// Waits until a task that this run has submitted has ended.
    ///
    /// # Errors
    ///
    /// `TASK_NOT_FOUND` for any other task.
    pub fn wait(&mut self, task: &TaskId) -> Result<Outcome, DelegateError> {
        match self.say(&Ask::Wait(task.clone()))? {
            Reply::Outcome(outcome) => Ok(*outcome),
            Reply::Fault(fault) => Err(DelegateError::Refused(fault)),
            Reply::Task(_) => Err(DelegateError::Answer("a task".to_owned())),
        }
    }

    fn say(&mut self, ask: &Ask) -> Result<Reply, DelegateError> {
        let line = super::line(ask);
        let mut answer = String::new();
        let said = self.stream.get_mut().write_all(&line);
        let heard = said.and_then(|()| self.stream.read_line(&mut answer)).and_then(|bytes| {
            if bytes == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
        });
        let unreachable = |source| DelegateError::Unreachable { path: self.path.clone(), source };
        heard.map_err(unreachable)?;
        serde_json::from_str(&answer).map_err(|error| DelegateError::Answer(error.to_string()))
    }
}

fn connect(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().len() <= ADDRESS_BYTES_MAX {
        return UnixStream::connect(path);
    }
    let (folder, name) = split(path)?;
    let folder = File::open(folder)?;
    UnixStream::connect(through(&folder, name))
}

fn split(path: &Path) -> io::Result<(&Path, &Path)> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let name = path.file_name().ok_or_else(invalid)?;
    Ok((path.parent().ok_or_else(invalid)?, Path::new(name)))
}

/// A path by way of an open folder, short enough for a socket's address.
pub(super) fn through(folder: &File, name: &Path) -> PathBuf {
    Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name)
}
