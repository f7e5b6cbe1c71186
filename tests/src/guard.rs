//! A child process that dies with the test, however the test dies.
//!
//! A shell stands between: it starts the command, obeys words on its standard input, and when that
//! input ends - because the owner dropped it, or was killed and the kernel closed it - it kills the
//! command and removes its directory. The kernel's own parent-death signal would not do: it fires
//! when the *thread* that forked ends, and test threads end early.
//!
//! **Invariant:** the shell alone reaps the command, so a signal never reaches another process that
//! was given its number.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

const SCRIPT: &str = r#"
dir=$1; log=$2; shift 2
"$@" </dev/null >>"$log" 2>&1 &
pid=$!
echo "$pid"
while read -r word; do
  case $word in
    leave) exit 0 ;;
    wait) wait "$pid"; echo $? ;;
    *) kill -s "$word" "$pid" 2>/dev/null; echo $? ;;
  esac
done
kill -s KILL "$pid" 2>/dev/null
wait "$pid"
rm -rf -- "$dir"
"#;

/// What can be sent to a guarded process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGKILL: as a crash, nothing is flushed.
    Kill,
    /// SIGTERM: asks for a clean stop.
    Terminate,
    /// SIGINT: what Ctrl-C sends.
    Interrupt,
    /// SIGSTOP: the process freezes and its connections stay open.
    Stop,
    /// SIGCONT: a frozen process goes on as if nothing had happened.
    Continue,
}

impl Signal {
    const fn word(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// A running command. Dropping it kills the command and removes its directory.
#[derive(Debug)]
pub struct Guarded {
    pid: u32,
    shell: Child,
    pipes: Mutex<Option<Pipes>>,
}

#[derive(Debug)]
struct Pipes {
    words: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Guarded {
    /// Starts `program` with `args`; its output is appended to `log`, and `dir` goes with it.
    pub fn spawn<S: AsRef<OsStr>>(
        program: &Path,
        args: impl IntoIterator<Item = S>,
        dir: &Path,
        log: &Path,
    ) -> Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "guard"])
            .args([dir, log, program])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Out of reach of a Ctrl-C or a kill that is meant for the test's group.
            .process_group(0)
            .spawn()
            .context("starting sh as a guard")?;
        let words = shell.stdin.take().expect("stdin was asked to be piped");
        let answers = shell.stdout.take().expect("stdout was asked to be piped");
        let mut pipes = Pipes { words, answers: BufReader::new(answers) };
        let pid = pipes.answer()?;
        Ok(Self { pid, shell, pipes: Mutex::new(Some(pipes)) })
    }

    /// The command's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends `signal`. Fails when the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let status = self.ask(signal.word())?;
        ensure!(status == 0, "process {} is gone; it cannot get {signal:?}", self.pid);
        Ok(())
    }

    /// Blocks until the command ended, and returns its exit status as a shell gives it
    /// (128 + number of the signal that killed it).
    pub fn wait(&self) -> Result<u32> {
        self.ask("wait")
    }

    /// Whether the command has ended, by itself or by a signal.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // The name in parentheses may hold anything; the state stands after the last one.
        stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with(['Z', 'X']))
            || stat.is_empty()
    }

    /// Kills the command and keeps its directory.
    pub fn kill_and_keep(mut self) -> Result<()> {
        // A process that ended by itself is as dead as was asked for.
        let _ended_already = self.ask(Signal::Kill.word())?;
        self.wait()?;
        if let Some(mut pipes) = self.pipes.lock().unwrap_or_else(PoisonError::into_inner).take() {
            writeln!(pipes.words, "leave").context("telling the guard to leave")?;
        }
        self.shell.wait().context("waiting for the guard")?;
        Ok(())
    }

    fn ask(&self, word: &str) -> Result<u32> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let pipes = pipes.as_mut().context("the guard has left")?;
        writeln!(pipes.words, "{word}").with_context(|| format!("telling the guard {word}"))?;
        pipes.answer()
    }
}

impl Pipes {
    fn answer(&mut self) -> Result<u32> {
        let mut line = String::new();
        self.answers.read_line(&mut line).context("reading from the guard")?;
        line.trim().parse().with_context(|| format!("the guard answered {line:?}"))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.pipes.lock().unwrap_or_else(PoisonError::into_inner).take());
        // An error means that the guard is gone already.
        drop(self.shell.wait());
    }
}

#[cfg(test)]
mod tests;
