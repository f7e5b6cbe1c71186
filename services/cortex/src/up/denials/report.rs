//! Tells the registry what was gathered, in its own time.

use std::time::Duration;

use client::{Client, new_command_id};
use schemas::{
    Fault, FaultClass,
    registry::{ReportDenialsAnswer, ReportDenialsRequest, verb},
    subject::ServiceName,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{Denials, gather::number};
use crate::{context::Context, output::note, signals};

/// How long is gathered before it is told.
const PAUSE: Duration = Duration::from_secs(1);
/// How long is gathered at most, where something is forbidden all the time: what strangers try must
/// not fill the log.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long the registry may be away before what was gathered is only counted.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The wait before the next attempt.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Tells it again and again, and a last time when it is closed.
pub(super) async fn keep(denials: Denials, admin: Context, mut closed: watch::Receiver<bool>) {
    let mut pause = Duration::ZERO;
    loop {
        let open = tokio::select! {
            () = due(&denials, &mut pause) => true,
            () = signals::wait(&mut closed) => false,
        };
        if let Some(request) = denials.drain()
            && let Err(fault) = tell(&admin, &request).await
        {
            denials.lose(&request);
            let lost = number(&request);
            note(&format!("{lost} denials of the broker are not recorded: {fault}"));
        }
        if !open {
            return;
        }
    }
}

/// Waits for the next report: shortly after something was forbidden, but longer and longer while
/// that does not end.
async fn due(denials: &Denials, pause: &mut Duration) {
    let something = || denials.inner.something.notified();
    if timeout(*pause, something()).await.is_ok() {
        *pause = pause.saturating_mul(2).clamp(PAUSE, PAUSE_MAX);
    } else {
        *pause = PAUSE;
        something().await;
    }
    sleep(*pause).await;
}

/// Tells it until it is taken. One name for all attempts: it is recorded once.
async fn tell(admin: &Context, request: &ReportDenialsRequest) -> Result<(), Fault> {
    let (until, id) = (Instant::now() + PATIENCE, new_command_id());
    loop {
        let attempt = async {
            let client = connect(admin).await?;
            let call = client.call(ServiceName::Registry, verb::REPORT_DENIALS);
            let call = call.command_id(id.clone()).deadline(ATTEMPT);
            let told = call.send::<_, ReportDenialsAnswer>(request).await;
            client.close().await;
            told
        };
        match attempt.await {
            Ok(_) => return Ok(()),
            Err(fault) if passes(&fault) && Instant::now() < until => sleep(AGAIN_AFTER).await,
            Err(fault) => return Err(fault),
        }
    }
}

async fn connect(admin: &Context) -> Result<Client, Fault> {
    let mut options = admin.connect_options();
    options.name = "cortex-up-denials".to_owned();
    options.connect_within = Some(ATTEMPT);
    Client::connect(options).await.map_err(|error| error.to_fault())
}

/// Whether the next attempt may fare better.
fn passes(fault: &Fault) -> bool {
    match fault.code.class() {
        FaultClass::Unavailable | FaultClass::TimedOut => true,
        FaultClass::Invalid
        | FaultClass::NotFound
        | FaultClass::NotAllowed
        | FaultClass::Conflict
        | FaultClass::Denied
        | FaultClass::Broken => false,
    }
}
