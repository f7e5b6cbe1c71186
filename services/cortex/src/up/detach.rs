//! `cortex up --detach`: leaves a supervisor behind, once everything is ready.

use std::{
    fs::OpenOptions,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use schemas::{ErrorCode, Fault};
use tokio::time::sleep;

use super::{
    LOOK_INTERVAL, UpArgs, already_running,
    launch::ourselves,
    log,
    record::{Record, is_running},
    start::{HomeOfUp, announce},
};
use crate::{
    cli::Globals,
    commands::Outcome,
    files::{FileError, make_private_dir},
    home::HOME_VARIABLE,
};

/// How long everything may take to get ready; longer than the supervisor's own deadlines.
const READY_DEADLINE: Duration = Duration::from_secs(300);

pub(crate) async fn start(globals: &Globals, args: &UpArgs, home: HomeOfUp) -> Outcome {
    if is_running(&home) {
        return Err(already_running(&home));
    }
    let began = Instant::now();
    let mut child = spawn(args, &home)?;
    loop {
        let record = Record::read(&home)?.filter(|record| record.pid == child.id() && record.ready);
        if let Some(record) = record {
            announce(globals, &home, (&record, began))?;
            return Ok(ExitCode::SUCCESS);
        }
        let ended = child.try_wait().map_err(|error| broken(format!("waiting: {error}")))?;
        if let Some(status) = ended {
            let tail = log::tail(&home.logs().join("up.log"));
            return Err(broken(format!("`cortex up` ended ({status}):\n{tail}")));
        }
        if READY_DEADLINE <= began.elapsed() {
            let message = format!("not ready within {READY_DEADLINE:?}");
            return Err(
                Fault::new(ErrorCode::TimedOut, message).with_hint("`cortex down` stops it")
            );
        }
        sleep(LOOK_INTERVAL).await;
    }
}

fn broken(message: String) -> Fault {
    Fault::new(ErrorCode::Internal, message).with_hint("`cortex doctor` may tell more")
}

fn spawn(args: &UpArgs, home: &HomeOfUp) -> Result<Child, Fault> {
    make_private_dir(&home.logs())?;
    let path = home.logs().join("up.log");
    let opened = OpenOptions::new().create(true).append(true).open(&path);
    let log = opened.map_err(|error| FileError::new("opening", &path, error))?;
    let log_too = log.try_clone().map_err(|error| FileError::new("opening", &path, error))?;
    let argv = ourselves(["up", "--nats-port"])?;
    let (program, arguments) = argv.split_first().ok_or_else(|| broken("no program".to_owned()))?;
    let mut command = Command::new(program);
    command.args(arguments).arg(args.nats_port.to_string());
    command.arg(format!("--login-lifetime-s={}", args.login_lifetime_s));
    if args.no_node {
        command.arg("--no-node");
    }
    if let Some(slots) = args.slots {
        command.arg(format!("--slots={slots}"));
    }
    for folder in &args.share {
        command.arg("--share").arg(folder);
    }
    if let Some(root) = &home.remove {
        command.arg("--remove-home").env(HOME_VARIABLE, root);
    }
    // A group of its own: what ends the terminal's programs does not end this one.
    command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(log_too);
    command.spawn().map_err(|error| broken(format!("starting the supervisor: {error}")))
}
