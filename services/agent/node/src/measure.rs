//! What the machine is and how it is, measured and never guessed.

use std::{collections::BTreeMap, path::Path};

use rustix::fs::statvfs;
use sandbox_policy::FIXED_PATH;
use schemas::{
    InstanceId, agent::Load, agent::NodeReport, protocol::PROTOCOL_VERSION, sandbox::SandboxReport,
};
use sysinfo::{MemoryRefreshKind, ProcessRefreshKind, ProcessesToUpdate, System};

/// Tools that are looked for where runs find their programs.
const TOOLS: [&str; 24] = [
    "bash",
    "bun",
    "cargo",
    "curl",
    "deno",
    "docker",
    "gcc",
    "git",
    "go",
    "helm",
    "java",
    "jq",
    "kubectl",
    "make",
    "node",
    "npm",
    "perl",
    "podman",
    "python3",
    "rustc",
    "sh",
    "ssh",
    "terraform",
    "uv",
];

/// Reads the machine's figures; keeps what differences need.
pub(crate) struct Meter {
    /// Absent on systems that cannot be measured; their figures are zero.
    system: Option<System>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        let mut system = System::new();
        match &mut system {
            Ok(system) => system.refresh_cpu_usage(),
            Err(error) => tracing::warn!(%error, "this machine cannot be measured"),
        }
        Self { system: system.ok() }
    }

    /// How the machine is; processor time counts since the last look.
    pub(crate) fn load(&mut self) -> Load {
        let Some(system) = &mut self.system else { return Load::default() };
        system.refresh_cpu_usage();
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        Load {
            cpu_percent: percent(system.global_cpu_usage()),
            memory_used_bytes: system.used_memory(),
            memory_total_bytes: system.total_memory(),
            load_1m_hundredths: System::load_average().map_or(0, |load| hundredths(load.one)),
            process_memory_bytes: own_memory(system),
        }
    }

    /// What the machine is.
    pub(crate) fn report(
        &mut self,
        instance: InstanceId,
        slots: u32,
        state_dir: &Path,
        sandbox: SandboxReport,
    ) -> NodeReport {
        NodeReport {
            instance,
            protocol: PROTOCOL_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
            kernel: System::kernel_version().unwrap_or_default(),
            cpus: cpus(),
            memory_bytes: self.load().memory_total_bytes,
            disk_free_bytes: disk_free(state_dir),
            slots,
            tools: tools(),
            sandbox,
        }
    }
}

fn own_memory(system: &mut System) -> u64 {
    let Ok(own) = sysinfo::get_current_pid() else { return 0 };
    let only_memory = ProcessRefreshKind::nothing().with_memory().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, only_memory);
    system.process(own).map_or(0, sysinfo::Process::memory)
}

/// Processors that this process may use.
pub(crate) fn cpus() -> u32 {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn disk_free(folder: &Path) -> u64 {
    statvfs(folder).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn tools() -> BTreeMap<String, String> {
    let found = |tool: &&'static str| {
        let candidates = FIXED_PATH.split(':').map(|folder| Path::new(folder).join(tool));
        let path = candidates.into_iter().find(|path| is_program(path))?;
        Some(((*tool).to_owned(), path.to_str()?.to_owned()))
    };
    TOOLS.iter().filter_map(found).collect()
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value was brought into the range of the type"
)]
fn percent(value: f32) -> u8 {
    value.round().clamp(0.0, 100.0) as u8
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value was brought into the range of the type"
)]
fn hundredths(value: f64) -> u32 {
    (value * 100.0).round().clamp(0.0, 1e9) as u32
}

#[cfg(test)]
mod tests;
