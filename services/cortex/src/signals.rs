//! When a process is to stop: on a signal, or when whoever started it is gone.
//!
//! A supervisor holds the other end of its children's standard input and never writes to it; when
//! it dies, even by SIGKILL, the kernel closes that end. This works on every system and needs no
//! parent-death signal.

use std::{io::Read, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use schemas::{ErrorCode, Fault};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::sleep,
};

/// How long a process whose supervisor died may take to stop by itself.
pub(crate) const ORPHAN_GRACE: Duration = Duration::from_secs(5);

/// What ends a process besides signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supervision {
    /// Nothing.
    Alone,
    /// The end of standard input.
    ByStdin,
}

impl Supervision {
    /// What a `--supervised` flag means.
    pub(crate) fn of(flag: bool) -> Self {
        if flag { Self::ByStdin } else { Self::Alone }
    }
}

/// Becomes true when the process is to stop.
///
/// # Errors
///
/// `INTERNAL` when signals cannot be heard.
pub(crate) fn stop(supervision: Supervision) -> Result<watch::Receiver<bool>, Fault> {
    let heard = |kind| {
        signal(kind).map_err(|error| {
            Fault::new(ErrorCode::Internal, format!("listening for signals: {error}"))
        })
    };
    let (mut terminate, mut interrupt) =
        (heard(SignalKind::terminate())?, heard(SignalKind::interrupt())?);
    let (stop, stopped) = watch::channel(false);
    let orphaned = match supervision {
        Supervision::Alone => None,
        Supervision::ByStdin => Some(stdin_end()),
    };
    tokio::spawn(async move {
        let orphaned = async {
            match orphaned {
                Some(mut end) => wait(&mut end).await,
                None => std::future::pending().await,
            }
        };
        let is_orphan = tokio::select! {
            _ = terminate.recv() => false,
            _ = interrupt.recv() => false,
            () = orphaned => true,
        };
        stop.send_replace(true);
        if is_orphan {
            sleep(ORPHAN_GRACE).await;
            leave();
        }
        stop.closed().await;
    });
    Ok(stopped)
}

/// Waits until it is true, or whoever could say so is gone.
pub(crate) async fn wait(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stopped| *stopped).await);
}

#[expect(clippy::exit, reason = "nobody is left who could end a process that does not stop")]
fn leave() {
    std::process::exit(1);
}

/// Becomes true when standard input ends.
pub(crate) fn stdin_end() -> watch::Receiver<bool> {
    let (ended, end) = watch::channel(false);
    // A thread of its own: a blocking read inside the runtime would keep it from shutting down.
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        let mut stdin = std::io::stdin().lock();
        while matches!(stdin.read(&mut buffer), Ok(1..)) {}
        ended.send_replace(true);
    });
    end
}

/// Signals a process that may have ended by now, which is no error.
pub(crate) fn send_if_there(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process(pid, signal) {
        tracing::debug!(pid = %pid.as_raw_nonzero(), %error, "a signal reached nobody");
    }
}
