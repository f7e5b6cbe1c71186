//! A decision while it is being made: its events so far, and what they change for placement.

use decider::Decided;
use schemas::{PrincipalId, TaskId, Timestamp, scheduler::SchedulerEvent, task::TaskState};

use crate::{
    Scheduler,
    command::Answer,
    facts::Facts,
    limits::{ASSIGNMENT_TTL_MS, PLACED_PER_DECISION_MAX},
    placement::{self, Candidate, Choice, Overlay, World},
    state::{State, Task},
};

/// Events that are about to be decided.
pub(super) struct Draft<'a> {
    pub(super) state: &'a State,
    pub(super) facts: &'a Facts,
    events: Vec<SchedulerEvent>,
    overlay: Overlay,
    freed: Vec<PrincipalId>,
    placed: usize,
}

/// Where a task is after it was placed, or was not.
pub(super) struct Placed {
    pub(super) state: TaskState,
    pub(super) node: Option<PrincipalId>,
    pub(super) waiting_for: Option<String>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(state: &'a State, facts: &'a Facts) -> Self {
        let overlay = Overlay::new();
        Self { state, facts, events: Vec::new(), overlay, freed: Vec::new(), placed: 0 }
    }

    /// When it is: events never go back in time, the wall clock may.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.facts.moment.now_ms.max(self.state.at_ms))
    }

    pub(super) fn push(&mut self, event: SchedulerEvent) {
        self.events.push(event);
    }

    pub(super) fn world(&self) -> World<'_> {
        World { state: self.state, facts: self.facts, overlay: &self.overlay }
    }

    /// The task's slot is free from here on, for whoever waits.
    pub(super) fn give_back(&mut self, task: &Task) {
        self.retract(task);
        self.freed.extend(task.view.node.clone());
    }

    /// What waits is offered to the node before the decision ends.
    pub(super) fn offer_to(&mut self, node: &PrincipalId) {
        self.freed.push(node.clone());
    }

    /// The task no longer counts against its node, which takes no other for now.
    pub(super) fn retract(&mut self, task: &Task) {
        let Some(node) = &task.view.node else { return };
        match task.view.state {
            TaskState::Assigned | TaskState::Started => {
                *self.overlay.held.entry(node.clone()).or_default() -= 1;
            }
            TaskState::Lost => {
                *self.overlay.held.entry(node.clone()).or_default() -= self.names(task);
            }
            TaskState::Queued
            | TaskState::Succeeded
            | TaskState::Failed
            | TaskState::TimedOut
            | TaskState::Cancelled
            | TaskState::Expired => (),
        }
    }

    /// The task is given up; it keeps its slot while its node says that it goes on. What waits is
    /// not offered to the node in return: it may be gone.
    pub(super) fn lose(&mut self, task: &Task) {
        self.retract(task);
        if let Some(node) = &task.view.node {
            *self.overlay.held.entry(node.clone()).or_default() += self.names(task);
        }
    }

    /// 1 when the node's last beat said that it has the task.
    fn names(&self, task: &Task) -> i64 {
        let node = task.view.node.as_ref().and_then(|node| self.facts.fleet.get(node));
        node.is_some_and(|node| node.names(&task.view.id)).into()
    }

    /// The task waits no more.
    pub(super) fn take(&mut self, id: &TaskId) {
        self.overlay.taken.insert(id.clone());
    }

    /// Gives a task that nobody has to a node, or lets it wait. `refuses` does not want it now.
    pub(super) fn place(&mut self, task: &Task, refuses: Option<&PrincipalId>) -> Placed {
        let demand = task.demand();
        let candidate = Candidate { id: &task.view.id, demand: &demand, task: Some(task) };
        self.overlay.refuses = refuses.cloned();
        let choice = self.world().choose(candidate);
        self.settle(candidate, choice)
    }

    /// Writes down what placement chose.
    pub(super) fn settle(&mut self, candidate: Candidate<'_>, choice: Choice) -> Placed {
        let placed = match choice {
            Choice::Node(node) => {
                self.assign(candidate.id, candidate.task, node.clone());
                Placed { state: TaskState::Assigned, node: Some(node), waiting_for: None }
            }
            Choice::Nobody(tally) => {
                let waiting_for = placement::waiting_for(self.world(), candidate, &tally);
                let (task, sentence) = (candidate.id.clone(), waiting_for.clone());
                self.push(SchedulerEvent::TaskQueued { task, waiting_for: sentence });
                let node = candidate.task.and_then(|task| task.view.node.clone());
                Placed { state: TaskState::Queued, node, waiting_for: Some(waiting_for) }
            }
        };
        self.overlay.refuses = None;
        placed
    }

    fn assign(&mut self, id: &TaskId, record: Option<&Task>, node: PrincipalId) {
        *self.overlay.held.entry(node.clone()).or_default() += 1;
        self.placed += 1;
        let (epoch, runs) = record.map_or((0, 0), |record| (record.view.epoch, record.runs));
        self.push(SchedulerEvent::TaskAssigned {
            task: id.clone(),
            node,
            epoch: epoch + 1,
            attempt: runs + 1,
            until: self.now().plus_ms(ASSIGNMENT_TTL_MS),
        });
    }

    /// Gives waiting tasks to a node as long as it takes them; how many at most is bounded.
    pub(super) fn fill(&mut self, node: &PrincipalId) {
        while self.placed < PLACED_PER_DECISION_MAX {
            let next = self.world().next_for(node);
            let Some(task) = next.and_then(|id| self.state.tasks.get(id)) else { return };
            self.take(&task.view.id);
            self.assign(&task.view.id, Some(task), node.clone());
        }
    }

    /// Offers every slot that became free to the queue, and ends the decision.
    pub(super) fn decided(mut self, answer: Answer) -> Decided<Scheduler> {
        for node in std::mem::take(&mut self.freed) {
            self.fill(&node);
        }
        Decided { events: self.events, answer }
    }
}
