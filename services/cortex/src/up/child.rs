//! One child process: started so that it dies with us, its words kept, ended in good time.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal};
use schemas::{ErrorCode, Fault};
use tokio::{
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use super::{
    denials::Denials,
    log::{Log, pump},
};
use crate::signals::send_if_there;

/// A program that `up` keeps running.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// What people call it.
    pub(crate) name: &'static str,
    /// What is executed; standard input stays open as long as we live.
    pub(crate) argv: Vec<OsString>,
    /// Where its words are kept.
    pub(crate) log: PathBuf,
    /// A part of its command line that no other process has.
    pub(crate) marker: String,
    /// How long it may take to stop.
    pub(crate) stop_within: Duration,
}

/// A program that runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// Its standard input: when we die the kernel closes it. Not left in `child`, for waiting there
    /// closes it too.
    _lifeline: Option<ChildStdin>,
}

impl Program {
    /// Starts it; `denials` hears what it writes.
    pub(crate) fn spawn(&self, denials: Option<&Denials>) -> Result<Running, Fault> {
        let (program, arguments) = self.argv.split_first().ok_or_else(|| {
            Fault::new(ErrorCode::Internal, format!("{} has nothing to run", self.name))
        })?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for us alone: children are stopped one after another.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                let text =
                    format!("starting {} ({}): {error}", self.name, program.to_string_lossy());
                Fault::new(ErrorCode::Internal, text)
            })?;
        let log = Log::open(&self.log)?.shared();
        if let Some(stdout) = child.stdout.take() {
            let ear = denials.cloned();
            tokio::spawn(pump(self.name.to_owned(), stdout, log.clone(), ear));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(pump(self.name.to_owned(), stderr, log, denials.cloned()));
        }
        let lifeline = child.stdin.take();
        Ok(Running { child, _lifeline: lifeline })
    }
}

impl Running {
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end; can be given up and called again.
    pub(crate) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to stop, and kills it when it does not within `deadline`.
    pub(crate) async fn stop(mut self, deadline: Duration) -> Stopped {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let Some(pid) = pid else { return Stopped::ByItself };
        send_if_there(pid, Signal::TERM);
        if timeout(deadline, self.child.wait()).await.is_ok() {
            return Stopped::ByItself;
        }
        drop(self.child.kill().await);
        Stopped::Killed
    }
}

/// How a program stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// As it was asked to.
    ByItself,
    /// It did not listen.
    Killed,
}
