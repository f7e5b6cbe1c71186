//! Somebody who hands in signed tasks and sees in the live feed what becomes of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::Client;
use cortex::{
    context::Contexts,
    home::Home,
    material::{Chain, load_key},
};
use cortex_tests::Installation;
use futures::StreamExt as _;
use schemas::{
    Audience, PrincipalId, TaskId,
    claims::RequestClaims,
    feed::FeedEvent,
    scheduler::{SchedulerEvent, SubmitAnswer, SubmitRequest, verb},
    subject::{ServiceName, feed_of},
    task::{TaskSpec, TaskState, Work},
};
use tokio::sync::mpsc;
use trust::{ClusterName, SecretKey, sign, task_id};

/// How long one task may take at all.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a request may be carried out.
const LIFE_S: u64 = 600;

/// How long each stage of one task took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stages {
    pub(crate) signed: Duration,
    pub(crate) submitted: Duration,
    pub(crate) started: Duration,
    pub(crate) finished: Duration,
}

impl Stages {
    /// From before signing to the result.
    pub(crate) fn whole(&self) -> Duration {
        self.signed + self.submitted + self.started + self.finished
    }
}

type Seen = mpsc::UnboundedSender<(Instant, SchedulerEvent)>;

/// The local person of an installation.
pub(crate) struct Asker {
    client: Client,
    key: SecretKey,
    certificates: Vec<String>,
    cluster: ClusterName,
    principal: PrincipalId,
    watched: Arc<Mutex<BTreeMap<TaskId, Seen>>>,
    /// The feed lives as long as its connection.
    _watcher: Client,
}

impl Asker {
    pub(crate) async fn open(installation: &Installation) -> Result<Self> {
        let home = Home::at(installation.home());
        let contexts = Contexts::new(&home);
        let context = contexts.read("local")?;
        let client = Client::connect(context.connect_options()).await?;
        // People do not hear the whole feed.
        let watcher = Client::connect(contexts.read("admin")?.connect_options()).await?;
        let key = load_key(context.key.as_deref().context("the context has no key")?)?;
        let certificates =
            context.certificates.as_deref().context("the key has no certificates")?;
        let certificates = Chain::read(certificates)?.to_texts();
        let cluster = ClusterName::parse(context.cluster.as_deref().context("no cluster")?)?;
        let watched = Arc::<Mutex<BTreeMap<TaskId, Seen>>>::default();
        let feed = watcher.nats().subscribe(feed_of(ServiceName::Scheduler)).await?;
        tokio::spawn(watch(feed, Arc::clone(&watched)));
        let principal = context.principal.clone();
        Ok(Self { principal, client, key, certificates, cluster, watched, _watcher: watcher })
    }

    /// Has `work` done on the local node, and says how long each stage took.
    pub(crate) async fn ask(&self, work: Work) -> Result<Stages> {
        let begin = Instant::now();
        let (task, request) = self.sign(work)?;
        let (seen, mut events) = mpsc::unbounded_channel();
        self.watched.lock().expect("nobody panics with it").insert(task.clone(), seen);
        let signed = Instant::now();
        let answer: SubmitAnswer =
            self.client.request(ServiceName::Scheduler, verb::SUBMIT, &request).await?;
        anyhow::ensure!(answer.task == task, "{} was submitted as {task}", answer.task);
        let submitted = Instant::now();
        let mut started = submitted;
        let finished = loop {
            let next = tokio::time::timeout(PATIENCE, events.recv()).await;
            let (at, event) = next.context("the task takes too long")?.context("no feed")?;
            match event {
                SchedulerEvent::TaskStarted { .. } => started = at.max(submitted),
                SchedulerEvent::TaskFinished { state, .. } => {
                    anyhow::ensure!(state == TaskState::Succeeded, "{task} ended {state:?}");
                    break at.max(started);
                }
                SchedulerEvent::TaskSubmitted { .. }
                | SchedulerEvent::TaskQueued { .. }
                | SchedulerEvent::TaskAssigned { .. }
                | SchedulerEvent::AssignmentExpired { .. }
                | SchedulerEvent::TaskRefused { .. }
                | SchedulerEvent::TaskCancelRequested { .. }
                | SchedulerEvent::TaskLost { .. } => (),
            }
        };
        self.watched.lock().expect("nobody panics with it").remove(&task);
        Ok(Stages {
            signed: signed - begin,
            submitted: submitted - signed,
            started: started - submitted,
            finished: finished - started,
        })
    }

    fn sign(&self, work: Work) -> Result<(TaskId, SubmitRequest)> {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = RequestClaims {
            issuer: self.principal.clone(),
            subject: self.principal.clone(),
            audience: Audience::Node(PrincipalId::parse("local")?),
            expires_at_s: now_s + LIFE_S,
            not_before_s: now_s,
            issued_at_s: now_s,
            nonce: rand::random(),
            spec_json: serde_json::to_string(&TaskSpec::new(work))?,
            grants: schemas::grants::Grants::default(),
            parent: None,
            trace: None,
            partition: 0,
        };
        let envelope = sign::<trust::Request>(&claims, &self.cluster, &self.key)?;
        let request = SubmitRequest {
            envelope: Some(STANDARD.encode(envelope)),
            certificates: self.certificates.clone(),
            rendering: None,
        };
        Ok((task_id(&claims.issuer, &claims.nonce), request))
    }
}

async fn watch(mut feed: async_nats::Subscriber, watched: Arc<Mutex<BTreeMap<TaskId, Seen>>>) {
    while let Some(message) = feed.next().await {
        let at = Instant::now();
        let Ok(event) = serde_json::from_slice::<FeedEvent>(&message.payload) else { continue };
        let Ok(event) = serde_json::from_str::<SchedulerEvent>(event.event.get()) else { continue };
        let watched = watched.lock().expect("nobody panics with it");
        if let Some(seen) = watched.get(event.task()) {
            // The one who asked may have given up.
            drop(seen.send((at, event)));
        }
    }
}
