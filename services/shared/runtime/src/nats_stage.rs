//! The stage on NATS: requests by the responder, beats and the live feed on core subjects.

use std::{convert::Infallible, sync::Arc, time::Duration};

use client::{Client, IncomingRequest, Responder, ServiceInfo};
use futures::StreamExt as _;
use schemas::{
    ErrorCode, Fault, InstanceId,
    feed::{FeedEvent, HeadNotice},
    subject::{self, LogName},
};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};

use crate::{
    Beat, Committed, Lines, ObservationOf, Service, Stage, admin::Admin, clock::wall_clock_ms,
    door, feed::feed_events,
};

/// How long a writer is asked whether it lives.
const ASK_WRITER: Duration = Duration::from_secs(1);
/// Committed frames that may wait for the live feed, 64 MiB at most; what is over is dropped, as
/// the feed may.
const FEED_MAX: usize = 256;
/// Beats that may wait to be sent.
const BEATS_MAX: usize = 4;

/// A process's connection as the surroundings of its part in a partition.
pub(crate) struct NatsStage<S: Service> {
    client: Client,
    service: Arc<S>,
    admin: Admin<S>,
    name: LogName,
    instance: InstanceId,
    beats: Mutex<async_nats::Subscriber>,
    feed: mpsc::Sender<Committed>,
    beats_out: mpsc::Sender<Beat>,
    unanswered: Unanswered,
    _senders: JoinSet<()>,
}

/// Everything that takes requests and observations; ends when dropped. Answers that are under way
/// then are still given: what they wait for is decided, or told to be not.
pub(crate) struct NatsServing {
    _pumps: JoinSet<()>,
}

/// Held by whatever still has something to answer.
type Unanswered = mpsc::Sender<Infallible>;

impl<S: Service> NatsStage<S> {
    /// Listens for beats, and gets ready to announce what is committed. The receiver ends when the
    /// stage is dropped and all requests are answered.
    ///
    /// # Errors
    ///
    /// `UNREACHABLE` when the connection is closed.
    pub(crate) async fn open(
        client: Client,
        service: Arc<S>,
        admin: Admin<S>,
        (name, instance): (LogName, InstanceId),
    ) -> Result<(Self, mpsc::Receiver<Infallible>), Fault> {
        let beats = subscribe(&client, subject::writer_beat(name.service, name.partition)).await?;
        let (feed, feed_due) = mpsc::channel(FEED_MAX);
        let (beats_out, beats_due) = mpsc::channel(BEATS_MAX);
        let mut senders = JoinSet::new();
        senders.spawn(send_feed::<S>(client.clone(), name, feed_due));
        senders.spawn(send_beats(client.clone(), name, beats_due));
        let (unanswered, all_answered) = mpsc::channel(1);
        let stage = Self {
            client,
            service,
            admin,
            name,
            instance,
            beats: Mutex::new(beats),
            feed,
            beats_out,
            unanswered,
            _senders: senders,
        };
        Ok((stage, all_answered))
    }
}

impl<S: Service> Stage<S> for NatsStage<S> {
    type Serving = NatsServing;

    fn connected(&self) -> bool {
        self.client.connected()
    }

    fn beat(&self, beat: &Beat) {
        // A beat that finds no room is late already; the next one comes soon.
        drop(self.beats_out.try_send(beat.clone()));
    }

    async fn next_beat(&self, within: Duration) -> Option<Beat> {
        let mut beats = self.beats.lock().await;
        let others = async {
            while let Some(message) = beats.next().await {
                match serde_json::from_slice::<Beat>(&message.payload) {
                    Ok(beat) if beat.instance != self.instance => return Some(beat),
                    Ok(_) | Err(_) => (),
                }
            }
            None
        };
        tokio::time::timeout(within, others).await.ok().flatten()
    }

    async fn somebody_writes(&self) -> bool {
        let subject = subject::writer(self.name.service, self.name.partition);
        let asking = self.client.nats().request(subject, bytes::Bytes::new());
        match tokio::time::timeout(ASK_WRITER, asking).await {
            Ok(Err(error)) => error.kind() != async_nats::RequestErrorKind::NoResponders,
            Ok(Ok(_)) | Err(_) => true,
        }
    }

    async fn serve(&self, lines: Lines<S>, beat: Beat) -> Result<NatsServing, Fault> {
        let mut pumps = JoinSet::new();
        for heard in S::HEARS {
            let messages = subscribe(&self.client, (*heard).to_owned()).await?;
            let observations = lines.observations.clone();
            pumps.spawn(hear(Arc::clone(&self.service), messages, observations));
        }
        let info = ServiceInfo {
            name: S::NAME,
            instance: self.instance.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: format!("Cortex {}", S::NAME),
            verbs: S::VERBS,
            queue_group: self.instance.to_string(),
        };
        let responder = Responder::serve(self.client.nats(), info).await;
        let responder =
            responder.map_err(|error| Fault::new(ErrorCode::Unreachable, error.to_string()))?;
        let desk = Desk {
            service: Arc::clone(&self.service),
            admin: self.admin.clone(),
            lines,
            unanswered: self.unanswered.clone(),
        };
        pumps.spawn(desk.take_requests(responder));
        let asked = subject::writer(self.name.service, self.name.partition);
        let questions = subscribe(&self.client, asked).await?;
        pumps.spawn(answer_who_writes(self.client.clone(), questions, beat));
        Ok(NatsServing { _pumps: pumps })
    }

    fn announce(&self, committed: &Committed) {
        // The feed may lose: whoever must not miss anything reads `events`.
        drop(self.feed.try_send(committed.clone()));
    }
}

async fn subscribe(client: &Client, subject: String) -> Result<async_nats::Subscriber, Fault> {
    let failed = |error: async_nats::SubscribeError| {
        Fault::new(ErrorCode::Unreachable, format!("subscribing failed: {error}"))
    };
    client.nats().subscribe(subject).await.map_err(failed)
}

async fn hear<S: Service>(
    service: Arc<S>,
    mut messages: async_nats::Subscriber,
    observations: mpsc::Sender<ObservationOf<S>>,
) {
    while let Some(message) = messages.next().await {
        match service.hear(&message.subject, &message.payload, wall_clock_ms()) {
            Ok(observation) => {
                if observations.send(observation).await.is_err() {
                    return;
                }
            }
            Err(fault) => {
                tracing::warn!(subject = %message.subject, %fault, "what was heard makes no sense");
            }
        }
    }
}

/// Where requests are taken in.
struct Desk<S: Service> {
    service: Arc<S>,
    admin: Admin<S>,
    lines: Lines<S>,
    unanswered: Unanswered,
}

impl<S: Service> Desk<S> {
    async fn take_requests(self, mut responder: Responder) {
        while let Some(request) = responder.recv().await {
            self.take(request).await;
        }
    }

    async fn take(&self, request: IncomingRequest) {
        let unanswered = self.unanswered.clone();
        if let Some(answer) = self.admin.answers(&request, &self.lines) {
            tokio::spawn(async move {
                request.respond(answer.await);
                drop(unanswered);
            });
            return;
        }
        match door::knock(&*self.service, &request, &self.lines).await {
            Ok(answer) => {
                let service = Arc::clone(&self.service);
                tokio::spawn(async move {
                    let said = door::wait(&*service, answer).await;
                    request.respond(said);
                    drop(unanswered);
                });
            }
            Err(fault) => request.respond(Err(fault)),
        }
    }
}

async fn answer_who_writes(client: Client, mut questions: async_nats::Subscriber, beat: Beat) {
    let answer = bytes::Bytes::from(encode(&beat));
    while let Some(question) = questions.next().await {
        if let Some(reply) = question.reply.filter(|reply| subject::is_inbox(reply)) {
            // Whoever asks will ask again.
            drop(client.nats().publish(reply, answer.clone()).await);
        }
    }
}

async fn send_beats(client: Client, name: LogName, mut due: mpsc::Receiver<Beat>) {
    let subject = subject::writer_beat(name.service, name.partition);
    while let Some(beat) = due.recv().await {
        send_if_connected(&client, subject.clone(), &beat).await;
    }
}

async fn send_feed<S: Service>(client: Client, name: LogName, mut due: mpsc::Receiver<Committed>) {
    while let Some(Committed { stored, frame }) = due.recv().await {
        match feed_events::<S>(&frame, stored.sequence, name) {
            Ok(events) => {
                for read in &events {
                    send_feed_event(&client, name, &read.shown).await;
                }
                if let Some(last) = events.last() {
                    let head = HeadNotice { cursor: last.shown.cursor };
                    send_if_connected(&client, subject::head(name.service), &head).await;
                }
            }
            Err(error) => tracing::error!(%error, "our own frame cannot be read"),
        }
    }
}

async fn send_feed_event(client: &Client, name: LogName, event: &FeedEvent) {
    let subject = subject::feed(name.service, &event.kind, &event.id);
    send_if_connected(client, subject, event).await;
}

/// For what may be lost: whoever must not miss anything reads `events`.
async fn send_if_connected(client: &Client, subject: String, message: &impl serde::Serialize) {
    if client.connected() {
        drop(client.nats().publish(subject, encode(message).into()).await);
    }
}

fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what is sent are plain structs with text keys")
}
