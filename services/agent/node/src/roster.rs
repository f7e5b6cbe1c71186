//! Gets the roster: when the node starts, when the registry says that there is a new one, after
//! every reconnect, and every minute; and keeps it on disk.
//!
//! **Invariant:** whether a roster is believed is decided in the core; here nothing but its form is
//! looked at.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use agent_core::{Input, ReceivedRoster};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::{Client, LinkState};
use futures::{Stream, StreamExt as _, stream};
use schemas::{
    ErrorCode, Fault, FaultClass,
    enrolment::{GetRosterRequest, SignedRoster},
    registry::verb,
    strict,
    subject::{ROSTER, ServiceName},
};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::sleep,
};

use crate::{
    heartbeat::{Complaint, Worry},
    incoming::{decode, decode_certificates},
    private,
};

/// How often the roster is asked for when nobody says that it changed.
const EVERY: Duration = Duration::from_secs(60);
/// Spread of that, so that not all nodes ask at once.
const EVERY_JITTER_MS: u64 = 15_000;
/// Longest wait after a notice, which all nodes hear at the same time, in milliseconds.
const NOTICE_JITTER_MS: u64 = 250;
/// How long one attempt may take with the client's own retries.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Pause after an attempt that nobody answered.
const PAUSE_UNANSWERED: Duration = Duration::from_secs(1);
/// Where the newest roster is kept, in the state folder.
const FILE: &str = "roster.json";

/// How what is heard of rosters reaches the node.
pub(crate) struct Ways {
    /// Told when the node wants one now.
    pub(crate) wanted: Arc<Notify>,
    /// Rosters.
    pub(crate) inputs: mpsc::UnboundedSender<Input>,
    /// What is wrong with getting or keeping them.
    pub(crate) worries: mpsc::UnboundedSender<(Worry, Complaint)>,
}

/// Follows the roster for as long as the node lives; `ready` is told of the first answer, whatever it
/// is.
pub(crate) fn follow(client: Client, ways: Ways, ready: oneshot::Sender<()>) {
    tokio::spawn(async move {
        let until = ways.inputs.clone();
        tokio::select! {
            () = keep_asking(&client, &ways, ready) => (),
            () = until.closed() => (),
        }
    });
}

async fn keep_asking(client: &Client, ways: &Ways, ready: oneshot::Sender<()>) {
    let mut ready = Some(ready);
    let mut changes = client.on_change();
    let mut notices = notices(client).await;
    loop {
        changes.borrow_and_update();
        let pause = match fetch(client).await {
            Ok(roster) => {
                drop(ways.inputs.send(Input::Roster(Box::new(roster))));
                ways.worry(None);
                EVERY + jitter(EVERY_JITTER_MS)
            }
            Err(fault) if is_unanswered(&fault) => {
                // The core complains when this lasts for too long.
                tracing::debug!(%fault, "no roster came");
                PAUSE_UNANSWERED + jitter(EVERY_JITTER_MS / 10)
            }
            Err(fault) => {
                tracing::warn!(%fault, "the registry gives no roster");
                ways.worry(Some(refused(&fault)));
                EVERY + jitter(EVERY_JITTER_MS)
            }
        };
        // A node that cannot be told who is out registers all the same, and says what is wrong.
        let answered = EVERY <= pause;
        if answered && let Some(ready) = ready.take() {
            let _unheard = ready.send(());
        }
        tokio::select! {
            () = sleep(pause) => (),
            () = ways.wanted.notified() => (),
            Some(()) = notices.next() => tokio::select! {
                () = sleep(jitter(NOTICE_JITTER_MS)) => (),
                () = ways.wanted.notified() => (),
            },
            connected = reconnected(&mut changes) => if !connected {
                return;
            },
        }
    }
}

/// Waits until the connection was lost and is back; false when it is closed for good.
async fn reconnected(changes: &mut watch::Receiver<LinkState>) -> bool {
    while changes.changed().await.is_ok() {
        if *changes.borrow_and_update() == LinkState::Connected {
            return true;
        }
    }
    false
}

fn refused(fault: &Fault) -> String {
    if fault.code == ErrorCode::UnknownVerb {
        "the control plane is older than this node and serves no roster, so nobody says which keys \
         are out; upgrade it"
            .to_owned()
    } else {
        format!("the registry gives no roster: {fault}")
    }
}

/// Whoever may not hear notices learns of changes within a minute.
async fn notices(client: &Client) -> stream::BoxStream<'static, ()> {
    match client.nats().subscribe(ROSTER).await {
        Ok(notices) => heard(notices).boxed(),
        Err(error) => {
            tracing::warn!(%error, "new rosters are not announced to this node");
            stream::pending().boxed()
        }
    }
}

fn heard<T>(notices: impl Stream<Item = T>) -> impl Stream<Item = ()> {
    notices.map(drop).chain(stream::pending())
}

async fn fetch(client: &Client) -> Result<ReceivedRoster, Fault> {
    let call = client.call(ServiceName::Registry, verb::GET_ROSTER).deadline(ATTEMPT);
    let roster: SignedRoster = call.send(&GetRosterRequest {}).await?;
    received(&roster)
}

fn received(roster: &SignedRoster) -> Result<ReceivedRoster, Fault> {
    Ok(ReceivedRoster {
        envelope: decode("roster", &roster.envelope)?,
        certificates: decode_certificates(&roster.certificates)?,
    })
}

/// Writes rosters to the state folder, in their order.
pub(crate) fn keep(
    state_dir: &Path,
    worries: mpsc::UnboundedSender<(Worry, Complaint)>,
) -> mpsc::UnboundedSender<Box<ReceivedRoster>> {
    let path = state_dir.join(FILE);
    let (rosters, mut heard) = mpsc::unbounded_channel::<Box<ReceivedRoster>>();
    tokio::spawn(async move {
        while let Some(roster) = heard.recv().await {
            let path = path.clone();
            let text = written(&roster);
            let kept = tokio::task::spawn_blocking(move || private::write(&path, &text)).await;
            let complaint = kept.map_err(io::Error::other).flatten().err().map(|error| {
                tracing::error!(%error, "the roster cannot be kept on disk");
                format!("the roster cannot be kept on disk: {error}")
            });
            drop(worries.send((Worry::RosterDisk, complaint)));
        }
    });
    rosters
}

fn written(roster: &ReceivedRoster) -> Vec<u8> {
    let signed = SignedRoster {
        envelope: STANDARD.encode(&roster.envelope),
        certificates: roster.certificates.iter().map(|it| STANDARD.encode(it)).collect(),
    };
    serde_json::to_vec(&signed).expect("a roster is a plain struct")
}

/// The roster that an earlier process start kept.
///
/// # Errors
///
/// When it is there and cannot be read; going on without it would forget who was out.
pub(crate) fn read(state_dir: &Path) -> Result<Option<ReceivedRoster>, (PathBuf, io::Error)> {
    let path = state_dir.join(FILE);
    let parse = |text: &str| {
        let signed: SignedRoster = strict::parse_within(text.as_bytes(), text.len())?;
        received(&signed)
    };
    match private::read(&path) {
        Ok(None) => Ok(None),
        Ok(Some(text)) => {
            parse(&text).map(Some).map_err(|fault| (path, io::Error::other(fault.to_string())))
        }
        Err(error) => Err((path, error)),
    }
}

impl Ways {
    fn worry(&self, complaint: Complaint) {
        drop(self.worries.send((Worry::Roster, complaint)));
    }
}

fn is_unanswered(fault: &Fault) -> bool {
    [FaultClass::Unavailable, FaultClass::TimedOut].contains(&fault.code.class())
}

fn jitter(most_ms: u64) -> Duration {
    Duration::from_millis(rand::random_range(0..=most_ms))
}
