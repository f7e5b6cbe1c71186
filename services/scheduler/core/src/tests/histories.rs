//! Random histories: whatever happens in whatever order, the promises hold.

use std::collections::{BTreeMap, BTreeSet};

use decider::replay;
use proptest::{prelude::*, strategy::ValueTree as _};
use schemas::{
    Capability, ErrorCode, InstanceId, PrincipalId, TaskId,
    manifest::PrincipalPattern,
    registry::AgentView,
    scheduler::SchedulerEvent,
    task::{TaskSpec, TaskState, TaskView, Verdict, Work},
};

use super::harness::{
    HOUR_MS, Scene, cancel, principal, refuse, report, report_unrun, submit, task_id,
};
use crate::{Command, Observation, Scheduler, State};

/// Tasks that `ann` asks for; those behind them are asked for by runs.
const TASKS: u8 = 6;
const ALL: u8 = TASKS + 3;
const NODES: u8 = 3;

#[derive(Clone, Debug)]
enum Step {
    Submit { task: u8, node: Option<u8>, idempotent: bool },
    Ask { parent: u8, child: u8 },
    Start { task: u8, who: Who, ask: u64 },
    Report { task: u8, who: Who, verdict: Verdict, ran: bool },
    Refuse { task: u8, who: Who, code: ErrorCode },
    Cancel { task: u8 },
    ForceLost { task: u8 },
    Beat { node: u8, instance: u8, named: Vec<u8> },
    Pass { ms: u64 },
    Restart,
}

/// The node that has the task (or any other), one of its instances, at or near its epoch.
#[derive(Clone, Debug)]
struct Who {
    other_node: Option<u8>,
    instance: u8,
    older: bool,
}

fn who() -> impl Strategy<Value = Who> {
    let other = prop_oneof![6 => Just(None), 1 => (0..NODES).prop_map(Some)];
    let older = prop_oneof![6 => Just(false), 1 => Just(true)];
    (other, 1..3_u8, older).prop_map(|(other_node, instance, older)| Who {
        other_node,
        instance,
        older,
    })
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Succeeded),
        Just(Verdict::Failed),
        Just(Verdict::TimedOut),
        Just(Verdict::Cancelled),
        Just(Verdict::Lost)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let code = prop_oneof![
        Just(ErrorCode::NodeBusy),
        Just(ErrorCode::JournalFailed),
        Just(ErrorCode::SignatureInvalid)
    ];
    let task = || 0..ALL;
    prop_oneof![
        2 => (task(), TASKS..ALL).prop_map(|(parent, child)| Step::Ask { parent, child }),
        4 => (0..TASKS, proptest::option::of(0..NODES), any::<bool>())
            .prop_map(|(task, node, idempotent)| Step::Submit { task, node, idempotent }),
        6 => (task(), who(), 1..4_u64).prop_map(|(task, who, ask)| Step::Start { task, who, ask }),
        3 => (task(), who(), verdict(), any::<bool>())
            .prop_map(|(task, who, verdict, ran)| Step::Report { task, who, verdict, ran }),
        2 => (task(), who(), code).prop_map(|(task, who, code)| Step::Refuse { task, who, code }),
        1 => task().prop_map(|task| Step::Cancel { task }),
        1 => task().prop_map(|task| Step::ForceLost { task }),
        3 => (0..NODES, 1..3_u8, proptest::collection::vec(task(), 0..3))
            .prop_map(|(node, instance, named)| Step::Beat { node, instance, named }),
        4 => prop_oneof![Just(100_u64), Just(6_000), Just(20_000), Just(130_000), Just(HOUR_MS)]
            .prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::Restart),
    ]
}

/// What the promises are judged by, kept apart from the state.
#[derive(Default)]
struct Ledger {
    runners: BTreeMap<(TaskId, u64), BTreeSet<(PrincipalId, InstanceId)>>,
    /// Tasks that may be running somewhere: a go was given and nobody has taken it back.
    running: BTreeSet<TaskId>,
    idempotent: BTreeSet<TaskId>,
    cancelled: BTreeSet<TaskId>,
    ended: BTreeMap<TaskId, TaskView>,
}

impl Ledger {
    fn take(&mut self, event: &SchedulerEvent) {
        match event {
            SchedulerEvent::TaskSubmitted { task, spec, .. } => {
                if spec.idempotent {
                    self.idempotent.insert(task.clone());
                }
            }
            SchedulerEvent::TaskStarted { task, epoch, node, instance, .. } => {
                assert!(!self.cancelled.contains(task), "{task} starts after its cancel");
                let runners = self.runners.entry((task.clone(), *epoch)).or_default();
                runners.insert((node.clone(), instance.clone()));
                assert_eq!(runners.len(), 1, "{task} at {epoch}: {runners:?}");
                self.running.insert(task.clone());
            }
            SchedulerEvent::TaskAssigned { task, .. } => {
                assert!(!self.running.contains(task), "{task} may still be running");
            }
            SchedulerEvent::TaskRefused { task, .. } => {
                self.running.remove(task);
            }
            SchedulerEvent::TaskLost { task, .. } => {
                if self.idempotent.contains(task) {
                    self.running.remove(task);
                }
            }
            SchedulerEvent::TaskCancelRequested { task, .. } => {
                self.cancelled.insert(task.clone());
            }
            SchedulerEvent::TaskFinished { task, .. } => {
                self.running.remove(task);
                self.cancelled.insert(task.clone());
            }
            SchedulerEvent::TaskQueued { .. } | SchedulerEvent::AssignmentExpired { .. } => (),
        }
    }

    /// What has ended stays as it is.
    fn compare(&mut self, state: &State) {
        for task in state.tasks.values().filter(|task| task.view.state.is_final()) {
            let id = task.view.id.clone();
            let before = self.ended.entry(id).or_insert_with(|| task.view.clone());
            assert_eq!(*before, task.view);
        }
        for task in state.tasks.values() {
            let parent = task.view.parent.as_ref().and_then(|parent| state.tasks.get(parent));
            let Some(parent) = parent else { continue };
            let ends = parent.view.cancelled_by.is_some();
            assert!(!ends || !task.goes_on(), "{} goes on without its parent", task.view.id);
            assert!(parent.asked_for <= 2, "{} asks for too much", parent.view.id);
        }
    }
}

fn name(task: u8) -> String {
    format!("t{task}")
}

fn command(scene: &Scene, step: &Step) -> Option<Command> {
    let of = |task: &u8, who: &Who| {
        let view = scene.state.task(&task_id(&name(*task))).map(|task| &task.view);
        let own = view.and_then(|view| view.node.as_ref()).map(ToString::to_string);
        let node = who.other_node.map(|node| format!("n{node}")).or(own);
        let epoch = view.map_or(1, |view| view.epoch).saturating_sub(u64::from(who.older));
        (epoch, format!("{}-{}", node.unwrap_or_else(|| "n0".to_owned()), who.instance))
    };
    match step {
        Step::Submit { task, node, idempotent } => {
            let mut spec = TaskSpec::new(Work::Echo { text: String::new() });
            spec.idempotent = *idempotent;
            let audience = node.map_or("can:shell.exec".to_owned(), |node| format!("node:n{node}"));
            let expires_ms = scene.moment.now_ms + HOUR_MS;
            Some(delegating(submit(&name(*task), &audience, spec, expires_ms)))
        }
        Step::Ask { parent, child } => {
            let view = &scene.state.task(&task_id(&name(*parent)))?.view;
            let spec = TaskSpec::new(Work::Echo { text: String::new() });
            let expires_ms = view.expires_at.0;
            let asked = submit(&name(*child), "can:shell.exec", spec, expires_ms);
            let Command::Submit(mut asked) = asked else { return None };
            asked.parent = Some(view.id.clone());
            asked.issuer = view.node.clone()?;
            Some(Command::Submit(asked))
        }
        Step::Start { task, who, ask } => {
            let (epoch, instance) = of(task, who);
            let run = super::harness::run(&name(*task), epoch, &instance);
            Some(Command::Start { run, ask: *ask })
        }
        Step::Report { task, who, verdict, ran } => {
            let (epoch, instance) = of(task, who);
            let make = if *ran { report } else { report_unrun };
            Some(make(&name(*task), epoch, &instance, *verdict))
        }
        Step::Refuse { task, who, code } => {
            let (epoch, instance) = of(task, who);
            Some(refuse(&name(*task), epoch, &instance, *code))
        }
        Step::Cancel { task } => Some(cancel(&name(*task), "ann")),
        Step::ForceLost { task } => {
            Some(Command::ForceLost { by: principal("ann"), task: task_id(&name(*task)) })
        }
        Step::Beat { .. } | Step::Pass { .. } | Step::Restart => None,
    }
}

/// Lets a task ask for two others.
fn delegating(command: Command) -> Command {
    let Command::Submit(mut submission) = command else { return command };
    submission.grants.capabilities = vec![Capability::parse("*").unwrap()];
    submission.grants.tasks_max = 2;
    Command::Submit(submission)
}

/// An agent that tasks all others, and that all may task.
fn open_agent(node: u8) -> AgentView {
    let mut view = super::harness::agent(&format!("n{node}"), 2);
    let all = vec![PrincipalPattern::parse("*").unwrap()];
    (view.manifest.can_task, view.manifest.accepts_tasks_from) = (all.clone(), all);
    view
}

fn happen(scene: &mut Scene, step: &Step) {
    match step {
        Step::Beat { node, instance, named } => {
            let epoch = |task: &u8| {
                let task = scene.state.task(&task_id(&name(*task)));
                task.map_or(1, |task| task.view.epoch)
            };
            let named: Vec<(String, u64)> =
                named.iter().map(|task| (name(*task), epoch(task))).collect();
            let named: Vec<(&str, u64)> =
                named.iter().map(|(task, epoch)| (task.as_str(), *epoch)).collect();
            scene.beat(&format!("n{node}-{instance}"), &named);
        }
        Step::Pass { ms } => scene.pass_ms(*ms),
        Step::Restart => {
            scene.restart();
            scene.observe(Observation::PrincipalsListed(BTreeSet::new()));
            for node in 0..NODES {
                scene.join(open_agent(node));
            }
        }
        Step::Submit { .. }
        | Step::Ask { .. }
        | Step::Start { .. }
        | Step::Report { .. }
        | Step::Refuse { .. }
        | Step::Cancel { .. }
        | Step::ForceLost { .. } => {
            if let Some(command) = command(scene, step) {
                // A refusal is as good an outcome as any; what it must not do is checked elsewhere.
                drop(scene.decide(&command));
            }
        }
    }
    scene.settle();
}

fn play(steps: &[Step]) -> Scene {
    let mut scene = Scene::new();
    for node in 0..NODES {
        scene.join(open_agent(node));
    }
    let mut ledger = Ledger::default();
    for step in steps {
        let before = scene.history.len();
        happen(&mut scene, step);
        for (event, _) in &scene.history[before..] {
            ledger.take(event);
        }
        ledger.compare(&scene.state);
    }
    scene
}

/// As the loop stores it.
fn snapshot(state: &State) -> State {
    let mut bytes = Vec::new();
    ciborium::into_writer(state, &mut bytes).unwrap();
    ciborium::from_reader(bytes.as_slice()).unwrap()
}

/// What honest nodes do, in one round: start what they were given, end it in the next, and beat.
fn round(scene: &mut Scene) {
    let live: Vec<TaskView> = scene.state.tasks.values().map(|task| task.view.clone()).collect();
    let instance_of = |view: &TaskView| {
        let granted = scene.state.tasks[&view.id].instance.as_ref().map(ToString::to_string);
        granted.or_else(|| Some(format!("{}-1", view.node.as_ref()?)))
    };
    let spoken: Vec<(TaskView, String)> =
        live.into_iter().filter_map(|view| Some((view.clone(), instance_of(&view)?))).collect();
    for (view, instance) in spoken {
        let task = view.id.as_str();
        match view.state {
            TaskState::Assigned => drop(scene.start_again(task, view.epoch, &instance, 9)),
            TaskState::Started => {
                let verdict = if view.cancelled_by.is_some() {
                    Verdict::Cancelled
                } else {
                    Verdict::Succeeded
                };
                scene.decide(&report(task, view.epoch, &instance, verdict)).unwrap();
            }
            TaskState::Queued
            | TaskState::Lost
            | TaskState::Succeeded
            | TaskState::Failed
            | TaskState::TimedOut
            | TaskState::Cancelled
            | TaskState::Expired => (),
        }
    }
    scene.pass_ms(5000);
    for node in 0..NODES {
        scene.beat(&format!("n{node}-1"), &[]);
    }
    scene.settle();
}

/// The state as its snapshot shows it: what a snapshot leaves out is of the moment only.
fn settled(mut state: State) -> State {
    state.evicted.clear();
    state
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_a_promise(steps in proptest::collection::vec(step(), 1..60)) {
        let scene = play(&steps);
        let replayed: State = replay::<Scheduler>(&scene.history);
        prop_assert_eq!(&replayed, &scene.state);
    }

    #[test]
    fn whatever_happened_every_task_ends_when_its_nodes_are_honest(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut scene = play(&steps);
        // Longer than any pause, shorter than what is left of the youngest request.
        let expired = |scene: &Scene| scene.history.iter().filter(|(event, _)| {
            variant(event) == "TaskFinished" && format!("{event:?}").contains("state: Expired")
        }).count();
        let before = expired(&scene);
        for _ in 0..130 {
            round(&mut scene);
        }
        let open = scene.state.tasks.values().filter(|task| !task.view.state.is_final());
        let open: Vec<_> = open.filter(|task| task.view.state != TaskState::Lost).collect();
        prop_assert!(open.is_empty(), "{open:#?}");
        prop_assert_eq!(before, expired(&scene));
    }

    #[test]
    fn a_snapshot_and_the_rest_of_the_log_are_the_whole_log(
        steps in proptest::collection::vec(step(), 1..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let scene = play(&steps);
        let cut = cut.index(scene.history.len() + 1);
        let mut state = snapshot(&replay::<Scheduler>(&scene.history[..cut]));
        for (event, recorded) in &scene.history[cut..] {
            <Scheduler as decider::Decider>::evolve(&mut state, event, recorded);
        }
        prop_assert_eq!(settled(state), settled(scene.state));
    }
}

/// The generator reaches what it is for: otherwise the promises would hold for want of trying.
#[test]
fn histories_reach_every_event_and_every_state() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut events, mut states, mut children) = (BTreeSet::new(), BTreeSet::new(), 0);
    for _ in 0..200 {
        let steps = proptest::collection::vec(step(), 40..60);
        let steps = steps.new_tree(&mut runner).unwrap().current();
        let scene = play(&steps);
        events.extend(scene.history.iter().map(|(event, _)| variant(event)));
        states.extend(scene.state.tasks.values().map(|task| task.view.state));
        children += scene.state.index.children.len();
    }
    assert_eq!(events.len(), 9, "{events:?}");
    assert!(states.contains(&TaskState::Lost) && states.contains(&TaskState::TimedOut));
    assert!(10 < children, "{children}");
}

/// Names a variant by the first word of its debug form.
fn variant(event: &SchedulerEvent) -> String {
    format!("{event:?}").split(' ').next().unwrap_or_default().to_owned()
}
