//! Says what machine a number was measured on.

use std::fmt;
use std::fs;
use std::thread;

use serde::Serialize;

/// The parts of a machine that explain a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Those this process may use.
    pub cores: usize,
    /// Of the whole machine; a container's limit may be lower.
    pub memory_mib: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// As the processor names itself.
    pub cpu: String,
}

impl Machine {
    /// The machine that this runs on; what cannot be read is `unknown` or 0.
    #[must_use]
    pub fn this() -> Self {
        let memory_kib = field("/proc/meminfo", "MemTotal")
            .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        let unknown = || "unknown".to_owned();
        Self {
            cores: thread::available_parallelism().map_or(0, usize::from),
            memory_mib: memory_kib.unwrap_or(0) / 1024,
            kernel: kernel.map_or_else(unknown, |text| text.trim().to_owned()),
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, memory_mib, kernel, cpu } = self;
        write!(f, "{cores} cores of {cpu}, {memory_mib} MiB, Linux {kernel}")
    }
}

/// The value of the first `name: value` line of `path`.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(key, _)| key.trim() == name).map(|(_, value)| value);
    values.next().map(|value| value.trim().to_owned())
}
