//! What a run may ask for in its turn, and the request that the node signs for it.
//!
//! **Invariant:** a child's grants, budget and end lie within those of the run that asks for it; what
//! was not granted to the run cannot be had through it.

use schemas::{
    Audience, ErrorCode, Fault, PrincipalId, TaskId,
    claims::RequestClaims,
    grants::{Excess, Grants},
    task::TaskSpec,
};
use serde::{Deserialize, Serialize};

/// How long a child's request lives when the run does not say, in seconds.
const LIFETIME_S_DEFAULT: u64 = 3600;

/// What a signed request lets its run ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegation {
    /// What exactly.
    pub grants: Grants,
    /// When the request itself ends, in seconds since the Unix epoch.
    pub until_s: u64,
}

/// A task that a run asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Who may carry it out.
    pub audience: Audience,
    /// What shall be done.
    pub spec: TaskSpec,
    /// The same as the JSON text that is signed.
    pub spec_json: String,
    /// What that task may itself ask for.
    pub grants: Grants,
    /// How long the request lives, in seconds; an hour when absent, or as long as the run's own.
    pub lives_s: Option<u64>,
}

/// The run in whose name the node asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// The node, which signs.
    pub issuer: PrincipalId,
    /// The user that the run is for.
    pub subject: PrincipalId,
    /// The run's task.
    pub parent: TaskId,
    /// Partition of the scheduler that the run came from.
    pub partition: u32,
    /// W3C `traceparent` of the run.
    pub trace: Option<String>,
}

/// Counts what a run has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    asking: Asking,
    delegation: Delegation,
    spent: u32,
}

/// Takes part of a budget until it is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent(u32);

impl Budget {
    /// The whole budget of a run.
    #[must_use]
    pub fn new(asking: Asking, delegation: Delegation) -> Self {
        Self { asking, delegation, spent: 0 }
    }

    /// The claims of the request for `wanted`, and what they take of the budget.
    ///
    /// # Errors
    ///
    /// `SPEC_INVALID` or `CLAIMS_INVALID` for what nobody could run, `EXPIRED` when the run's own
    /// request has ended, `GRANTS_EXCEEDED` with the first thing that is not granted.
    pub fn ask(
        &mut self,
        wanted: &Wanted,
        now_s: u64,
        nonce: [u8; 16],
    ) -> Result<(RequestClaims, Spent), Fault> {
        wanted.spec.validate()?;
        let expires_at_s = self.end_of(wanted, now_s)?;
        self.check(wanted).map_err(|excess| exceeded(&excess))?;
        let cost = self.cost_of(wanted)?;
        let Asking { issuer, subject, parent, partition, trace } = self.asking.clone();
        self.spent += cost;
        let claims = RequestClaims {
            issuer,
            subject,
            audience: wanted.audience.clone(),
            expires_at_s,
            not_before_s: now_s,
            issued_at_s: now_s,
            nonce,
            spec_json: wanted.spec_json.clone(),
            grants: wanted.grants.clone(),
            parent: Some(parent),
            trace,
            partition,
        };
        Ok((claims, Spent(cost)))
    }

    /// Gives back what a request took that nobody will carry out.
    pub fn give_back(&mut self, spent: Spent) {
        self.spent = self.spent.saturating_sub(spent.0);
    }

    /// When the run itself may ask for no more, in seconds since the Unix epoch.
    fn end_s(&self) -> u64 {
        let Delegation { grants, until_s } = &self.delegation;
        grants.until_s.map_or(*until_s, |end_s| end_s.min(*until_s))
    }

    fn end_of(&self, wanted: &Wanted, now_s: u64) -> Result<u64, Fault> {
        let end_s = self.end_s();
        if end_s <= now_s {
            let message = "the run's own request has ended, so it may ask for nothing more";
            return Err(Fault::new(ErrorCode::Expired, message));
        }
        let Some(lives_s) = wanted.lives_s else {
            return Ok(end_s.min(now_s.saturating_add(LIFETIME_S_DEFAULT)));
        };
        let wanted_s = now_s.saturating_add(lives_s);
        if lives_s == 0 || end_s < wanted_s {
            let left_s = end_s - now_s;
            let message = format!("lives_s is {lives_s}; the run's own request ends in {left_s} s");
            return Err(Fault::new(ErrorCode::GrantsExceeded, message));
        }
        Ok(wanted_s)
    }

    fn check(&self, wanted: &Wanted) -> Result<(), Excess> {
        let granted = &self.delegation.grants;
        granted.permit_audience(&wanted.audience)?;
        granted.permit_credentials(&wanted.spec.credentials)?;
        granted.permit_grants(&wanted.grants)
    }

    /// A task counts, and so does all that it may ask for.
    fn cost_of(&self, wanted: &Wanted) -> Result<u32, Fault> {
        let cost = wanted.grants.tasks_max.saturating_add(1);
        let left = self.delegation.grants.tasks_max.saturating_sub(self.spent);
        if left < cost {
            let message = format!("tasks_max: {left} tasks are left, {cost} are asked for");
            return Err(Fault::new(ErrorCode::GrantsExceeded, message));
        }
        Ok(cost)
    }
}

fn exceeded(excess: &Excess) -> Fault {
    Fault::new(ErrorCode::GrantsExceeded, excess.to_string())
}
