//! Tells the broker which logins are out, until it has confirmed.
//!
//! **Invariant:** whatever was decided last is what is pushed; an older list never follows a newer.

use std::{collections::BTreeMap, time::Duration};

use client::{Client, ConnectError};
use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use trust::nats::{NkeyKind, PublicNkey};

use crate::Issuing;

/// Where a broker in operator mode takes the JWTs of accounts.
const UPDATE_SUBJECT: &str = "$SYS.REQ.CLAIMS.UPDATE";
/// How long the broker may take to confirm.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);
/// Shortest and longest pause before it is tried again.
const PAUSE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(5);

/// Logins that are out, and until which second what was signed for them is void; nothing before the
/// first effect of a term.
pub(crate) type Refused = Option<BTreeMap<String, u64>>;

/// Why the broker does not know yet.
#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error("connecting to the system account failed")]
    Connect(#[source] ConnectError),
    #[error("the broker did not answer within {CONFIRM_WITHIN:?}")]
    Silent,
    #[error("asking the broker failed: {0}")]
    Ask(String),
    #[error("the broker answered what is no answer to an update")]
    Unreadable(#[source] serde_json::Error),
    #[error("the broker refused the account: {0}")]
    Refused(String),
}

#[derive(Deserialize)]
struct Confirmation {
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Data {
    code: u16,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    description: String,
}

/// Pushes every new list, for as long as this process is the writer.
pub(crate) async fn keep_pushing(issuing: &Issuing, mut refused: watch::Receiver<Refused>) {
    let mut pusher = Pusher { issuing, client: None, issued_at_s: 0 };
    loop {
        let wanted = refused.borrow_and_update().clone();
        if let Some(wanted) = wanted {
            tokio::select! {
                () = pusher.push_until_confirmed(&wanted) => (),
                // There is a newer list: no use to go on with this one.
                changed = refused.changed() => if changed.is_err() { return } else { continue },
            }
        }
        if refused.changed().await.is_err() {
            return;
        }
    }
}

struct Pusher<'a> {
    issuing: &'a Issuing,
    client: Option<Client>,
    /// When the last account was signed: the broker takes no older one after it.
    issued_at_s: u64,
}

impl Pusher<'_> {
    async fn push_until_confirmed(&mut self, refused: &BTreeMap<String, u64>) {
        let mut pause = *PAUSE.start();
        while let Err(error) = self.push(refused).await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, "the broker does not know yet who is out");
            sleep(pause).await;
            pause = (pause * 2).min(*PAUSE.end());
        }
    }

    async fn push(&mut self, refused: &BTreeMap<String, u64>) -> Result<(), PushError> {
        let key = |(login, at_s): (&String, &u64)| {
            // A seat without a login has none that could be refused.
            PublicNkey::parse(NkeyKind::User, login).ok().map(|key| (key, *at_s))
        };
        let keys = refused.iter().filter_map(key).collect();
        self.issued_at_s = now_s().max(self.issued_at_s.saturating_add(1));
        let account = self.issuing.logins.account_jwt(&keys, self.issued_at_s);
        let client = self.client().await?;
        let body = account.as_str().to_owned().into();
        let asked = timeout(CONFIRM_WITHIN, client.nats().request(UPDATE_SUBJECT, body)).await;
        let answer = asked.map_err(|_| PushError::Silent)?;
        let answer = answer.map_err(|error| PushError::Ask(error.to_string()))?;
        confirmed(&answer.payload)?;
        tracing::info!(refused = keys.len(), "the broker knows who is out");
        Ok(())
    }

    async fn client(&mut self) -> Result<Client, PushError> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let connected = Client::connect(self.issuing.system.clone()).await;
        let client = connected.map_err(PushError::Connect)?;
        self.client = Some(client.clone());
        Ok(client)
    }
}

fn confirmed(answer: &[u8]) -> Result<(), PushError> {
    let answer: Confirmation = serde_json::from_slice(answer).map_err(PushError::Unreadable)?;
    if answer.data.is_some_and(|data| data.code == 200) {
        return Ok(());
    }
    let problem = answer.error.map(|error| error.description).unwrap_or_default();
    Err(PushError::Refused(problem))
}

fn now_s() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
