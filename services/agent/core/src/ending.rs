//! The end of a run: onto the disk, then to the scheduler until it answers.
//!
//! **Invariant:** once `started` was taken, exactly one outcome follows.

use schemas::{
    ErrorCode, Fault, Timestamp,
    scheduler::ReportRequest,
    task::{Outcome, OutputSummary, Usage, Verdict},
};

use crate::{
    Action, Facts, Node, Record, RunKey,
    backoff::{Attempts, REPORT_PACE},
    node::{EndReason, Run, Stage, ended},
    start::is_final,
};

impl Node {
    pub(crate) fn on_ended(
        &mut self,
        key: &RunKey,
        mut outcome: Outcome,
        facts: &Facts,
    ) -> Vec<Action> {
        let Some(Run { stage: Stage::Running(reason), .. }) = self.runs.get(key) else {
            return Vec::new();
        };
        if outcome.verdict == Verdict::Cancelled && outcome.fault.is_none() {
            outcome.fault = reason.and_then(why_ended);
        }
        self.conclude(key, outcome, facts)
    }

    /// Writes the outcome; where nothing can be written any more it is reported at once.
    pub(crate) fn conclude(
        &mut self,
        key: &RunKey,
        outcome: Outcome,
        facts: &Facts,
    ) -> Vec<Action> {
        let Some(run) = self.runs.get_mut(key) else { return Vec::new() };
        if [Verdict::Failed, Verdict::TimedOut].contains(&outcome.verdict) {
            self.tasks_failed += 1;
        }
        let outcome = Box::new(outcome);
        if self.complaint.is_some() {
            run.stage = Stage::Reporting(outcome, Attempts::due(facts.uptime));
            return self.report(key, facts).into_iter().collect();
        }
        run.stage = Stage::Concluding(outcome.clone());
        vec![Action::Write(ended(key.clone(), outcome))]
    }

    /// The end of what was never begun by this process start: nothing ran, or an earlier process
    /// start may have run it, and then nobody here can tell.
    pub(crate) fn conclude_unseen(&mut self, key: &RunKey, facts: &Facts) -> Vec<Action> {
        let Some(run) = self.runs.get(key) else { return Vec::new() };
        let outcome = if run.recovered {
            lost(run.started.as_ref().map(|started| started.at), facts)
        } else {
            never_ran(Verdict::Cancelled, None, facts)
        };
        self.conclude(key, outcome, facts)
    }

    /// Nothing may run that is not on disk. This instance alone was told to run it, so its word
    /// that nothing ran lets the task go elsewhere.
    pub(crate) fn give_back(&mut self, key: &RunKey, facts: &Facts) -> Option<Action> {
        let fault = Fault::new(ErrorCode::JournalFailed, self.complaint.clone()?);
        self.runs.remove(key)?;
        Some(self.refuse(key.clone(), fault, facts))
    }

    pub(crate) fn report(&mut self, key: &RunKey, facts: &Facts) -> Option<Action> {
        let run = self.runs.get_mut(key)?;
        let Stage::Reporting(outcome, attempts) = &mut run.stage else { return None };
        attempts.send(facts.uptime);
        Some(Action::Report(Box::new(ReportRequest {
            task: key.task.clone(),
            epoch: key.epoch,
            instance: self.profile.instance.clone(),
            outcome: (**outcome).clone(),
        })))
    }

    pub(crate) fn on_report_answered(&mut self, key: &RunKey) -> Vec<Action> {
        match self.runs.get(key) {
            Some(Run { stage: Stage::Reporting(..), .. }) => (),
            Some(_) | None => return Vec::new(),
        }
        self.runs.remove(key);
        let RunKey { task, epoch } = key.clone();
        if self.complaint.is_some() {
            return Vec::new();
        }
        vec![Action::Write(Record::Settled { task, epoch })]
    }

    pub(crate) fn on_report_failed(
        &mut self,
        key: &RunKey,
        fault: &Fault,
        facts: &Facts,
    ) -> Vec<Action> {
        if fault.code == ErrorCode::NotTheRunner && self.doubt(key, facts) {
            return self.report(key, facts).into_iter().collect();
        }
        if is_final(fault.code) {
            return self.on_report_answered(key);
        }
        if let Some(Run { stage: Stage::Reporting(_, attempts), .. }) = self.runs.get_mut(key) {
            attempts.fail(REPORT_PACE, facts);
        }
        Vec::new()
    }

    /// Only the instance that was told to run it may say that nothing ran. What an earlier process
    /// start wanted to say so is no more than `lost` when this one says it.
    fn doubt(&mut self, key: &RunKey, facts: &Facts) -> bool {
        match self.runs.get_mut(key) {
            Some(Run { recovered: true, started, stage: Stage::Reporting(outcome, _), .. })
                if outcome.verdict != Verdict::Lost =>
            {
                **outcome = lost(started.as_ref().map(|started| started.at), facts);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Nothing more can be recorded: nothing more is taken on or started; what runs runs on.
    pub(crate) fn on_journal_failed(&mut self, complaint: String, facts: &Facts) -> Vec<Action> {
        self.complaint.get_or_insert(complaint);
        let keys: Vec<RunKey> = self.runs.keys().cloned().collect();
        let mut actions = Vec::new();
        for key in keys {
            actions.extend(self.settle_unwritten(&key, facts));
        }
        actions
    }

    fn settle_unwritten(&mut self, key: &RunKey, facts: &Facts) -> Vec<Action> {
        let Some(run) = self.runs.get(key) else { return Vec::new() };
        match &run.stage {
            Stage::Recording | Stage::Committing => {
                self.give_back(key, facts).into_iter().collect()
            }
            Stage::Concluding(outcome) => {
                let outcome = (**outcome).clone();
                self.report_unwritten(key, outcome, facts)
            }
            Stage::Asking(_) | Stage::Running(_) | Stage::Reporting(..) => Vec::new(),
        }
    }

    fn report_unwritten(&mut self, key: &RunKey, outcome: Outcome, facts: &Facts) -> Vec<Action> {
        let Some(run) = self.runs.get_mut(key) else { return Vec::new() };
        run.stage = Stage::Reporting(Box::new(outcome), Attempts::due(facts.uptime));
        self.report(key, facts).into_iter().collect()
    }
}

fn why_ended(reason: EndReason) -> Option<Fault> {
    match reason {
        EndReason::Cancelled => None,
        EndReason::Draining => Some(Fault::new(
            ErrorCode::NodeDraining,
            "the node stopped and the run did not end within the grace period",
        )),
        EndReason::Superseded => {
            Some(Fault::new(ErrorCode::StaleEpoch, "the task was given out again while it ran"))
        }
    }
}

fn never_ran(verdict: Verdict, fault: Option<Fault>, facts: &Facts) -> Outcome {
    Outcome {
        verdict,
        exit_code: None,
        signal: None,
        fault,
        started_at: None,
        ended_at: facts.wall,
        usage: Usage::default(),
        stdout: OutputSummary::default(),
        stderr: OutputSummary::default(),
        sandbox: None,
    }
}

/// What can be said of a run whose process start is gone.
pub(crate) fn lost(started_at: Option<Timestamp>, facts: &Facts) -> Outcome {
    let message = "the node's process ended before the run did, or before it was recorded";
    let fault = Fault::new(ErrorCode::RunInterrupted, message);
    Outcome { started_at, ..never_ran(Verdict::Lost, Some(fault), facts) }
}
