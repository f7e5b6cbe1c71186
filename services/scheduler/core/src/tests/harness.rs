//! A scheduler in a test: decides, checks every decision, folds it, and remembers its history.

use decider::{Decider, Moment, Recorded};
use schemas::{
    Capability, ErrorCode, Fault, InstanceId, Manifest, PrincipalId, Sha256Hash, TaskId, Timestamp,
    agent::{Heartbeat, NodeReport, RunningTask},
    enrolment::{KeyView, PrincipalView},
    key::{KeyId, KeyPurpose, PublicKeyBytes},
    manifest::PrincipalPattern,
    principal::{PrincipalKind, Standing, UserRole},
    registry::{AgentStatus, AgentView, RegistryEvent},
    sandbox::{SandboxReport, Tier},
    scheduler::{SchedulerEvent, StartDecision},
    task::{Outcome, TaskSpec, TaskState, Verdict, Work},
};

use crate::{
    Answer, CancelTarget, Command, Effect, Facts, Observation, Query, Question, Run, Scheduler,
    State, Submission, evolve::no_run, violations,
};

/// When every test begins, in milliseconds since the Unix epoch.
pub(super) const BEGIN_MS: u64 = 1_000_000_000;
pub(super) const HOUR_MS: u64 = 3600 * 1000;

pub(super) struct Scene {
    pub(super) state: State,
    pub(super) facts: Facts,
    pub(super) moment: Moment,
    pub(super) history: Vec<(SchedulerEvent, Recorded)>,
    pub(super) effects: Vec<Effect>,
    /// Tasks whose rows were deleted, in order.
    pub(super) evicted: Vec<TaskId>,
}

impl Scene {
    /// An empty fleet that has been listed, like the principals, of whom there are none.
    pub(super) fn new() -> Self {
        let mut scene = Self::unlisted();
        scene.observe(Observation::Listed(std::collections::BTreeSet::new()));
        scene.observe(Observation::PrincipalsListed(std::collections::BTreeSet::new()));
        scene
    }

    pub(super) fn unlisted() -> Self {
        let moment = Moment { now_ms: BEGIN_MS, term: 7, ..Moment::default() };
        let mut facts = Facts::default();
        Scheduler::tell(&mut facts, moment);
        let (history, effects, evicted) = (Vec::new(), Vec::new(), Vec::new());
        Self { state: State::default(), facts, moment, history, effects, evicted }
    }

    /// A fleet of nodes that accept `ann` and offer `shell.exec`, each with this many slots.
    pub(super) fn with(nodes: &[(&str, u32)]) -> Self {
        let mut scene = Self::new();
        for (node, slots) in nodes {
            scene.join(agent(node, *slots));
        }
        scene
    }

    pub(super) fn join(&mut self, agent: AgentView) {
        let beat = Heartbeat::bare(agent.manifest.id.clone());
        self.observe(Observation::Agent(Box::new(agent)));
        self.observe(Observation::Heartbeat(Box::new(beat)));
    }

    pub(super) fn observe(&mut self, observation: Observation) {
        Scheduler::observe(&self.state, &mut self.facts, observation);
    }

    /// A beat of an instance that names what it runs as `(task, epoch)`.
    pub(super) fn beat(&mut self, instance: &str, running: &[(&str, u64)]) {
        let mut beat = Heartbeat::bare(node_of(instance));
        beat.instance = Some(instance_id(instance));
        let run = |(task, epoch): &(&str, u64)| RunningTask { task: task_id(task), epoch: *epoch };
        beat.running = running.iter().map(run).collect();
        self.observe(Observation::Heartbeat(Box::new(beat)));
    }

    /// Lets time pass on both clocks, and looks around as the loop does.
    pub(super) fn pass_ms(&mut self, ms: u64) {
        self.moment.lease_ms += ms;
        self.pass_wall_ms(ms);
    }

    /// Lets time pass while the lease clock stands still.
    pub(super) fn pass_wall_ms(&mut self, ms: u64) {
        self.moment.now_ms += ms;
        self.tick();
    }

    pub(super) fn tick(&mut self) {
        Scheduler::tell(&mut self.facts, self.moment);
        let mut effects = Scheduler::due_effects(&self.state, &mut self.facts);
        self.effects.append(&mut effects);
    }

    /// Beats of everybody every 5 s for a while, none of which names a run.
    pub(super) fn pass_with_beats(&mut self, ms: u64, instances: &[(&str, &[(&str, u64)])]) {
        for _ in 0..ms / 5000 {
            self.pass_ms(5000);
            for (instance, running) in instances {
                self.beat(instance, running);
            }
        }
        self.tick();
    }

    /// Decides, judges the decision, folds it, and returns the events as one line each.
    pub(super) fn decide(&mut self, command: &Command) -> Result<(Vec<String>, Answer), ErrorCode> {
        Scheduler::tell(&mut self.facts, self.moment);
        let decided = Scheduler::decide(&self.state, command, &self.facts);
        let decided = decided.map_err(|rejection| Fault::from(rejection).code)?;
        let broken = violations(&self.state, &self.facts, &decided.events);
        assert_eq!(broken, Vec::<String>::new(), "{command:?}: {:?}", lines(&decided.events));
        for event in &decided.events {
            let at_ms = self.moment.now_ms.max(self.state.at_ms);
            self.fold(event, Recorded { at_ms, term: self.moment.term });
        }
        assert_eq!(self.state.index, self.state.index_made_anew(), "after {command:?}");
        Ok((lines(&decided.events), decided.answer))
    }

    fn fold(&mut self, event: &SchedulerEvent, recorded: Recorded) {
        Scheduler::evolve(&mut self.state, event, &recorded);
        self.effects.append(&mut Scheduler::react(&self.state, event));
        self.evicted.extend_from_slice(self.state.evicted_by_last_event());
        self.history.push((event.clone(), recorded));
    }

    /// Decides everything that is due, until nothing is.
    pub(super) fn settle(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..1000 {
            self.tick();
            let due = Scheduler::due(&self.state, &self.facts);
            if due.is_empty() {
                return all;
            }
            for command in due {
                all.append(&mut self.decide(&command).unwrap().0);
                let again = Scheduler::due(&self.state, &self.facts);
                assert!(!again.contains(&command), "{command:?} is named again");
            }
        }
        panic!("something is due for ever");
    }

    /// Asks as `ann`, who submits.
    pub(super) fn ask(&self, question: &Question) -> Result<Answer, ErrorCode> {
        self.ask_as("ann", question)
    }

    pub(super) fn ask_as(&self, who: &str, question: &Question) -> Result<Answer, ErrorCode> {
        let query = Query { by: principal(who), question: question.clone() };
        let answer = Scheduler::answer(&self.state, &query, &self.facts);
        answer.map_err(|rejection| rejection.code())
    }

    /// The registry lists a person with a role.
    pub(super) fn enrol(&mut self, person: &str, role: UserRole) {
        self.observe(Observation::Principal(Box::new(member(person, Some(role)))));
    }

    /// The registry records something.
    pub(super) fn recorded(&mut self, event: RegistryEvent) {
        self.observe(Observation::Registry(Box::new(event)));
    }

    pub(super) fn state_of(&self, task: &str) -> TaskState {
        self.state.known(&task_id(task)).unwrap().state()
    }

    /// Submits an echo of `ann`, expecting that it is taken.
    pub(super) fn submit(&mut self, task: &str, audience: &str) -> Vec<String> {
        let command = self.submission(task, audience);
        self.decide(&command).unwrap().0
    }

    pub(super) fn submission(&self, task: &str, audience: &str) -> Command {
        let spec = TaskSpec::new(Work::Echo { text: String::new() });
        submit(task, audience, spec, self.moment.now_ms + HOUR_MS)
    }

    /// Submits a task that may run again after a loss.
    pub(super) fn submit_idempotent(&mut self, task: &str, audience: &str) -> Vec<String> {
        let mut spec = TaskSpec::new(Work::Echo { text: String::new() });
        spec.idempotent = true;
        let command = submit(task, audience, spec, self.moment.now_ms + HOUR_MS);
        self.decide(&command).unwrap().0
    }

    /// Asks to start and returns what was answered: `go` or the code.
    pub(super) fn start(&mut self, task: &str, epoch: u64, instance: &str) -> String {
        self.start_again(task, epoch, instance, 1)
    }

    /// Asks to start for the nth time.
    pub(super) fn start_again(
        &mut self,
        task: &str,
        epoch: u64,
        instance: &str,
        ask: u64,
    ) -> String {
        let command = Command::Start { run: run(task, epoch, instance), ask };
        match self.decide(&command) {
            Ok((_, Answer::Start(answer))) => match answer.decision {
                StartDecision::Go {} => "go".to_owned(),
                StartDecision::StandDown { code } => code.to_string(),
            },
            Ok((_, other)) => panic!("{other:?}"),
            Err(code) => code.to_string(),
        }
    }

    /// Starts from a clean slate what a new process would know: the log and nothing else.
    pub(super) fn restart(&mut self) {
        self.facts = Facts::default();
        let (now_ms, term) = (self.moment.now_ms, self.moment.term + 1);
        self.moment = Moment { now_ms, term, ..Moment::default() };
        Scheduler::tell(&mut self.facts, self.moment);
        self.effects = Scheduler::resume(&self.state);
    }

    pub(super) fn sent(&mut self) -> Vec<String> {
        std::mem::take(&mut self.effects).iter().map(effect_line).collect()
    }
}

/// The one way in which a case is stated: in this scene, when this is asked, then these events.
#[track_caller]
pub(super) fn check(scene: &mut Scene, when: &Command, then: Result<&[&str], ErrorCode>) {
    let events = scene.decide(when).map(|(events, _)| events);
    let then = then.map(|lines| lines.iter().map(|line| (*line).to_owned()).collect());
    assert_eq!(events, then, "{when:?}");
}

pub(super) fn lines(events: &[SchedulerEvent]) -> Vec<String> {
    events.iter().map(line).collect()
}

fn line(event: &SchedulerEvent) -> String {
    match event {
        SchedulerEvent::TaskSubmitted { task, .. } => format!("{task} submitted"),
        SchedulerEvent::TaskQueued { task, .. } => format!("{task} queued"),
        SchedulerEvent::TaskAssigned { task, node, epoch, .. } => {
            format!("{task} assigned to {node} at {epoch}")
        }
        SchedulerEvent::AssignmentExpired { task, epoch } => format!("{task} unstarted at {epoch}"),
        SchedulerEvent::TaskRefused { task, node, epoch, .. } => {
            format!("{task} refused by {node} at {epoch}")
        }
        SchedulerEvent::TaskStarted { task, epoch, instance, .. } => {
            format!("{task} started by {instance} at {epoch}")
        }
        SchedulerEvent::TaskCancelRequested { task, by } => format!("{task} to end for {by}"),
        SchedulerEvent::TaskFinished { task, epoch, state, .. } => {
            format!("{task} {} at {epoch}", state.as_str())
        }
        SchedulerEvent::TaskLost { task, epoch, .. } => format!("{task} lost at {epoch}"),
    }
}

fn effect_line(effect: &Effect) -> String {
    match effect {
        Effect::Dispatch(offer) => {
            format!("offer {} {} to {}", offer.task, offer.epoch, offer.node)
        }
        Effect::SendCancel { task, node, epoch, .. } => format!("cancel {task} {epoch} at {node}"),
    }
}

pub(super) fn submit(task: &str, audience: &str, spec: TaskSpec, expires_ms: u64) -> Command {
    Command::Submit(Box::new(Submission {
        task: task_id(task),
        envelope: format!("envelope of {task}"),
        envelope_hash: Sha256Hash([u8::try_from(task.len()).unwrap(); 32]),
        issuer: principal("ann"),
        subject: principal("ann"),
        audience: audience.parse().unwrap(),
        spec,
        certificates: vec!["certificate of ann".to_owned()],
        grants: schemas::grants::Grants::default(),
        parent: None,
        key: key_of("ann"),
        expires_at: Timestamp(expires_ms),
    }))
}

/// The only key of a principal.
pub(super) fn key_of(id: &str) -> KeyId {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(id.bytes()).for_each(|(byte, letter)| *byte = letter);
    KeyId(bytes)
}

/// A person with a role, or an agent of `olga` without.
pub(super) fn member(id: &str, role: Option<UserRole>) -> PrincipalView {
    let validity = (0, u64::MAX);
    let key = KeyView {
        id: key_of(id),
        purpose: KeyPurpose::TaskIssuer,
        key: PublicKeyBytes([0; 32]),
        not_before_s: validity.0,
        not_after_s: validity.1,
        revoked_at: None,
    };
    PrincipalView {
        id: principal(id),
        kind: if role.is_some() { PrincipalKind::Person } else { PrincipalKind::Agent },
        role,
        owner: principal(if role.is_some() { id } else { "olga" }),
        standing: Standing::Active,
        capabilities: None,
        login: String::new(),
        keys: vec![key],
        enrolled_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

pub(super) fn report(task: &str, epoch: u64, instance: &str, verdict: Verdict) -> Command {
    let started_at = Some(Timestamp(BEGIN_MS));
    let outcome = Outcome { verdict, started_at, ..no_run(Timestamp(BEGIN_MS)) };
    Command::Report { run: run(task, epoch, instance), outcome: Box::new(outcome) }
}

/// A report of somebody who says that nothing ran.
pub(super) fn report_unrun(task: &str, epoch: u64, instance: &str, verdict: Verdict) -> Command {
    let outcome = Outcome { verdict, ..no_run(Timestamp(BEGIN_MS)) };
    Command::Report { run: run(task, epoch, instance), outcome: Box::new(outcome) }
}

pub(super) fn refuse(task: &str, epoch: u64, instance: &str, code: ErrorCode) -> Command {
    Command::Refuse { run: run(task, epoch, instance), fault: Fault::new(code, "no") }
}

pub(super) fn cancel(task: &str, by: &str) -> Command {
    Command::Cancel { by: principal(by), target: CancelTarget::One(task_id(task)) }
}

pub(super) fn run(task: &str, epoch: u64, instance: &str) -> Run {
    let (node, instance) = (node_of(instance), instance_id(instance));
    Run { node, instance, task: task_id(task), epoch }
}

/// Instances are named `NODE-NUMBER`.
fn node_of(instance: &str) -> PrincipalId {
    principal(instance.rsplit_once('-').unwrap().0)
}

pub(super) fn agent(id: &str, slots: u32) -> AgentView {
    let mut manifest = Manifest {
        id: principal(id),
        name: id.to_owned(),
        role: "worker".to_owned(),
        location: None,
        endpoint: None,
        capabilities: schemas::manifest::Capabilities::default(),
        can_task: Vec::new(),
        accepts_tasks_from: vec![PrincipalPattern::parse("ann").unwrap()],
        reports_to: Vec::new(),
        credentials: std::collections::BTreeMap::new(),
        labels: std::collections::BTreeMap::new(),
        limits: schemas::manifest::Limits::default(),
        heartbeat_interval: None,
    };
    manifest.capabilities.tools = vec![Capability::parse("shell.exec").unwrap()];
    let node = NodeReport {
        instance: instance_id(&format!("{id}-1")),
        protocol: 1,
        version: "0".to_owned(),
        platform: "linux/x86_64".to_owned(),
        kernel: String::new(),
        cpus: 1,
        memory_bytes: 1,
        disk_free_bytes: 1,
        slots,
        tools: std::collections::BTreeMap::new(),
        sandbox: SandboxReport { tier: Tier::T0, properties: std::collections::BTreeMap::new() },
    };
    AgentView {
        manifest,
        node: Some(node),
        owner: principal("olga"),
        shared_with: Vec::new(),
        enrolled: true,
        status: AgentStatus::Online,
        status_reason: None,
        status_set: None,
        registered_at: Timestamp(0),
        updated_at: Timestamp(0),
        archived: false,
        presence: None,
    }
}

pub(super) fn principal(id: &str) -> PrincipalId {
    PrincipalId::parse(id).unwrap()
}

pub(super) fn instance_id(id: &str) -> InstanceId {
    InstanceId::parse(id).unwrap()
}

pub(super) fn task_id(id: &str) -> TaskId {
    TaskId::parse(id).unwrap()
}
