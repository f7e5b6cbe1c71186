//! An attacker, a sandbox to be attacked from within, and things of the host to be attacked.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use sandbox_process::{
    Access, Exit, Launcher, LauncherConfig, Mount, Run, RunLimits, RunRequest, Status, Stream, Tier,
};
use tempfile::TempDir;

/// An id without rights, which every Linux has.
const NOBODY: u32 = 65534;
/// No act takes as long; one that does is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The attacker's source, one group of acts a file.
const SOURCES: [(&str, &str); 7] = [
    ("attacker.h", include_str!("attacker/attacker.h")),
    ("files.c", include_str!("attacker/files.c")),
    ("kernel.c", include_str!("attacker/kernel.c")),
    ("main.c", include_str!("attacker/main.c")),
    ("network.c", include_str!("attacker/network.c")),
    ("process.c", include_str!("attacker/process.c")),
    ("resources.c", include_str!("attacker/resources.c")),
];

/// Where one attack takes place.
pub(crate) struct Stage {
    pub(crate) config: LauncherConfig,
    pub(crate) limits: RunLimits,
    /// Variables of the run.
    pub(crate) env: BTreeMap<String, String>,
    /// Given to the run for reading; holds the attacker.
    given: TempDir,
    /// Not given to the run; its user outside may do there what it likes.
    pub(crate) host: TempDir,
    victims: Vec<Child>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let (given, host) = (folder(), folder());
        fs::copy(attacker(), given.path().join("attacker")).unwrap();
        own(host.path());
        let path = given.path().to_str().unwrap();
        let config = LauncherConfig {
            tier: Some(Tier::T3),
            mounts: vec![Mount::same(path, Access::ReadOnly)],
            ..LauncherConfig::default()
        };
        let limits = RunLimits {
            wall_time: PATIENCE,
            output_bytes: 1 << 20,
            grace: Duration::from_millis(100),
        };
        Self { config, limits, env: BTreeMap::new(), given, host, victims: Vec::new() }
    }

    /// A file outside that belongs to the run's user, as its whole path.
    pub(crate) fn file(&self, name: &str) -> String {
        let path = self.host.path().join(name);
        fs::write(&path, "secret").unwrap();
        own(&path);
        self.path(name)
    }

    /// A path outside.
    pub(crate) fn path(&self, name: &str) -> String {
        self.host.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn attacker(&self) -> PathBuf {
        self.given.path().join("attacker")
    }

    pub(crate) fn given(&self) -> &Path {
        self.given.path()
    }

    /// A process outside that has the run's user, as its number.
    pub(crate) fn victim(&mut self) -> String {
        let mut command = Command::new("sleep");
        as_the_run(command.arg("1000"));
        let victim = command.spawn().unwrap();
        let pid = victim.id().to_string();
        self.victims.push(victim);
        // It has its name only when it is executed.
        let deadline = std::time::Instant::now() + PATIENCE;
        while fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default() != b"sleep\x001000\0" {
            assert!(std::time::Instant::now() < deadline, "no victim");
            std::thread::yield_now();
        }
        pid
    }

    /// Does the act without walls, as the user that the run has.
    pub(crate) fn outside(&self, act: &[&str]) -> String {
        let mut command = Command::new(self.attacker());
        as_the_run(&mut command);
        self.finish_outside(&mut command, act)
    }

    /// Does the act without walls, as whoever runs this test.
    pub(crate) fn outside_as_node(&self, act: &[&str]) -> String {
        self.finish_outside(&mut Command::new(self.attacker()), act)
    }

    fn finish_outside(&self, command: &mut Command, act: &[&str]) -> String {
        command.args(act).current_dir(self.host.path()).envs(&self.env);
        let output = command.stdin(Stdio::null()).output().unwrap();
        match output.status.signal() {
            Some(signal) => format!("killed {signal}"),
            None => text(output.stdout),
        }
    }

    pub(crate) async fn start(&self, argv: &[&str]) -> Run {
        let launcher = Launcher::new(self.config.clone()).unwrap();
        let request = RunRequest {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            cwd: self.host.path().to_owned(),
            scratch: self.host.path().to_owned(),
            env: self.env.clone(),
            stdin: Vec::new(),
            mounts: Vec::new(),
            limits: self.limits,
        };
        within(launcher.launch(request)).await.unwrap()
    }

    /// Does the act behind the walls.
    pub(crate) async fn inside(&self, act: &[&str]) -> String {
        let attacker = self.attacker();
        let mut argv = vec![attacker.to_str().unwrap()];
        argv.extend(act);
        let (exit, stdout) = self.run(&argv).await;
        match exit.status {
            Status::Signal(signal) => format!("killed {signal}"),
            Status::Code(_) | Status::Unknown => stdout,
        }
    }

    /// Runs any program behind the walls to its end.
    pub(crate) async fn run(&self, argv: &[&str]) -> (Exit, String) {
        let mut run = self.start(argv).await;
        let mut stdout = Vec::new();
        while let Some(chunk) = within(run.next_chunk()).await {
            if chunk.stream == Stream::Stdout {
                stdout.extend_from_slice(&chunk.bytes);
            }
        }
        (within(run.wait()).await, text(stdout))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for mut victim in self.victims.drain(..) {
            victim.kill().unwrap();
            victim.wait().unwrap();
        }
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

pub(crate) fn is_long() -> bool {
    std::env::var("CORTEX_SANDBOX").is_ok_and(|form| form == "long")
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("took too long")
}

/// Gives a process of the host the user that runs have.
pub(crate) fn as_the_run(command: &mut Command) {
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

fn own(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// A folder that everybody may enter.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// The attacker, compiled once for each version of its source.
fn attacker() -> PathBuf {
    if let Some(given) = std::env::var_os(crate::lanes::ATTACKER) {
        return given.into();
    }
    let mut hasher = DefaultHasher::new();
    SOURCES.hash(&mut hasher);
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let finished = base.join(format!("attacker-{:016x}", hasher.finish()));
    if !finished.exists() {
        let work = tempfile::tempdir_in(base).unwrap();
        for (name, source) in SOURCES {
            fs::write(work.path().join(name), source).unwrap();
        }
        let sources = SOURCES.iter().map(|(name, _)| *name).filter(|name| name.ends_with(".c"));
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-o", "attacker", "-pthread"]);
        let status = compiler.args(sources).current_dir(work.path()).status().unwrap();
        assert!(status.success(), "a C compiler is needed for these tests");
        // Whoever else compiles it at the same time makes the same.
        fs::rename(work.path().join("attacker"), &finished).unwrap();
    }
    finished
}
