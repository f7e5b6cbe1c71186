//! Shows something again whenever it may have changed.

use std::time::Duration;

use client::{Client, StartAt};
use schemas::{Fault, subject::ServiceName};
use tokio::time::{sleep, timeout};

use super::Session;

/// What no event tells of, such as presence, is looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Events that come together are shown together.
const GATHER: Duration = Duration::from_millis(150);

/// Shows it once, or with `watch` again after every event of `service` until interrupted.
pub(crate) async fn shown(
    session: &Session,
    (client, service): (&Client, ServiceName),
    watch: bool,
    show: impl AsyncFn() -> Result<(), Fault>,
) -> Result<(), Fault> {
    if !watch {
        return show().await;
    }
    let mut events = client.events(service, StartAt::Head);
    loop {
        session.printer.clear()?;
        show().await?;
        match timeout(LOOK_INTERVAL, events.next()).await {
            Ok(Some(Err(fault))) => return Err(fault),
            Ok(Some(Ok(_)) | None) => {
                sleep(GATHER).await;
                while let Ok(Some(_)) = timeout(Duration::ZERO, events.next()).await {}
            }
            Err(_) => (),
        }
    }
}
