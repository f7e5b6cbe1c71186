//! A task asks for another one: whether it could have, and whether it was granted that much.
//!
//! **Invariant:** what a task asks for is contained in what was granted to it, and with all that it
//! asked for before stays within its budget.
//! **Invariant:** only the node that runs a task, by its present assignment, asks in its name.

use schemas::{
    TaskId, Timestamp,
    grants::{CHAIN_LENGTH_MAX, Excess},
    task::TaskState,
};

use super::{Draft, submit::barred};
use crate::{
    command::Submission,
    rejection::Rejection,
    state::{Known, State, Task},
};

/// Judges a request that names the task that asked for it.
///
/// The signatures of the tasks before were verified when they were submitted, and the log keeps what
/// they said; only whether their keys still count is looked at again.
pub(super) fn check(
    draft: &Draft<'_>,
    submission: &Submission,
    parent: &TaskId,
) -> Result<(), Rejection> {
    let task = running(draft.state, parent)?;
    if let Some(problem) = kinship(task, submission) {
        return Err(Rejection::ChainBroken { parent: parent.clone(), problem });
    }
    if let Some((issuer, bar)) = draft.facts.bar(task) {
        return Err(barred(issuer, bar));
    }
    let exceeded = |excess: Excess| Rejection::GrantsExceeded {
        parent: parent.clone(),
        problem: excess.to_string(),
    };
    check_grants(task, submission).map_err(exceeded)?;
    match budget(task, submission) {
        None => Ok(()),
        Some(problem) => Err(Rejection::GrantsExceeded { parent: parent.clone(), problem }),
    }
}

/// The task, if it runs and may therefore ask for others.
///
/// # Errors
///
/// Says why it cannot ask.
pub(crate) fn running<'a>(state: &'a State, id: &TaskId) -> Result<&'a Task, Rejection> {
    let problem = match state.known(id) {
        Some(Known::Whole(task)) if task.view.state == TaskState::Started => {
            match &task.view.cancelled_by {
                None => return Ok(task),
                Some(_) => "it was told to end".to_owned(),
            }
        }
        Some(known @ (Known::Whole(_) | Known::Kept(_) | Known::Spent(_))) => {
            format!("it is {}", known.state().as_str())
        }
        None => "there is no such task".to_owned(),
    };
    Err(Rejection::ChainBroken { parent: id.clone(), problem })
}

/// Why the request cannot be of that parent.
fn kinship(parent: &Task, submission: &Submission) -> Option<String> {
    let view = &parent.view;
    if view.node.as_ref() != Some(&submission.issuer) {
        return Some(format!("{} does not run it", submission.issuer));
    }
    if view.subject != submission.subject {
        return Some(format!("it is for {}, not for {}", view.subject, submission.subject));
    }
    // The parent with all before it, and the child.
    let length = parent.lineage.len() + 2;
    (CHAIN_LENGTH_MAX < length)
        .then(|| format!("the chain would have {length} tasks, the limit is {CHAIN_LENGTH_MAX}"))
}

fn check_grants(parent: &Task, submission: &Submission) -> Result<(), Excess> {
    let granted = &parent.view.grants;
    granted.permit_audience(&submission.audience)?;
    granted.permit_credentials(&submission.spec.credentials)?;
    granted.permit_grants(&submission.grants)?;
    let until = granted.until_s.map_or(parent.view.expires_at, |until_s| {
        Timestamp::from_seconds(until_s).min(parent.view.expires_at)
    });
    if until < submission.expires_at {
        let entry = submission.expires_at.seconds().to_string();
        return Err(Excess { kind: "until_s", entry });
    }
    Ok(())
}

/// Why the request is more than what is left of the tasks that its parent may ask for.
fn budget(parent: &Task, submission: &Submission) -> Option<String> {
    let limit = u64::from(parent.view.grants.tasks_max);
    let wanted = 1 + u64::from(submission.grants.tasks_max);
    let left = limit.saturating_sub(parent.asked_for);
    (left < wanted).then(|| format!("it asks for {wanted} more tasks, {left} of {limit} are left"))
}
