//! Who the node is and what it lets others do, as it judges them by itself.

use std::collections::BTreeSet;

use schemas::{
    Capability, InstanceId, Manifest, PrincipalId,
    manifest::PrincipalPattern,
    permission::{Asker, Target},
    principal::UserRole,
    sandbox::SandboxReport,
};
use trust::{Purpose, TrustAnchors};

/// Who the node is, whom it trusts, and how much it takes on.
#[derive(Clone, Debug)]
pub struct Profile {
    /// This process start.
    pub instance: InstanceId,
    /// What the agent says about itself; its id is the node's.
    pub manifest: Manifest,
    /// Who may always task it.
    pub owner: Option<PrincipalId>,
    /// With whom its owner shares it.
    pub shared_with: Vec<PrincipalPattern>,
    /// People who may task every agent.
    pub overseers: BTreeSet<PrincipalId>,
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

    /// The node as somebody whom others want to task.
    #[must_use]
    pub fn as_target(&self) -> Target<'_> {
        let Self { manifest, owner, shared_with, .. } = self;
        Target { manifest, owner: owner.as_ref(), shared_with }
    }

    /// Somebody who wants to task the node, and what it knows of them.
    #[must_use]
    pub fn asker<'a>(&self, id: &'a PrincipalId) -> Asker<'a> {
        let role = self.overseers.contains(id).then_some(UserRole::Operator);
        Asker { role, ..Asker::named(id) }
    }

    /// Whether trust rests on a root key: then keys come with certificates, and a roster has to say
    /// which of them are out. Pinned keys without a root are all that there is to know.
    #[must_use]
    pub fn rests_on_root(&self) -> bool {
        self.anchors.iter().any(|anchor| anchor.key.purpose() == Purpose::Root)
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
