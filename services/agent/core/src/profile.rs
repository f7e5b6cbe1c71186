//! Who the node is and what it lets others do, as it judges them by itself.

use schemas::{Capability, InstanceId, Manifest, PrincipalId, sandbox::SandboxReport};
use trust::TrustAnchors;

/// Who the node is, whom it trusts, and how much it takes on.
#[derive(Clone, Debug)]
pub struct Profile {
    /// This process start.
    pub instance: InstanceId,
    /// What the agent says about itself; its id is the node's.
    pub manifest: Manifest,
    /// Who may always task it.
    pub owner: Option<PrincipalId>,
    /// What it enforces around its runs.
    pub sandbox: SandboxReport,
    /// Runs at the same time.
    pub slots: u32,
    /// Whose signatures count.
    pub anchors: TrustAnchors,
}

impl Profile {
    /// The node's id.
    #[must_use]
    pub fn id(&self) -> &PrincipalId {
        &self.manifest.id
    }

    /// What it can do, each MCP server spelled out as all of its tools.
    #[must_use]
    pub fn capabilities(&self) -> Vec<Capability> {
        let servers = &self.manifest.capabilities.mcp_servers;
        let tools = servers.iter().filter_map(|server| {
            let pattern = format!("{}.*", server.name());
            Capability::parse(&pattern).ok()
        });
        self.manifest.capabilities.all().cloned().chain(tools).collect()
    }
}
