//! Reaches the broker, and refuses one that could lose what it acknowledged.
//!
//! **Invariant:** a connection is renewed for ever, at intervals that spread; nobody reconnects in step.
//! **Invariant:** what cannot be learnt about a broker counts against it.

mod check;
mod version;

use std::{sync::Arc, time::Duration};

use async_nats::{Client, ConnectErrorKind, Event, ServerError};
use schemas::{ErrorCode, Fault};
use tracing::{info, warn};

use crate::backoff::entropy;

pub use self::check::{BrokerError, BrokerReport, DurabilityProof, ServerReport, check_broker};
pub use self::version::Version;

/// How often the broker is asked whether it lives, in milliseconds; two silent answers break the
/// connection, so a cable that was pulled is noticed in 15 s.
const PING_INTERVAL_MS: u64 = 5_000;
/// How long one attempt to connect may take, in milliseconds.
const CONNECT_TIMEOUT_MS: u64 = 5_000;
/// First wait before connecting again, in milliseconds.
const RECONNECT_FIRST_MS: u64 = 20;
/// Longest wait before connecting again, in milliseconds.
const RECONNECT_LONGEST_MS: u64 = 4_000;

/// How a connection shows who it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// The broker lets anybody in.
    #[default]
    None,
    /// A name and its password.
    UserPassword {
        /// The name.
        user: String,
        /// Its password.
        password: String,
    },
    /// A token.
    Token(String),
}

/// Where and as whom to connect.
#[derive(Clone)]
pub struct ConnectOptions {
    /// One or more `nats://host:port`, separated by commas.
    pub url: String,
    /// What the broker shows the connection as, for example `registry-9f86d081884c7d65`.
    pub name: String,
    /// Who it is.
    pub credentials: Credentials,
    /// Prefix of the subjects that answers arrive on, [`schemas::subject::INBOX_PREFIX`] for most.
    pub inbox_prefix: String,
}

/// What happens to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerEvent {
    /// It stands, or stands again.
    Connected,
    /// It is lost; it will be renewed.
    Disconnected,
    /// It was closed on purpose and is not renewed.
    Closed,
    /// The broker does not let this connection use a subject; the request concerned only times out.
    PermissionDenied(String),
    /// The broker does not take the credentials.
    LoginRefused,
    /// This process reads too slowly, and messages were dropped.
    TooSlow,
    /// The broker is about to shut down, or something else worth a line in the log.
    Notice(String),
}

/// The broker cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("connecting to {url} failed")]
pub struct ConnectError {
    url: String,
    #[source]
    cause: async_nats::ConnectError,
}

impl ConnectError {
    /// Whether the broker answered, and did not take the credentials; trying again is of no use.
    #[must_use]
    pub fn is_login_refused(&self) -> bool {
        match self.cause.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => true,
            ConnectErrorKind::ServerParse
            | ConnectErrorKind::Dns
            | ConnectErrorKind::TimedOut
            | ConnectErrorKind::Tls
            | ConnectErrorKind::Io
            | ConnectErrorKind::MaxReconnects => false,
        }
    }

    /// The error as users see it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let code = if self.is_login_refused() {
            ErrorCode::PermissionDenied
        } else {
            ErrorCode::Unreachable
        };
        Fault::new(code, format!("{self}: {}", self.cause))
    }
}

/// Connects once, and stays connected from then on. Whatever happens to the connection is logged and
/// told to `on_event`.
///
/// # Errors
///
/// When the first attempt fails.
pub async fn connect(
    options: ConnectOptions,
    on_event: impl Fn(BrokerEvent) + Send + Sync + 'static,
) -> Result<Client, ConnectError> {
    let on_event = Arc::new(on_event);
    let ConnectOptions { url, name, credentials, inbox_prefix } = options;
    let settings = match credentials {
        Credentials::None => async_nats::ConnectOptions::new(),
        Credentials::UserPassword { user, password } => {
            async_nats::ConnectOptions::with_user_and_password(user, password)
        }
        Credentials::Token(token) => async_nats::ConnectOptions::with_token(token),
    };
    let servers: Vec<String> = url.split(',').map(|part| part.trim().to_owned()).collect();
    let connected = settings
        .name(name)
        .custom_inbox_prefix(inbox_prefix)
        .ping_interval(Duration::from_millis(PING_INTERVAL_MS))
        .connection_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            let on_event = Arc::clone(&on_event);
            async move {
                let event = translate(event);
                record(&event);
                on_event(event);
            }
        })
        .connect(servers)
        .await;
    connected.map_err(|cause| ConnectError { url, cause })
}

/// Connects as [`connect`] does, however long it takes for the broker to appear.
///
/// # Errors
///
/// Only when the broker does not take the credentials.
pub async fn connect_patiently(
    options: ConnectOptions,
    on_event: impl Fn(BrokerEvent) + Clone + Send + Sync + 'static,
) -> Result<Client, ConnectError> {
    let mut attempt: usize = 0;
    loop {
        attempt = attempt.saturating_add(1);
        match connect(options.clone(), on_event.clone()).await {
            Err(error) if !error.is_login_refused() => {
                let (url, cause) = (&options.url, &error.cause);
                warn!(attempt, %cause, url, "the broker is not there yet");
                tokio::time::sleep(reconnect_delay(attempt)).await;
            }
            ended => return ended,
        }
    }
}

/// Doubles from attempt to attempt up to the limit, and takes a random part of the upper half.
fn reconnect_delay(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let ceiling_ms = (RECONNECT_FIRST_MS << doublings).min(RECONNECT_LONGEST_MS);
    Duration::from_millis(ceiling_ms / 2 + entropy() % (ceiling_ms / 2))
}

fn translate(event: Event) -> BrokerEvent {
    match event {
        Event::Connected => BrokerEvent::Connected,
        Event::Disconnected => BrokerEvent::Disconnected,
        Event::Closed => BrokerEvent::Closed,
        Event::SlowConsumer(_) | Event::ServerError(ServerError::SlowConsumer(_)) => {
            BrokerEvent::TooSlow
        }
        Event::ServerError(ServerError::AuthorizationViolation) => BrokerEvent::LoginRefused,
        Event::ServerError(ServerError::Other(text)) => {
            if text.to_ascii_lowercase().contains("permissions violation") {
                BrokerEvent::PermissionDenied(text)
            } else {
                BrokerEvent::Notice(text)
            }
        }
        Event::LameDuckMode => BrokerEvent::Notice("the broker is about to shut down".to_owned()),
        Event::Draining => BrokerEvent::Notice("draining".to_owned()),
        Event::ClientError(error) => BrokerEvent::Notice(error.to_string()),
    }
}

fn record(event: &BrokerEvent) {
    match event {
        BrokerEvent::Connected => info!("connected to the broker"),
        BrokerEvent::Disconnected => warn!("the connection to the broker is lost"),
        BrokerEvent::Closed => info!("the connection to the broker is closed"),
        BrokerEvent::PermissionDenied(text) => warn!(text, "the broker denies a subject"),
        BrokerEvent::LoginRefused => warn!("the broker refuses the login"),
        BrokerEvent::TooSlow => warn!("messages were dropped: they are read too slowly"),
        BrokerEvent::Notice(text) => info!(text, "the broker's client says"),
    }
}

#[cfg(test)]
mod tests;
