//! From a request to a running program.

use std::{collections::BTreeMap, io, path::Path, sync::Arc, time::Duration};

use sandbox_policy::{Mount, Quotas, SandboxReport, Tier, environment};
use schemas::sandbox::RunProof;
use tokio::task::spawn_blocking;

use crate::{
    LaunchError, Run, RunLimits, RunRequest,
    handshake::{Handover, hand_over, host},
    hashes::Hashes,
    run, supervisor, sys,
    tiers::{self, Choice},
    wire::{ORDER_BYTES_MAX, Order},
};

/// Chunks that wait for a reader before the run is made to wait, by default.
const QUEUE_CHUNKS_DEFAULT: usize = 16;
/// How long a reader may keep a run waiting before output is dropped, by default.
const READER_PATIENCE_DEFAULT: Duration = Duration::from_secs(1);

/// User and group of runs under a node that is root, by default: nobody's.
const RUN_ID_DEFAULT: u32 = 65534;

/// How a launcher is set up.
#[derive(Clone, Debug)]
pub struct LauncherConfig {
    /// The node's environment, of which runs get what [`sandbox_policy::INHERITED`] names.
    pub environment: BTreeMap<String, String>,
    /// Chunks of at most 32 KiB that wait for the reader of a run; at least 1.
    pub queue_chunks: usize,
    /// How long a reader may keep a run waiting before its output is dropped.
    pub reader_patience: Duration,
    /// The set of mechanisms to use; the strongest that works, but never none, when absent.
    pub tier: Option<Tier>,
    /// What each run is given of the host's files.
    pub mounts: Vec<Mount>,
    /// What each run may use of the machine.
    pub quotas: Quotas,
    /// The user that runs have where the node is root and there are namespaces; never 0.
    pub run_uid: u32,
    /// The group that runs have there.
    pub run_gid: u32,
}

impl Default for LauncherConfig {
    /// This process's environment, 16 chunks, 1 s, the strongest walls that work, nothing of the
    /// host's files, and the user 65534.
    fn default() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            environment: std::env::vars_os().filter_map(text).collect(),
            queue_chunks: QUEUE_CHUNKS_DEFAULT,
            reader_patience: READER_PATIENCE_DEFAULT,
            tier: None,
            mounts: Vec::new(),
            quotas: Quotas::default(),
            run_uid: RUN_ID_DEFAULT,
            run_gid: RUN_ID_DEFAULT,
        }
    }
}

/// Starts runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Launcher {
    pub(crate) config: Arc<LauncherConfig>,
    pub(crate) hashes: Arc<Hashes>,
    choice: Arc<Choice>,
}

impl Launcher {
    /// A launcher, with its walls tried and its report made from what was seen. Blocks for some
    /// tens of milliseconds.
    ///
    /// # Errors
    ///
    /// When no sandbox works here and none was asked for by name, or when this process is a
    /// supervisor that the linker deprived of its beginning.
    pub fn new(config: LauncherConfig) -> Result<Self, LaunchError> {
        sys::keep_constructor();
        if supervisor::is_wanted() {
            return Err(LaunchError::Supervisor { problem: "ran on into main" });
        }
        let choice = Arc::new(tiers::choose(&config)?);
        Ok(Self { config: Arc::new(config), hashes: Arc::default(), choice })
    }

    /// What is enforced around every run of this launcher.
    #[must_use]
    pub fn report(&self) -> &SandboxReport {
        &self.choice.report
    }

    /// Starts a run and returns when its program is executing. Needs a tokio runtime.
    ///
    /// Dropping the future before that ends the run.
    ///
    /// # Errors
    ///
    /// Tells why nothing runs; see [`LaunchError::code`].
    pub async fn launch(&self, request: RunRequest) -> Result<Run, LaunchError> {
        let limits = request.limits;
        let launcher = self.clone();
        let begin = move || launcher.begin(&request);
        let (order, handover) = spawn_blocking(begin)
            .await
            .map_err(io::Error::other)
            .map_err(host("start a supervisor"))??;
        run::start(self, limits, order, handover).await
    }

    /// Whether what was read back of a run is no less than what was promised.
    pub(crate) fn check(&self, proof: &RunProof) -> Result<(), LaunchError> {
        tiers::check(proof)
    }

    fn begin(&self, request: &RunRequest) -> Result<(Order, Handover), LaunchError> {
        let order = self.order(request)?;
        let handover = hand_over(&order, &request.stdin)?;
        Ok((order, handover))
    }

    fn order(&self, request: &RunRequest) -> Result<Order, LaunchError> {
        if request.argv.first().is_none_or(String::is_empty) {
            return Err(LaunchError::EmptyCommand);
        }
        if request.argv.iter().any(|argument| argument.contains('\0')) {
            return Err(LaunchError::InvalidArgument);
        }
        let bytes = request.argv.iter().chain(request.env.values()).map(String::len).sum::<usize>();
        if ORDER_BYTES_MAX / 8 < bytes {
            return Err(LaunchError::TooLong);
        }
        let mut walls = self.choice.walls.clone();
        tiers::check_mounts(&request.mounts, walls.tier)?;
        walls.mounts.extend(request.mounts.clone());
        let (outside, mut cwd) = (text(&request.scratch)?, text(&request.cwd)?);
        match walls.tier {
            Tier::T0 | Tier::T1 => walls.scratch = outside,
            // The run has a directory of its own in memory, and knows nothing of the host's.
            Tier::T2 | Tier::T3 => {
                walls.scratch = tiers::inside(&request.scratch);
                if let Ok(below) = request.cwd.strip_prefix(&request.scratch) {
                    cwd = text(&Path::new(&walls.scratch).join(below))?;
                }
            }
        }
        let mut env = environment(&self.config.environment, &walls.scratch, &request.env)
            .map_err(LaunchError::Environment)?;
        if walls.tier == Tier::T1 {
            // The host's is not granted.
            env.entry("TMPDIR".to_owned()).or_insert_with(|| walls.scratch.clone());
        }
        let RunLimits { wall_time, grace, .. } = request.limits;
        Ok(Order { argv: request.argv.clone(), cwd, env, wall_time, grace, walls })
    }
}

fn text(path: &Path) -> Result<String, LaunchError> {
    let text = path.to_str().map(ToOwned::to_owned);
    text.ok_or_else(|| LaunchError::PathNotText { path: path.to_owned() })
}
