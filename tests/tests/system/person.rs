//! The person who ran `cortex up`: connects as they do, without the command line between.

use anyhow::Result;
use client::{Client, ConnectOptions, Credentials};
use cortex_tests::{Installation, Login};
use schemas::PrincipalId;

/// Connects as the person.
pub(crate) async fn client(installation: &Installation) -> Result<Client> {
    let Login { url, principal, creds, .. } = installation.login()?;
    let mut options = ConnectOptions::new(url, PrincipalId::parse(&principal)?);
    options.credentials = Credentials::CredsFile(creds);
    Ok(Client::connect(options).await?)
}
