//! Runs a program that knows nothing of supervisors, and ends it when ours is gone.

use std::{ffi::OsString, process::ExitCode, time::Duration};

use rustix::process::{Pid, Signal};
use schemas::{ErrorCode, Fault};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use crate::{
    commands::Outcome,
    signals::{send_if_there, stdin_end, wait},
};

/// How long the program may take after SIGTERM.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// Runs `argv` until it ends, standard input ends, or a signal asks for it.
pub(crate) async fn guard(argv: Vec<OsString>) -> Outcome {
    let failed = |what: &str, error: std::io::Error| {
        Fault::new(ErrorCode::Internal, format!("{what}: {error}"))
    };
    // Before the program starts: a signal in between must not leave it alone.
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|e| failed("listening for signals", e))?;
    let mut orphaned = stdin_end();
    let (program, arguments) = argv
        .split_first()
        .ok_or_else(|| Fault::new(ErrorCode::InvalidValue, "there is nothing to run"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&format!("starting {}", program.to_string_lossy()), error))?;
    tokio::select! {
        status = child.wait() => {
            let status = status.map_err(|error| failed("waiting", error))?;
            let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
            return Ok(ExitCode::from(code));
        }
        _ = terminate.recv() => (),
        () = wait(&mut orphaned) => (),
    }
    end(&mut child).await;
    Ok(ExitCode::SUCCESS)
}

async fn end(child: &mut Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        send_if_there(pid, Signal::TERM);
    }
    if timeout(END_DEADLINE, child.wait()).await.is_err() {
        drop(child.kill().await);
    }
}
