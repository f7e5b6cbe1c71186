//! From a request to a running program.

use std::{collections::BTreeMap, io, path::Path, sync::Arc, time::Duration};

use rustix::{process::getuid, thread::capabilities};
use sandbox_policy::{HostFacts, SandboxReport, environment, plain_report};
use tokio::task::spawn_blocking;

use crate::{
    LaunchError, Run, RunRequest,
    handshake::{Handover, hand_over, host},
    resolve::{check_cwd, resolve},
    run, supervisor, sys,
    wire::{ORDER_BYTES_MAX, Order},
};

/// Chunks that wait for a reader before the run is made to wait, by default.
const QUEUE_CHUNKS_DEFAULT: usize = 16;
/// How long a reader may keep a run waiting before output is dropped, by default.
const READER_PATIENCE_DEFAULT: Duration = Duration::from_secs(1);

/// How a launcher is set up.
#[derive(Clone, Debug)]
pub struct LauncherConfig {
    /// The node's environment, of which runs get what [`sandbox_policy::INHERITED`] names.
    pub environment: BTreeMap<String, String>,
    /// Chunks of at most 32 KiB that wait for the reader of a run; at least 1.
    pub queue_chunks: usize,
    /// How long a reader may keep a run waiting before its output is dropped.
    pub reader_patience: Duration,
}

impl Default for LauncherConfig {
    /// This process's environment, 16 chunks and 1 s.
    fn default() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            environment: std::env::vars_os().filter_map(text).collect(),
            queue_chunks: QUEUE_CHUNKS_DEFAULT,
            reader_patience: READER_PATIENCE_DEFAULT,
        }
    }
}

/// Starts runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Launcher {
    config: Arc<LauncherConfig>,
    report: Arc<SandboxReport>,
}

impl Launcher {
    /// A launcher, with its report measured.
    ///
    /// # Errors
    ///
    /// When the capabilities of this process cannot be read, or when this process is a supervisor
    /// that the linker deprived of its beginning.
    pub fn new(config: LauncherConfig) -> Result<Self, LaunchError> {
        sys::keep_constructor();
        if supervisor::is_wanted() {
            return Err(LaunchError::Supervisor { problem: "ran on into main" });
        }
        let held = capabilities(None).map_err(io::Error::from);
        let permitted = held.map_err(host("read this process's capabilities"))?.permitted;
        let facts = HostFacts { uid: getuid().as_raw(), capabilities: permitted.bits() };
        Ok(Self { config: Arc::new(config), report: Arc::new(plain_report(facts)) })
    }

    /// What is enforced around every run of this launcher.
    #[must_use]
    pub fn report(&self) -> &SandboxReport {
        &self.report
    }

    /// Starts a run and returns when its program is executing. Needs a tokio runtime.
    ///
    /// Dropping the future before that ends the run.
    ///
    /// # Errors
    ///
    /// Tells why nothing runs; see [`LaunchError::code`].
    pub async fn launch(&self, request: RunRequest) -> Result<Run, LaunchError> {
        let config = Arc::clone(&self.config);
        let limits = request.limits;
        let begin = move || begin(&config, &request);
        let (order, handover) = spawn_blocking(begin)
            .await
            .map_err(io::Error::other)
            .map_err(host("start a supervisor"))??;
        run::start(&self.config, limits, order, handover).await
    }
}

fn begin(config: &LauncherConfig, request: &RunRequest) -> Result<(Order, Handover), LaunchError> {
    let order = order(config, request)?;
    let handover = hand_over(&order, &request.stdin)?;
    Ok((order, handover))
}

fn order(config: &LauncherConfig, request: &RunRequest) -> Result<Order, LaunchError> {
    let command = request.argv.first().filter(|command| !command.is_empty());
    let command = command.ok_or(LaunchError::EmptyCommand)?;
    if request.argv.iter().any(|argument| argument.contains('\0')) {
        return Err(LaunchError::InvalidArgument);
    }
    let bytes = request.argv.iter().chain(request.env.values()).map(String::len).sum::<usize>();
    if ORDER_BYTES_MAX / 8 < bytes {
        return Err(LaunchError::TooLong);
    }
    let env = environment(&config.environment, &text(&request.scratch)?, &request.env)
        .map_err(LaunchError::Environment)?;
    check_cwd(&request.cwd)?;
    let program = text(&resolve(command, &request.cwd)?)?;
    Ok(Order {
        program,
        argv: request.argv.clone(),
        cwd: text(&request.cwd)?,
        env,
        wall_time: request.limits.wall_time,
        grace: request.limits.grace,
    })
}

fn text(path: &Path) -> Result<String, LaunchError> {
    let text = path.to_str().map(ToOwned::to_owned);
    text.ok_or_else(|| LaunchError::PathNotText { path: path.to_owned() })
}
