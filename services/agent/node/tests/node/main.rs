//! A node on a real broker, from the outside: whatever happens to it, each task has one outcome.
//!
//! The control plane is played by [`plane::Plane`], which keeps the rules of starting and
//! reporting in memory, so that a case decides by itself what the node hears and when.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as the tests themselves do")]

mod attacks;
mod authority;
mod cluster;
mod crashes;
mod credentials;
mod delegation;
mod disk;
mod join;
mod kubernetes;
mod life;
mod membership;
mod plane;
mod runs;
mod stage;

use std::{path::Path, time::Duration};

use agent_node::NodeConfig;

/// Deadline of everything that is waited for.
const SOON: Duration = Duration::from_secs(30);
/// The settings of a node that runs as a process of its own; unset in every other process.
const CHILD_CONFIG: &str = "CORTEX_TEST_NODE_CONFIG";

/// Not a case of its own: the node of those cases that kill one.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_is_a_node() {
    let Some(path) = std::env::var_os(CHILD_CONFIG) else { return };
    let config = NodeConfig::load(Path::new(&path)).unwrap();
    agent_node::run(config, std::future::pending()).await.unwrap();
}
