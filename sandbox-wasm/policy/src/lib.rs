//! What a task may touch, and the report of what a node enforces.
//!
//! **Invariant:** pure; what the host is like comes in as values.
//! **Invariant:** a promise that the launcher does not keep is never reported as enforced.

#![forbid(unsafe_code)]

mod environment;
mod plain;
mod report;
mod requirements;
mod walls;

pub use environment::{EnvironmentError, FIXED_PATH, INHERITED, environment};
pub use plain::{HostFacts, plain_report};
pub use report::{Evidence, Shown, walls_report};
pub use requirements::{Unmet, unmet};
pub use schemas::sandbox::{Enforcement, Property, PropertyReport, SandboxReport, Tier};
pub use walls::{Access, Mount, Quotas, SandboxSettings};
