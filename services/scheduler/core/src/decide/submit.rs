//! A signed request becomes a task: accepted, and given to a node or left waiting, in one decision.

use schemas::{
    Audience, PrincipalId, TaskId,
    scheduler::{SchedulerEvent, SubmitAnswer},
};

use super::{Decision, Draft, descent, nothing};
use crate::{
    command::{Answer, Submission},
    facts::Bar,
    limits::{ENDED_KEY_COUNTS_MS, LONG_LIFE_MS, LONG_LIVES_PER_ISSUER_MAX},
    placement::{Candidate, Choice, Tally, denials_of},
    rejection::Rejection,
    state::{Demand, Known},
};

pub(super) fn submit(mut draft: Draft<'_>, submission: &Submission) -> Decision {
    if let Some(known) = draft.state.known(&submission.task) {
        return repeated(submission, known);
    }
    check_signer(&draft, submission)?;
    check_life(&draft, submission)?;
    if let Some(parent) = &submission.parent {
        descent::check(&draft, submission, parent)?;
    }
    let demand = Demand::new(&submission.issuer, &submission.audience, &submission.spec);
    let candidate = Candidate { id: &submission.task, demand: &demand, task: None };
    let choice = draft.world().choose(candidate);
    if let Choice::Nobody(tally) = &choice {
        check_permission(&draft, candidate, tally)?;
    }
    draft.push(accepted(submission));
    let placed = draft.settle(candidate, choice);
    let answer = SubmitAnswer {
        task: submission.task.clone(),
        state: placed.state,
        node: placed.node,
        waiting_for: placed.waiting_for,
    };
    Ok(draft.decided(Answer::Submitted(answer)))
}

/// The same request again is the same task, as it is now.
fn repeated(submission: &Submission, known: Known<'_>) -> Decision {
    let task = &submission.task;
    if known.envelope_hash() != submission.envelope_hash {
        return Err(Rejection::IdTaken(task.clone()));
    }
    Ok(nothing(Answer::Submitted(as_it_is(task, known))))
}

/// What is said of a task that was submitted before.
pub(crate) fn as_it_is(task: &TaskId, known: Known<'_>) -> SubmitAnswer {
    let (node, waiting_for) = match known {
        Known::Whole(record) => (record.view.node.clone(), record.view.waiting_for.clone()),
        Known::Kept(kept) => (kept.node.clone(), None),
        Known::Spent(_) => (None, None),
    };
    SubmitAnswer { task: task.clone(), state: known.state(), node, waiting_for }
}

/// Whether what `submission`'s key signs counts, as far as the registry has been read.
fn check_signer(draft: &Draft<'_>, submission: &Submission) -> Result<(), Rejection> {
    let Submission { issuer, key, .. } = submission;
    if let Some(bar) = draft.facts.directory.bar(issuer, Some(*key)) {
        return Err(barred(issuer, bar));
    }
    // What it signed stays good, but when it signed only its holder knows, who may be a thief by now.
    let ended_at = draft.facts.directory.end_of(*key);
    if ended_at.is_some_and(|at| at.plus_ms(ENDED_KEY_COUNTS_MS) <= draft.now()) {
        return Err(Rejection::KeyEnded { issuer: issuer.clone(), key: *key });
    }
    Ok(())
}

/// What is said to whoever may not ask.
pub(super) fn barred(issuer: &PrincipalId, bar: Bar) -> Rejection {
    match bar {
        Bar::Key(key) => Rejection::KeyRevoked { issuer: issuer.clone(), key },
        Bar::Principal => Rejection::PrincipalOut(issuer.clone()),
    }
}

fn check_life(draft: &Draft<'_>, submission: &Submission) -> Result<(), Rejection> {
    let now = draft.now();
    if submission.expires_at <= now {
        return Err(Rejection::RequestExpired(submission.task.clone()));
    }
    let lives = draft.state.long_lives_of(&submission.issuer, now.0);
    if LONG_LIFE_MS < submission.expires_at.since_ms(now) && LONG_LIVES_PER_ISSUER_MAX <= lives {
        let (issuer, limit) = (submission.issuer.clone(), LONG_LIVES_PER_ISSUER_MAX);
        return Err(Rejection::TooManyLongLives { issuer, limit });
    }
    Ok(())
}

/// Waiting makes sense only for what could ever be: the node must exist and accept the issuer. For
/// a capability one able node that does is enough, and so is none that is able yet: it may come.
fn check_permission(
    draft: &Draft<'_>,
    candidate: Candidate<'_>,
    tally: &Tally,
) -> Result<(), Rejection> {
    if !draft.facts.fleet.listed || !draft.facts.directory.listed {
        return Ok(());
    }
    let audience = &candidate.demand.audience;
    if let Audience::Node(id) = audience
        && draft.facts.fleet.get(id).is_none_or(|node| node.archived)
    {
        return Err(Rejection::NoSuchNode(id.clone()));
    }
    if tally.permitted || tally.by_filter.is_empty() {
        return Ok(());
    }
    Err(Rejection::NotPermitted {
        issuer: candidate.demand.issuer.clone(),
        audience: audience.to_string(),
        reasons: denials_of(draft.world(), candidate).join("; "),
    })
}

fn accepted(submission: &Submission) -> SchedulerEvent {
    let Submission {
        task,
        envelope,
        envelope_hash,
        issuer,
        subject,
        audience,
        spec,
        certificates,
        grants,
        parent,
        key,
        expires_at,
    } = submission.clone();
    let (spec, grants) = (Box::new(spec), Box::new(grants));
    SchedulerEvent::TaskSubmitted {
        task,
        envelope,
        envelope_hash,
        issuer,
        subject,
        audience,
        spec,
        certificates,
        grants,
        parent,
        key: Some(key),
        expires_at,
    }
}
