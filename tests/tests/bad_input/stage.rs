//! One installation for all suites, what is asked of it, and what must be true of every refusal.
//!
//! **Invariant:** one test at a time, so that what a check finds in the logs is its own doing.

use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::jetstream;
use async_nats::{ConnectErrorKind, HeaderMap, Message};
use cortex_tests::{CommandOutput, Installation, Login, eventually_some};
use futures::StreamExt as _;
use schemas::subject::{LogName, ServiceName};
use schemas::{ErrorCode, Fault, PrincipalId, strict};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use crate::{anybody, cose, people::People};

/// Nothing here should take nearly as long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// Who asks when a test does not say who; nobody else here has this name.
pub(crate) const ASKER: &str = "mallory";

/// Started by the first test that needs it, and ended by the last.
static INSTALLATION: Mutex<Weak<House>> = Mutex::const_new(Weak::new());
static TURN: Mutex<()> = Mutex::const_new(());

/// The installation, its people, and a folder in which its runs may write.
pub(crate) struct House {
    installation: Installation,
    pub(crate) people: People,
    shared: TempDir,
}

impl House {
    async fn open() -> Result<Self> {
        let shared = tempfile::tempdir()?;
        let share = ["--share".as_ref(), shared.path().as_os_str()];
        let installation = Installation::start_with(&share).await?;
        let people = People::enrol(&installation).await?;
        anybody::admit(&installation).await?;
        Ok(Self { installation, people, shared })
    }

    /// A new folder that runs find at the same path.
    pub(crate) fn folder(&self) -> Result<TempDir> {
        Ok(tempfile::tempdir_in(self.shared.path())?)
    }
}

impl Deref for House {
    type Target = Installation;
    fn deref(&self) -> &Installation {
        &self.installation
    }
}

/// The installation, for as long as it is this test's turn; `nats` may speak as anybody.
pub(crate) struct Stage {
    pub(crate) cortex: Arc<House>,
    pub(crate) nats: async_nats::Client,
    pub(crate) login: Login,
    _turn: MutexGuard<'static, ()>,
}

/// Something that is asked of a service.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    subject: String,
    principal: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// How it must be refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) says: &'static str,
    pub(crate) hint: &'static str,
}

/// A refusal with the hint that all refusals of its code have.
pub(crate) fn no(code: ErrorCode, says: &'static str) -> Refusal {
    Refusal { code, says, hint: code.hint() }
}

impl Refusal {
    pub(crate) fn with_hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }
}

pub(crate) fn registry(verb: &str, body: impl AsRef<[u8]>) -> Ask {
    Ask::new(&format!("cortex.cmd.{ASKER}.registry.{verb}"), body)
}

pub(crate) fn scheduler(verb: &str, body: impl AsRef<[u8]>) -> Ask {
    Ask::new(&format!("cortex.cmd.{ASKER}.scheduler.{verb}"), body)
}

impl Ask {
    pub(crate) fn new(subject: &str, body: impl AsRef<[u8]>) -> Self {
        let principal = subject.split('.').nth(2).unwrap_or_default().to_owned();
        let (subject, body) = (subject.to_owned(), body.as_ref().to_owned());
        Self { subject, principal, headers: Vec::new(), body }
    }

    pub(crate) fn by(mut self, principal: &str) -> Self {
        self.subject = self.subject.replacen(&self.principal, principal, 1);
        principal.clone_into(&mut self.principal);
        self
    }

    /// Where whoever asks may be answered; somebody who is no principal, anywhere.
    fn inbox(&self) -> String {
        let whose = PrincipalId::parse(&self.principal);
        let whose = whose.as_ref().map_or("nobody", PrincipalId::as_str);
        format!("_INBOX.{whose}.{:016x}", rand::random::<u64>())
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

async fn house() -> Result<Arc<House>> {
    let mut slot = INSTALLATION.lock().await;
    let cortex = match slot.upgrade() {
        Some(cortex) => cortex,
        None => Arc::new(House::open().await?),
    };
    *slot = Arc::downgrade(&cortex);
    Ok(cortex)
}

/// A connection that may speak as anybody; nothing when the registry's account has replaced the one
/// that admits it, which is pushed again then.
async fn anybody(cortex: &Installation) -> Result<Option<async_nats::Client>> {
    let creds = anybody::creds(cortex)?;
    let options = async_nats::ConnectOptions::with_credentials(&creds.to_file())?;
    match options.connect(cortex.url()?).await {
        Ok(nats) => Ok(Some(nats)),
        Err(error) if error.kind() == ConnectErrorKind::AuthorizationViolation => {
            anybody::admit(cortex).await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

impl Stage {
    /// Waits for this test's turn.
    pub(crate) async fn enter() -> Result<Self> {
        // Held while waiting for the turn, so that whoever is next keeps it running.
        let cortex = house().await?;
        let turn = TURN.lock().await;
        let login = cortex.login()?;
        let nats = eventually_some(DEADLINE, || async { anybody(&cortex).await.transpose() });
        let nats = nats.await??;
        Ok(Self { cortex, nats, login, _turn: turn })
    }

    /// The body of a submission with all certificates that a signature of theirs could need.
    pub(crate) fn submission(&self, login: &Login, envelope: &[u8]) -> Result<String> {
        Ok(cose::submission(envelope, &cose::certificates(&self.cortex, login)?))
    }

    /// Runs `cortex`.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<CommandOutput> {
        self.cortex.cortex(arguments).await
    }

    /// Sends a request as it is and returns whatever comes back.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Message> {
        let mut headers = HeaderMap::new();
        for (name, value) in &ask.headers {
            headers.append(*name, value.as_str());
        }
        let inbox = ask.inbox();
        let mut answers = self.nats.subscribe(inbox.clone()).await?;
        let (subject, body) = (ask.subject.clone(), ask.body.clone().into());
        self.nats.publish_with_reply_and_headers(subject, inbox, headers, body).await?;
        let answer = timeout(DEADLINE, answers.next()).await;
        answer.ok().flatten().with_context(|| format!("no answer to {ask:?}"))
    }

    /// The answer to what must be granted.
    pub(crate) async fn granted(&self, ask: &Ask) -> Result<Value> {
        let answer = self.send(ask).await?;
        let text = String::from_utf8_lossy(&answer.payload).into_owned();
        ensure!(header(&answer, "Nats-Service-Error").is_empty(), "{ask:?} is refused: {text}");
        serde_json::from_str(&text).with_context(|| format!("reading {text}"))
    }

    /// A good request to each service is served.
    pub(crate) async fn still_serves(&self) -> Result<()> {
        self.granted(&registry("get-agents", r#"{"limit":1}"#)).await?;
        self.granted(&scheduler("get-tasks", r#"{"limit":1}"#)).await?;
        Ok(())
    }

    /// The last sequence of each log.
    pub(crate) async fn heads(&self) -> Result<[u64; 2]> {
        let [registry, scheduler] = ServiceName::ALL;
        Ok([self.head(registry).await?, self.head(scheduler).await?])
    }

    async fn head(&self, service: ServiceName) -> Result<u64> {
        let streams = jetstream::new(self.nats.clone());
        let stream = streams.get_stream(LogName::first(service).stream()).await?;
        Ok(stream.cached_info().state.last_sequence)
    }

    /// What `principal` has brought into the logs since they ended at `heads`. What the services
    /// decide by themselves, such as that somebody went silent, is no matter of this.
    pub(crate) async fn recorded(&self, heads: [u64; 2], principal: &str) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        for (service, head) in ServiceName::ALL.into_iter().zip(heads) {
            let stream = LogName::first(service).stream();
            let stream = jetstream::new(self.nats.clone()).get_stream(stream).await?;
            for sequence in head + 1..=stream.cached_info().state.last_sequence {
                let frame = stream.get_raw_message(sequence).await?;
                let frame: Value = serde_json::from_slice(&frame.payload)?;
                let decisions = frame["decisions"].as_array().cloned().unwrap_or_default();
                found.extend(decisions.into_iter().filter(|it| it["principal"] == principal));
            }
        }
        Ok(found)
    }
}

/// The one check of this promise over NATS: `ask` is refused as expected, in headers and body;
/// nothing of it is in the logs; and both services go on.
pub(crate) async fn check(stage: &Stage, ask: Ask, expected: Refusal) -> Result<Fault> {
    let Refusal { code, says, hint } = expected;
    let heads = stage.heads().await?;
    let answer = stage.send(&ask).await?;
    let text = String::from_utf8_lossy(&answer.payload).into_owned();
    let shown = format!("{} {}", ask.subject, String::from_utf8_lossy(&ask.body));
    let shown: String = shown.chars().take(300).collect();
    let fault: Fault = strict::parse(&answer.payload)
        .with_context(|| format!("{shown}\nexpected {code}, got {text}"))?;
    ensure!(fault.code == code, "{shown}\nexpected {code}, got {fault}");
    ensure!(fault.message.contains(says), "{shown}\nexpected {says:?} in {fault}");
    ensure!(fault.hint == hint, "{shown}\nexpected hint {hint:?}, got {:?}", fault.hint);
    ensure!(!fault.message.contains(char::is_control), "{shown}\ncontrol characters in {fault:?}");
    let (error, number) =
        (header(&answer, "Nats-Service-Error"), header(&answer, "Nats-Service-Error-Code"));
    ensure!(error.starts_with(&format!("{code}: ")), "{shown}\nheader {error:?} for {code}");
    ensure!(number == code.class().status().to_string(), "{shown}\nheader {number:?} for {code}");
    let recorded = stage.recorded(heads, &ask.principal).await?;
    ensure!(recorded.is_empty(), "{shown}\nrefused, and yet recorded: {recorded:?}");
    stage.still_serves().await.with_context(|| format!("after {shown}"))?;
    Ok(fault)
}

/// Otherwise it would prove nothing that a check finds nothing.
#[tokio::test]
async fn what_is_granted_is_found_in_the_logs() -> Result<()> {
    let stage = Stage::enter().await?;
    let heads = stage.heads().await?;
    let register = registry("register", registration("found").to_string());
    stage.granted(&register).await?;
    let recorded = stage.recorded(heads, ASKER).await?;
    ensure!(recorded.len() == 1 && recorded[0]["command"] == "register", "{recorded:?}");
    let later = stage.heads().await?;
    ensure!(stage.recorded(later, ASKER).await?.is_empty(), "{later:?}");
    let refused = check(&stage, register, no(ErrorCode::AgentIdTaken, "")).await;
    ensure!(refused.is_err(), "a check passes on what is granted");
    Ok(())
}

/// A header's text; nothing when it is absent.
pub(crate) fn header(message: &Message, name: &str) -> String {
    let value = message.headers.as_ref().and_then(|headers| headers.get(name));
    value.map(|value| value.as_str().to_owned()).unwrap_or_default()
}

/// A registration that is accepted.
pub(crate) fn registration(id: &str) -> Value {
    json!({ "manifest": { "id": id, "name": id, "role": "worker" } })
}
