//! Who may share an agent, and with whom.

use schemas::{PrincipalId, manifest::PrincipalPattern, registry::RegistryEvent};

use super::{Bench, Verdict};
use crate::{
    Agent, Rejection,
    decide::{not_found, registered},
    principals::{Refusal, Sight},
};

/// With how many patterns one agent can be shared.
const SHARES_MAX: usize = 64;

impl Bench<'_> {
    pub(super) fn share(
        &self,
        id: &PrincipalId,
        with: &PrincipalPattern,
    ) -> Result<Verdict, Rejection> {
        let agent = self.own_agent(id, "share")?;
        if agent.shared_with.contains(with) {
            return Ok(Verdict::done(Vec::new()));
        }
        if SHARES_MAX <= agent.shared_with.len() {
            let what = "shares of one agent";
            return Err(Refusal::TooMany { what, limit: SHARES_MAX }.into());
        }
        let (agent, with, by) = (id.clone(), with.clone(), self.signer.id.clone());
        Ok(Verdict::done(vec![RegistryEvent::AgentShared { agent, with, by }]))
    }

    pub(super) fn unshare(
        &self,
        id: &PrincipalId,
        with: &PrincipalPattern,
    ) -> Result<Verdict, Rejection> {
        let agent = self.own_agent(id, "unshare")?;
        if !agent.shared_with.contains(with) {
            return Ok(Verdict::done(Vec::new()));
        }
        let (agent, with, by) = (id.clone(), with.clone(), self.signer.id.clone());
        Ok(Verdict::done(vec![RegistryEvent::AgentUnshared { agent, with, by }]))
    }

    /// An agent of the signer, or of anybody for an admin.
    fn own_agent(&self, id: &PrincipalId, verb: &str) -> Result<&Agent, Rejection> {
        let agent = registered(self.state, id)?;
        if agent.owner == self.signer.id || self.is_admin() {
            return Ok(agent);
        }
        // Whoever may not know of it learns nothing.
        if !Sight::of(self.state, &self.signer.id).agent(agent) {
            return Err(not_found(id));
        }
        Err(self.forbidden(format!("{verb} {id}, which is {}'s", agent.owner)).into())
    }
}
