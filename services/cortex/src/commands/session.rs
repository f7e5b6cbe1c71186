//! What a command that talks to Cortex starts from: who asks whom, and how the answer is printed.

use std::time::Duration;

use client::Client;
use schemas::{ErrorCode, Fault, PrincipalId};
use tokio::time::{Instant, sleep};

use super::login;
pub(crate) use crate::clock::now;
use crate::{
    authority::look,
    cli::Globals,
    clock::now_s,
    context::{Context, Contexts, LOCAL},
    home::Home,
    output::Printer,
    up::record::{Record, is_running},
};

/// How long a broker that is supervised here may take to come back.
const RESTART_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether a login that has ended was renewed.
const RENEWAL_LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A command's surroundings.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) home: Home,
    pub(crate) context: Context,
    pub(crate) printer: Printer,
}

impl Session {
    /// Reads the context that is named, selected, or made by `cortex up`.
    pub(crate) fn open(globals: &Globals) -> Result<Self, Fault> {
        let home = Home::from_environment()?;
        let context = choose(&home, globals)?;
        Ok(Self { home, context, printer: super::printer(globals) })
    }

    /// Connects as the context says.
    pub(crate) async fn connect(&self) -> Result<Client, Fault> {
        connect(&self.home, &self.context).await
    }
}

/// Connects. Whoever types a command does not want to wait for a broker that is not there, but for one
/// that this machine's supervisor is just starting again.
pub(crate) async fn connect(home: &Home, context: &Context) -> Result<Client, Fault> {
    login::freshen(context).await?;
    let mut options = context.connect_options();
    options.name = format!("cortex-cli-{}", context.principal);
    let mut patience = Duration::ZERO;
    if is_supervised(home, context)? {
        patience = RESTART_PATIENCE;
        until_renewed(context, patience).await?;
    }
    options.connect_within = Some(patience);
    Client::connect(options).await.map_err(|error| error.to_fault())
}

/// Waits for a login that has ended while the machine slept: its supervisor awakes as we do, and
/// renews it first of all.
async fn until_renewed(context: &Context, patience: Duration) -> Result<(), Fault> {
    let Some(path) = &context.creds else { return Ok(()) };
    let until = Instant::now() + patience;
    while look(path)?.and_then(|login| login.expires_at_s).is_some_and(|end_s| end_s <= now_s())
        && Instant::now() < until
    {
        sleep(RENEWAL_LOOK_INTERVAL).await;
    }
    Ok(())
}

/// Whether this machine's supervisor keeps the broker of the context running.
fn is_supervised(home: &Home, context: &Context) -> Result<bool, Fault> {
    let record = Record::read(home)?;
    Ok(record.is_some_and(|it| it.url == context.url) && is_running(home))
}

fn choose(home: &Home, globals: &Globals) -> Result<Context, Fault> {
    let contexts = Contexts::new(home);
    let name = match &globals.context {
        Some(name) => Some(name.clone()),
        None => match contexts.selected()? {
            Some(name) => Some(name),
            None => contexts.names()?.into_iter().find(|name| name == LOCAL),
        },
    };
    let mut context = match (name, &globals.url, &globals.principal) {
        (Some(name), _, _) => contexts.read(&name)?,
        (None, Some(url), Some(principal)) => Context::new(url, principal.clone()),
        (None, Some(_), None) => {
            return Err(Fault::new(ErrorCode::ConfigInvalid, "--url without a context needs --as"));
        }
        (None, None, _) => {
            return Err(Fault::new(ErrorCode::NotRunning, "there is no context yet").with_hint(
                "start Cortex here with `cortex up`, or name one with `cortex ctx add`",
            ));
        }
    };
    if let Some(url) = &globals.url {
        context.url.clone_from(url);
    }
    if let Some(principal) = &globals.principal {
        context.principal = PrincipalId::clone(principal);
    }
    Ok(context)
}
