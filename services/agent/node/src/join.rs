//! Coming in: from an invite line to a folder with keys, credentials and settings of a node.
//!
//! Every step leaves its result on disk before the next begins, and finds there what it has done
//! before; so a join that was killed anywhere is finished by running it again with the same line.
//!
//! **Invariant:** keys are made here and on disk before anything is sent; no secret half leaves.
//! **Invariant:** nothing that the registry gives is kept before the pinned root vouched for it.

mod error;
mod keys;
mod line;
mod person;
mod place;
mod redeem;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use schemas::{
    Capability, PrincipalId, enrolment::Membership, manifest::PrincipalPattern,
    principal::PrincipalKind,
};

pub use error::JoinError;
use keys::Keys;
pub use line::{InvalidLine, InviteLine, RootKey};
pub use person::{JoinedPerson, join_as_person};
use place::{Place, SETTINGS};
use redeem::{Way, credentials};

use crate::{
    NodeConfig,
    config::{ManifestSource, plain_manifest},
};

const KEYS: &str = "keys";
const ANCHORS: &str = "anchors.json";
const CA: &str = "ca.pem";
const CERTIFICATES: &str = "issuer.certs";
const LOGIN: &str = "login.creds";
const RENEWAL: &str = "renewal.creds";
const STATE: &str = "state";

/// Where the node will live, and what it shall say about itself.
#[derive(Clone, Debug, Default)]
pub struct JoinOptions {
    /// The folder of keys, credentials, settings and state; made when it is missing.
    pub home: PathBuf,
    /// For people; the node's id when absent.
    pub name: Option<String>,
    /// What it can do; `shell.exec` when empty. The invite may allow less.
    pub capabilities: Vec<Capability>,
    /// What tasks can ask for.
    pub labels: BTreeMap<String, String>,
    /// Who may task it besides its owner.
    pub accepts_tasks_from: Vec<PrincipalPattern>,
    /// Whom its runs may ask for tasks, where they were granted to.
    pub can_task: Vec<PrincipalPattern>,
    /// Runs at the same time; the number of processors when absent.
    pub slots: Option<u32>,
}

/// How far a join has come; each is told after it is on disk or done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JoinStep {
    /// The folder is this invite's.
    Reserved,
    /// The node has its keys.
    KeysMade,
    /// The broker let the invite in.
    Connected,
    /// The registry has certified the keys.
    Redeemed,
    /// What the registry gave is on disk.
    MembershipKept,
    /// Credentials, certificates and anchors are on disk.
    FilesWritten,
    /// The node has logged in as itself.
    Confirmed,
    /// The settings are on disk: the node can be started.
    Configured,
}

impl JoinStep {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Reserved,
        Self::KeysMade,
        Self::Connected,
        Self::Redeemed,
        Self::MembershipKept,
        Self::FilesWritten,
        Self::Confirmed,
        Self::Configured,
    ];
}

impl fmt::Display for JoinStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reserved => "the folder is ready",
            Self::KeysMade => "this machine has its keys",
            Self::Connected => "the cluster answers",
            Self::Redeemed => "the invite is redeemed",
            Self::MembershipKept => "the membership is on disk",
            Self::FilesWritten => "credentials and certificates are on disk",
            Self::Confirmed => "this machine has logged in as itself",
            Self::Configured => "the settings are on disk",
        })
    }
}

/// A machine that has come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Who it is.
    pub principal: PrincipalId,
    /// What every signature is bound to.
    pub cluster: String,
    /// The settings that `cortex agent run --config` takes.
    pub settings: PathBuf,
    /// Whether it had come in before this.
    pub was_complete: bool,
}

/// Comes in with an invite line; with the same line again it goes on where it was.
///
/// # Errors
///
/// See [`JoinError`], which says what to do. Whatever was done stays on disk for the next attempt.
pub async fn join(
    line: &str,
    options: &JoinOptions,
    progress: &mut (dyn FnMut(JoinStep) + Send),
) -> Result<Joined, JoinError> {
    let line = InviteLine::parse(line).map_err(JoinError::Line)?;
    if line.kind != PrincipalKind::Agent {
        return Err(JoinError::NotAnAgent { principal: line.principal });
    }
    let place = Place::take(&options.home, &line)?;
    progress(JoinStep::Reserved);
    let mut joined = Joined {
        principal: line.principal.clone(),
        cluster: line.cluster.clone(),
        settings: place.path(SETTINGS),
        was_complete: place.is_complete(),
    };
    if joined.was_complete {
        return Ok(joined);
    }
    let way = Way::new(&line, &place)?;
    check_options(&way, options)?;
    let membership = come_in(&way, progress).await?;
    place.write(SETTINGS, settings(&way, &membership, options)?.as_bytes())?;
    progress(JoinStep::Configured);
    joined.was_complete = false;
    Ok(joined)
}

/// All steps that are the same for everybody.
async fn come_in(
    way: &Way<'_>,
    progress: &mut (dyn FnMut(JoinStep) + Send),
) -> Result<Membership, JoinError> {
    let keys = Keys::make(&way.place.path(KEYS), way.line.kind)?;
    progress(JoinStep::KeysMade);
    write_ca(way)?;
    let membership = become_member(way, &keys, progress).await?;
    write_files(way, &membership, &keys)?;
    progress(JoinStep::FilesWritten);
    Box::pin(way.confirm(&membership, &keys)).await?;
    progress(JoinStep::Confirmed);
    Ok(membership)
}

/// What the registry gave, now or in an earlier attempt.
async fn become_member(
    way: &Way<'_>,
    keys: &Keys,
    progress: &mut (dyn FnMut(JoinStep) + Send),
) -> Result<Membership, JoinError> {
    if let Some(membership) = way.place.membership()? {
        return Ok(membership);
    }
    let client = Box::pin(way.connect_as_invited()).await?;
    progress(JoinStep::Connected);
    let membership = way.redeem(&client, keys).await;
    client.close().await;
    let membership = membership?;
    progress(JoinStep::Redeemed);
    way.check(&membership, keys)?;
    way.place.keep_membership(&membership)?;
    progress(JoinStep::MembershipKept);
    Ok(membership)
}

fn write_ca(way: &Way<'_>) -> Result<(), JoinError> {
    way.line.ca.as_ref().map_or(Ok(()), |ca| way.place.write(CA, ca.as_bytes()))
}

fn write_files(way: &Way<'_>, membership: &Membership, keys: &Keys) -> Result<(), JoinError> {
    let (login, renewal) = credentials(membership, &keys.login)?;
    let place = way.place;
    place.write(ANCHORS, way.anchors.to_file().as_bytes())?;
    place.write(CERTIFICATES, crate::membership::lines(&membership.certificates).as_bytes())?;
    place.write(RENEWAL, renewal.to_file().as_bytes())?;
    place.write(LOGIN, login.to_file().as_bytes())
}

/// Refuses what could not be started before an invite is spent on it.
fn check_options(way: &Way<'_>, options: &JoinOptions) -> Result<(), JoinError> {
    let settings = config(way, way.line.principal.clone(), options);
    settings.check().map_err(JoinError::Settings)?;
    settings.manifest().map(drop).map_err(JoinError::Settings)
}

fn settings(
    way: &Way<'_>,
    membership: &Membership,
    options: &JoinOptions,
) -> Result<String, JoinError> {
    let config = config(way, membership.owner.clone(), options);
    let damaged = |error: toml::ser::Error| JoinError::Damaged {
        path: way.place.path(SETTINGS),
        problem: error.to_string(),
    };
    toml::to_string(&config).map_err(damaged)
}

/// Paths are relative to the folder, so that it can be moved.
fn config(way: &Way<'_>, owner: PrincipalId, options: &JoinOptions) -> NodeConfig {
    let path = |name: &str| PathBuf::from(name);
    let id = way.line.principal.clone();
    let mut manifest = plain_manifest(id.clone());
    if let Some(name) = &options.name {
        manifest.name.clone_from(name);
    }
    if !options.capabilities.is_empty() {
        manifest.capabilities.tools.clone_from(&options.capabilities);
    }
    manifest.labels.clone_from(&options.labels);
    manifest.accepts_tasks_from.clone_from(&options.accepts_tasks_from);
    manifest.can_task.clone_from(&options.can_task);
    let url = way.line.url.clone();
    NodeConfig {
        cluster: Some(way.line.cluster.clone()),
        owner: Some(owner),
        slots: options.slots,
        ca: way.line.ca.as_ref().map(|_| path(CA)),
        creds: Some(path(LOGIN)),
        renewal_credentials: Some(path(RENEWAL)),
        issuer_key: Some(Path::new(KEYS).join(keys::ISSUER)),
        certificates: Some(path(CERTIFICATES)),
        manifest: Some(ManifestSource::Inline(Box::new(manifest))),
        ..NodeConfig::new(id, url, path(STATE), path(ANCHORS))
    }
}
