//! What is checked of keys, certificates and logins: that they count, and until when.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::Client;
use schemas::{
    ErrorCode, Fault, Timestamp,
    enrolment::{
        GetPrincipalsAnswer, GetPrincipalsRequest, GetRosterRequest, ROSTER_AGE_S_MAX, SignedRoster,
    },
    principal::Standing,
    registry::verb,
    subject::ServiceName::Registry,
};
use trust::{Purpose, Roster, Trust, TrustAnchors, Unverified};

use crate::{
    authority::look,
    clock::{now, now_s},
    commands::serve::chain,
    context::Context,
    files,
    home::Home,
    material::{Chain, certificates_path, load_key},
};

/// What ends sooner is worth a word, in seconds.
const SOON_S: u64 = 30 * 24 * 3600;
/// Most principals that are looked at.
const PRINCIPALS_MAX: u32 = 1000;

/// The keys that are trusted at the start.
pub(super) fn root(home: &Home) -> Result<String, Fault> {
    let Some(anchors) = anchors(home)? else {
        return Ok("none is pinned on this machine".to_owned());
    };
    let mut pinned = anchors.iter();
    let root = pinned.find(|anchor| anchor.key.purpose() == Purpose::Root).ok_or_else(|| {
        invalid("no root key is pinned").with_hint("`cortex up` or `cortex init` makes one")
    })?;
    let until = until(root.not_after_s)?;
    let others = anchors.iter().count() - 1;
    let more = if others == 0 { String::new() } else { format!("; {others} more keys are pinned") };
    let place = if home.keys().join("root.key").exists() { "kept here" } else { "kept apart" };
    Ok(format!("{} pinned, {until}, {place}{more}", root.key.id()))
}

/// The certificates beside each key of the home.
pub(super) fn certificates(home: &Home) -> Result<String, Fault> {
    let Some(anchors) = anchors(home)? else {
        return Ok("no keys are kept on this machine".to_owned());
    };
    let mut found = Vec::new();
    let entries = std::fs::read_dir(home.keys()).into_iter().flatten();
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths.iter().filter(|path| certificates_path(path).exists()) {
        if *path != certificates_path(path) {
            found.push(certified(path, &anchors)?);
        }
    }
    Ok(found.join("; "))
}

/// What the context's principal signs with.
pub(super) fn signing_key(context: &Context, home: &Home) -> Result<String, Fault> {
    let path = context.key.as_deref();
    let path = path.ok_or_else(|| invalid("the context has no key to sign requests with"))?;
    let key = load_key(path)?;
    let mut text = format!("{} in {}", key.public().id(), path.display());
    if let (Some(chain), Some(anchors)) = (&context.certificates, anchors(home)?) {
        let anchor = Chain::read(chain)?.vouches_for(key.public(), &anchors, now())?;
        text = format!("{text}, {}", until(anchor.not_after_s)?);
    }
    Ok(text)
}

fn certified(path: &Path, anchors: &TrustAnchors) -> Result<String, Fault> {
    let key = load_key(path)?;
    let chain = Chain::read(&certificates_path(path))?;
    let anchor = chain.vouches_for(key.public(), anchors, now()).map_err(|fault| {
        let message = format!("{}: {}", path.display(), fault.message);
        Fault::new(fault.code, message).with_hint("`cortex up` renews certificates when it starts")
    })?;
    let until = until(anchor.not_after_s)?;
    Ok(format!("{} {} {until}", anchor.principal, key.public().purpose()))
}

/// What everybody of this home logs in with, where `up` renews it.
pub(super) fn logins(home: &Home) -> Result<String, Fault> {
    let ends = ends_of_logins(home)?;
    let now_s = now_s();
    let texts = ends.iter().map(|(name, end_s)| {
        if *end_s <= now_s {
            return Err(invalid(format!("the login of {name} has ended"))
                .with_hint("`cortex up` renews it while it runs; `cortex status` tells whether"));
        }
        Ok(format!("{name} until {}", at(*end_s)))
    });
    let texts = texts.collect::<Result<Vec<_>, Fault>>()?;
    Ok(if texts.is_empty() { "none are made on this machine".to_owned() } else { texts.join("; ") })
}

/// Who logs in with files of this home, and until which second each counts.
pub(crate) fn ends_of_logins(home: &Home) -> Result<Vec<(String, u64)>, Fault> {
    let entries = std::fs::read_dir(home.creds_dir()).into_iter().flatten();
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let is_whole = |path: &&std::path::PathBuf| path.extension().is_some_and(|it| it == "creds");
    let mut ends = Vec::new();
    for path in paths.iter().filter(is_whole) {
        if let Some(summary) = look(path)? {
            ends.push((summary.name, summary.expires_at_s.unwrap_or(u64::MAX)));
        }
    }
    Ok(ends)
}

/// Whether the registry knows whoever was there first.
pub(super) async fn founders(client: &Client) -> Result<String, Fault> {
    let request = GetPrincipalsRequest { limit: Some(PRINCIPALS_MAX), ..Default::default() };
    let answer: GetPrincipalsAnswer =
        client.request(Registry, verb::GET_PRINCIPALS, &request).await?;
    let me = client.principal();
    let known = answer.principals.iter().find(|principal| principal.id == *me);
    let known = known.ok_or_else(|| {
        Fault::new(ErrorCode::PrincipalNotFound, format!("the registry does not know {me}"))
            .with_hint("it learns of the founders from `cortex up`; others are invited")
    })?;
    if known.standing != Standing::Active {
        return Err(Fault::new(ErrorCode::PrincipalOut, format!("{me} is {}", known.standing)));
    }
    let role = known.role.map(|role| format!(", {role}")).unwrap_or_default();
    Ok(format!("{} principals; {me} is active{role}", answer.principals.len()))
}

/// Whether the roster can be had, and is what the root vouches for.
pub(super) async fn roster(client: &Client, home: &Home) -> Result<String, Fault> {
    let request = GetRosterRequest::default();
    let signed: SignedRoster = client.request(Registry, verb::GET_ROSTER, &request).await?;
    let Some(mut anchors) = anchors(home)? else {
        return Ok("it can be had; no root is pinned here to check it with".to_owned());
    };
    let decode = |text: &String| STANDARD.decode(text).map_err(|error| invalid(error.to_string()));
    let certificates = signed.certificates.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    let now = now();
    anchors.admit(&certificates, now).map_err(|error| error.to_fault())?;
    let envelope = decode(&signed.envelope)?;
    let trust = Trust { anchors: &anchors, now };
    let roster = Unverified::new(&envelope)
        .verify::<Roster>(trust, &())
        .map_err(|error| Fault::new(error.code(), chain(&error)))?;
    let roster = roster.claims();
    if roster.issued_at_s.saturating_add(ROSTER_AGE_S_MAX) <= now.seconds() {
        let message = format!("the newest is of {}", at(roster.issued_at_s));
        return Err(Fault::new(ErrorCode::RosterStale, message));
    }
    Ok(format!("version {}, {} keys are out", roster.version, roster.revoked.len()))
}

fn anchors(home: &Home) -> Result<Option<TrustAnchors>, Fault> {
    let Some(text) = files::read_if_there(&home.anchors())? else { return Ok(None) };
    let anchors = TrustAnchors::from_file(&text);
    anchors.map(Some).map_err(|error| Fault::new(error.code(), chain(&error)))
}

/// How long something counts; a fault when it does not.
fn until(end_s: u64) -> Result<String, Fault> {
    let now_s = now_s();
    if end_s <= now_s {
        return Err(Fault::new(ErrorCode::KeyNotValid, format!("it ended at {}", at(end_s)))
            .with_hint("`cortex up` renews certificates; the root's own end needs a new home"));
    }
    let soon = if end_s - now_s < SOON_S { " (soon)" } else { "" };
    Ok(format!("until {}{soon}", at(end_s)))
}

/// A second since the Unix epoch, as people read it.
pub(crate) fn at(second: u64) -> Timestamp {
    Timestamp(second.saturating_mul(1000))
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(ErrorCode::ConfigInvalid, message)
}
