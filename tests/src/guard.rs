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
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};

/// Two signals that a killed owner causes are trapped, or they would end the shell before it killed
/// the command: SIGPIPE from an answer that nobody reads, and SIGHUP, which the kernel sends to an
/// orphaned group in which a process is stopped. A stop is done when every thread has stopped;
/// `kill` returns before. It is not waited for without end: together with the SIGHUP the kernel lets
/// the process go on.
const SCRIPT: &str = r#"
trap : PIPE HUP
dir=$1; log=$2; shift 2
start() {
  "$@" </dev/null >>"$log" 2>&1 &
  pid=$!
  echo "$pid"
}
stopped() {
  for stat in /proc/"$pid"/task/*/stat; do
    read -r line <"$stat" || continue
    case ${line##*) } in [TtZX]*) ;; *) return 1 ;; esac
  done
}
start "$@"
while read -r word; do
  case $word in
    start) start "$@" ;;
    wait) wait "$pid"; echo $?; pid= ;;
    STOP)
      kill -s STOP "$pid"; done=$?; looks=0
      until stopped || [ "$looks" -ge 2000 ]; do looks=$((looks + 1)); done
      echo "$done" ;;
    *) kill -s "$word" "$pid"; echo $? ;;
  esac
done
kill -s KILL "$pid"
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

/// A command and its directory. Dropping it kills the one and removes the other.
#[derive(Debug)]
pub struct Guarded {
    shell: Child,
    line: Mutex<Line>,
}

/// The conversation with the shell.
#[derive(Debug)]
struct Line {
    /// Taken when the shell is to finish.
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The command's process, until it was waited for.
    pid: Option<u32>,
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
        let words = shell.stdin.take();
        let answers = shell.stdout.take().expect("stdout was asked to be piped");
        let mut line = Line { words, answers: BufReader::new(answers), pid: None };
        line.pid = Some(line.answer()?);
        Ok(Self { shell, line: Mutex::new(line) })
    }

    /// The command's process id; `None` after it was waited for or killed.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.line().pid
    }

    /// Sends `signal`; a [`Signal::Stop`] has taken effect when this returns.
    ///
    /// Fails when the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let status = self.line().ask(signal.word())?;
        ensure!(status == 0, "the process is gone; it cannot get {signal:?}");
        Ok(())
    }

    /// Blocks until the command ended, and returns its exit status as a shell gives it
    /// (128 + number of the signal that killed it).
    pub fn wait(&self) -> Result<u32> {
        let mut line = self.line();
        let status = line.ask("wait")?;
        line.pid = None;
        Ok(status)
    }

    /// Kills the command with SIGKILL and waits until it is gone; the directory stays.
    pub fn kill(&self) -> Result<()> {
        ensure!(self.pid().is_some(), "the process is killed already");
        // It may have ended by itself, and is then as dead as was asked for.
        self.line().ask(Signal::Kill.word())?;
        self.wait()?;
        Ok(())
    }

    /// Starts the same command again after it was killed or waited for.
    pub fn start_again(&self) -> Result<()> {
        let mut line = self.line();
        ensure!(line.pid.is_none(), "the process was not killed");
        line.pid = Some(line.ask("start")?);
        Ok(())
    }

    /// Whether the command has ended, by itself or by a signal.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let Some(pid) = self.pid() else { return true };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything; the state stands after the last one.
        let state = stat.rsplit_once(')').map_or("", |(_, rest)| rest.trim_start());
        state.is_empty() || state.starts_with(['Z', 'X'])
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn ask(&mut self, word: &str) -> Result<u32> {
        let words = self.words.as_mut().context("the guard has finished")?;
        writeln!(words, "{word}").with_context(|| format!("telling the guard {word}"))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<u32> {
        let mut line = String::new();
        self.answers.read_line(&mut line).context("reading from the guard")?;
        line.trim().parse().with_context(|| format!("the guard answered {line:?}"))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.line().words.take());
        // An error means that the guard is gone already.
        drop(self.shell.wait());
    }
}

#[cfg(test)]
mod tests;
