//! Asking to start, and taking the go.
//!
//! **Invariant:** a go counts only as the answer to the latest request of this process start,
//! within `GO_TTL` of sending it, from no lower a term than an earlier go of the partition.

use schemas::{
    ErrorCode, Fault,
    protocol::GO_TTL,
    scheduler::{StartAnswer, StartDecision, StartRequest},
};

use crate::{
    Action, Facts, Node, Record, RecordKind, RunKey, RunOrder, Started,
    backoff::{Attempts, START_PACE},
    node::{Run, Stage},
};

impl Node {
    pub(crate) fn on_recorded(
        &mut self,
        key: &RunKey,
        kind: RecordKind,
        facts: &Facts,
    ) -> Vec<Action> {
        let Some(run) = self.runs.get_mut(key) else { return Vec::new() };
        let action = match (kind, &run.stage) {
            (RecordKind::Accepted, Stage::Recording) => {
                run.stage = Stage::Asking(Attempts::due(facts.uptime));
                self.ask(key, facts)
            }
            (RecordKind::Started, Stage::Committing) => {
                run.stage = Stage::Running(None);
                Some(Action::Run(Box::new(run.order())))
            }
            (RecordKind::Ended, Stage::Concluding(outcome)) => {
                run.stage = Stage::Reporting(outcome.clone(), Attempts::due(facts.uptime));
                self.report(key, facts)
            }
            // It went another way while the record was being written.
            (RecordKind::Accepted | RecordKind::Started | RecordKind::Ended, _) => None,
        };
        action.into_iter().collect()
    }

    pub(crate) fn ask(&mut self, key: &RunKey, facts: &Facts) -> Option<Action> {
        let run = self.runs.get_mut(key)?;
        let Stage::Asking(attempts) = &mut run.stage else { return None };
        attempts.send(facts.uptime);
        run.asks += 1;
        Some(Action::AskStart(StartRequest {
            task: key.task.clone(),
            epoch: key.epoch,
            instance: self.profile.instance.clone(),
            ask: run.asks,
        }))
    }

    pub(crate) fn on_start_answered(&mut self, answer: &StartAnswer, facts: &Facts) -> Vec<Action> {
        let key = RunKey { task: answer.task.clone(), epoch: answer.epoch };
        let Some(sent_at) = self.awaited_since(&key, answer.ask) else { return Vec::new() };
        if answer.instance != self.profile.instance {
            return Vec::new();
        }
        match answer.decision {
            StartDecision::Go {} if sent_at + GO_TTL < facts.uptime => {
                self.ask(&key, facts).into_iter().collect()
            }
            StartDecision::Go {} => self.take_go(&key, answer.term, facts),
            StartDecision::StandDown { code } => self.stand_down(&key, code, facts),
        }
    }

    /// When the request under way was sent, if `ask` is its number.
    fn awaited_since(&self, key: &RunKey, ask: u64) -> Option<std::time::Duration> {
        let run = self.runs.get(key)?;
        match &run.stage {
            Stage::Asking(attempts) if run.asks == ask => attempts.sent_at,
            Stage::Asking(_)
            | Stage::Recording
            | Stage::Committing
            | Stage::Running(_)
            | Stage::Concluding(_)
            | Stage::Reporting(..) => None,
        }
    }

    fn take_go(&mut self, key: &RunKey, term: u64, facts: &Facts) -> Vec<Action> {
        let Some(run) = self.runs.get_mut(key) else { return Vec::new() };
        let seen = self.terms.entry(run.accepted.partition).or_default();
        if term < *seen {
            // A deposed writer's go: the present one is asked instead.
            if let Stage::Asking(attempts) = &mut run.stage {
                attempts.fail(START_PACE, facts);
            }
            return Vec::new();
        }
        *seen = term;
        let started = Started {
            task: key.task.clone(),
            epoch: key.epoch,
            instance: self.profile.instance.clone(),
            partition: run.accepted.partition,
            term,
            at: facts.wall,
        };
        self.used.insert(key.clone(), run.accepted.assigned_until);
        run.started = Some(started.clone());
        if self.complaint.is_some() {
            return self.give_back(key, facts).into_iter().collect();
        }
        run.stage = Stage::Committing;
        vec![Action::Write(Record::Started(started))]
    }

    /// Drops what is not to be run, unless somebody still waits for its outcome.
    fn stand_down(&mut self, key: &RunKey, code: ErrorCode, facts: &Facts) -> Vec<Action> {
        let Some(run) = self.runs.get(key) else { return Vec::new() };
        let is_over = is_final(code) && code != ErrorCode::NotTheRunner;
        let is_awaited = if run.recovered {
            // An earlier process start was told to run it, or the original of a copied disk.
            !is_over && code != ErrorCode::Expired
        } else {
            // Its end may have been asked for after a go to this instance that got lost.
            code == ErrorCode::TaskFinished
        };
        if is_awaited {
            return self.conclude_unseen(key, facts);
        }
        self.drop_run(key, code).into_iter().collect()
    }

    pub(crate) fn on_start_failed(
        &mut self,
        key: &RunKey,
        ask: u64,
        fault: &Fault,
        facts: &Facts,
    ) -> Vec<Action> {
        if self.awaited_since(key, ask).is_none() {
            return Vec::new();
        }
        if is_final(fault.code) {
            return self.stand_down(key, fault.code, facts);
        }
        if let Some(Run { stage: Stage::Asking(attempts), .. }) = self.runs.get_mut(key) {
            attempts.fail(START_PACE, facts);
        }
        Vec::new()
    }

    /// Forgets what was never started.
    pub(crate) fn drop_run(&mut self, key: &RunKey, code: ErrorCode) -> Option<Action> {
        self.runs.remove(key)?;
        let RunKey { task, epoch } = key.clone();
        Some(Action::Write(Record::Dropped { task, epoch, code }))
    }
}

/// Whether the scheduler's error means that it does not want to hear of the task from this node.
pub(crate) fn is_final(code: ErrorCode) -> bool {
    [
        ErrorCode::TaskNotFound,
        ErrorCode::TaskFinished,
        ErrorCode::StaleEpoch,
        ErrorCode::NotTheRunner,
    ]
    .contains(&code)
}

impl Run {
    fn order(&self) -> RunOrder {
        RunOrder {
            key: self.key(),
            attempt: self.accepted.attempt,
            trace: self.accepted.trace.clone(),
            subject: self.accepted.subject.clone(),
            partition: self.accepted.partition,
            delegation: self.accepted.delegation.clone(),
            spec: self.accepted.spec.clone(),
        }
    }
}
