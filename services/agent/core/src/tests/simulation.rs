//! Random orders of everything that can happen, restarts included: the invariants hold in all.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;
use schemas::{
    ErrorCode, InstanceId,
    agent::CancelOrder,
    scheduler::{StartAnswer, StartDecision, StartRequest},
    task::Verdict,
};

use super::fixture::{facts_at, id, offer, outcome, profile, task, unreachable};
use crate::{Action, Input, Node, Record, RunKey};

/// What surrounds the node: its disk, the scheduler's view, and the effects that happened.
struct World {
    node: Node,
    instance: u32,
    now: Duration,
    /// Records in order, and how many of them are on disk.
    disk: Vec<Record>,
    synced: usize,
    asked: Vec<StartRequest>,
    live: Vec<RunKey>,
    /// Which instance the scheduler let start each assignment.
    granted: BTreeMap<RunKey, InstanceId>,
    begun: BTreeMap<RunKey, u32>,
    reported: Vec<(RunKey, Verdict)>,
    pending_reports: Vec<RunKey>,
    /// What the scheduler has an outcome of.
    settled: BTreeSet<RunKey>,
}

impl World {
    fn new() -> Self {
        Self {
            node: Node::new(profile("i0")),
            instance: 0,
            now: Duration::ZERO,
            disk: Vec::new(),
            synced: 0,
            asked: Vec::new(),
            live: Vec::new(),
            granted: BTreeMap::new(),
            begun: BTreeMap::new(),
            reported: Vec::new(),
            pending_reports: Vec::new(),
            settled: BTreeSet::new(),
        }
    }

    fn feed(&mut self, input: Input) {
        let facts = facts_at(self.now);
        let actions = self.node.step(input, &facts);
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Write(record) => self.disk.push(record),
                Action::AskStart(request) => self.asked.push(request),
                Action::Run(order) => self.begin(&order.key),
                Action::Kill(key) => self.end(&key, Verdict::Cancelled),
                Action::Report(report) => {
                    let key = RunKey { task: report.task, epoch: report.epoch };
                    self.check_on_disk(&key, "ended");
                    self.reported.push((key.clone(), report.outcome.verdict));
                    self.pending_reports.push(key);
                }
                Action::Refuse(_) | Action::AskRoster | Action::KeepRoster(_) => (),
            }
        }
    }

    fn begin(&mut self, key: &RunKey) {
        self.check_on_disk(key, "started");
        *self.begun.entry(key.clone()).or_default() += 1;
        assert_eq!(self.begun[key], 1, "{key:?} ran twice");
        self.live.push(key.clone());
    }

    fn check_on_disk(&self, key: &RunKey, kind: &str) {
        let found = self.disk[..self.synced].iter().any(|record| match record {
            Record::Started(started) => {
                kind == "started" && started.task == key.task && started.epoch == key.epoch
            }
            Record::Ended { task, epoch, .. } => {
                kind == "ended" && *task == key.task && *epoch == key.epoch
            }
            Record::Accepted(_)
            | Record::Dropped { .. }
            | Record::Settled { .. }
            | Record::Used { .. }
            | Record::Term { .. } => false,
        });
        assert!(found, "{kind} of {key:?} is not on disk");
    }

    fn sync(&mut self) {
        let fresh: Vec<Record> = self.disk[self.synced..].to_vec();
        self.synced = self.disk.len();
        for (key, kind) in fresh.iter().filter_map(Record::awaited) {
            self.feed(Input::Recorded(key, kind));
        }
    }

    fn end(&mut self, key: &RunKey, verdict: Verdict) {
        if let Some(index) = self.live.iter().position(|live| live == key) {
            self.live.remove(index);
            self.feed(Input::Ended(key.clone(), Box::new(outcome(verdict))));
        }
    }

    /// The scheduler's rule: a go only for the instance that holds the start, and none once it knows
    /// how the task ended.
    fn answer(&mut self, pick: usize) {
        if self.asked.is_empty() {
            return;
        }
        let request = self.asked.remove(pick % self.asked.len());
        let key = RunKey { task: request.task.clone(), epoch: request.epoch };
        let finished = self.settled.contains(&key);
        let holder = self.granted.entry(key).or_insert_with(|| request.instance.clone());
        let decision = if finished {
            StartDecision::StandDown { code: ErrorCode::TaskFinished }
        } else if *holder == request.instance {
            StartDecision::Go {}
        } else {
            StartDecision::StandDown { code: ErrorCode::NotTheRunner }
        };
        let StartRequest { task, epoch, instance, ask } = request;
        let answer = StartAnswer { task, epoch, instance, ask, term: 5, decision };
        self.feed(Input::StartAnswered(answer));
    }

    fn lose_request(&mut self) {
        if let Some(request) = self.asked.pop() {
            let key = RunKey { task: request.task, epoch: request.epoch };
            self.feed(Input::StartFailed(key, request.ask, unreachable()));
        }
    }

    fn answer_report(&mut self, heard: bool) {
        if let Some(key) = self.pending_reports.pop() {
            let input = if heard {
                self.settled.insert(key.clone());
                Input::ReportAnswered(key)
            } else {
                Input::ReportFailed(key, unreachable())
            };
            self.feed(input);
        }
    }

    /// The process dies: what was not synced may or may not be on disk.
    fn crash(&mut self, kept: usize) {
        let kept = (self.synced + kept).min(self.disk.len());
        self.disk.truncate(kept);
        self.synced = kept;
        self.live.clear();
        self.pending_reports.clear();
        self.instance += 1;
        let profile = profile(&format!("i{}", self.instance));
        let (node, actions) = Node::recover(profile, self.disk.clone(), &facts_at(self.now));
        self.node = node;
        self.carry_out(actions);
    }

    fn compact(&mut self) {
        self.sync();
        self.disk = self.node.carry_over();
        self.synced = self.disk.len();
    }
}

#[derive(Clone, Debug)]
enum Event {
    Offer(u8, u64),
    Sync,
    Answer(usize),
    LoseRequest,
    End(u8),
    AnswerReport(bool),
    Cancel(u8, u64),
    Wait(u64),
    Crash(usize),
    Compact,
    Drain,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..4_u8, 1..4_u64).prop_map(|(number, epoch)| Event::Offer(number, epoch)),
        6 => Just(Event::Sync),
        5 => (0..4_usize).prop_map(Event::Answer),
        1 => Just(Event::LoseRequest),
        4 => (0..4_u8).prop_map(Event::End),
        3 => any::<bool>().prop_map(Event::AnswerReport),
        1 => (0..4_u8, 1..4_u64).prop_map(|(number, epoch)| Event::Cancel(number, epoch)),
        2 => (1..4_000_u64).prop_map(Event::Wait),
        1 => (0..4_usize).prop_map(Event::Crash),
        1 => Just(Event::Compact),
        1 => Just(Event::Drain),
    ]
}

fn apply(world: &mut World, event: &Event) {
    match event {
        Event::Offer(number, epoch) => world.feed(offer(*number, *epoch)),
        Event::Sync => world.sync(),
        Event::Answer(pick) => world.answer(*pick),
        Event::LoseRequest => world.lose_request(),
        Event::End(number) => {
            let key = world.live.iter().find(|key| key.task == task(*number)).cloned();
            if let Some(key) = key {
                world.end(&key, Verdict::Succeeded);
            }
        }
        Event::AnswerReport(heard) => world.answer_report(*heard),
        Event::Cancel(number, epoch) => {
            let order = CancelOrder { task: task(*number), epoch: *epoch, by: id("alice") };
            world.feed(Input::Cancel(order));
        }
        Event::Wait(ms) => {
            world.now += Duration::from_millis(*ms);
            world.feed(Input::Tick);
        }
        Event::Crash(kept) => world.crash(*kept),
        Event::Compact => world.compact(),
        Event::Drain => world.feed(Input::Drain(Duration::from_secs(1))),
    }
}

/// Lets everything come to its end: no more faults, time passes.
fn settle(world: &mut World) {
    for _ in 0..200 {
        world.sync();
        world.answer(0);
        for key in world.live.clone() {
            world.end(&key, Verdict::Succeeded);
        }
        world.answer_report(true);
        world.now += Duration::from_millis(500);
        world.feed(Input::Tick);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_assignment_runs_twice_and_every_start_has_one_outcome(
        events in proptest::collection::vec(event(), 1..80),
    ) {
        let mut world = World::new();
        for event in &events {
            apply(&mut world, event);
        }
        settle(&mut world);
        prop_assert!(world.node.runs.is_empty(), "left over: {:?}", world.node.runs);
        for key in world.begun.keys() {
            let mut verdicts: Vec<String> = world
                .reported
                .iter()
                .filter(|(reported, _)| reported == key)
                .map(|(_, verdict)| format!("{verdict:?}"))
                .collect();
            verdicts.dedup();
            prop_assert_eq!(verdicts.len(), 1, "{:?} ended as {:?}", key, verdicts);
        }
    }
}
