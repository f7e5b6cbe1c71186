//! `cortex key rotate`: new keys for whoever asks, without a moment in between.
//!
//! **Invariant:** the new keys are on disk before the registry hears of them, and take the place of
//! the old ones only once it has certified them; interrupted anywhere, the next try ends it.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use schemas::{
    ErrorCode, Fault,
    enrolment::{Membership, Order, OrderAnswer},
};
use trust::{
    Possession, Purpose, SecretKey,
    nats::{Creds, Jwt, Nkey, NkeyKind},
    prove_possession,
};
use zeroize::Zeroizing;

use super::{Outcome, Session, order, sign::Signer};
use crate::{
    files::{read_if_there, write_private},
    material::{Chain, load_key},
    output::{Listing, note},
};

/// What the files of new keys end in until the registry has certified them.
const PENDING: &str = "pending";

/// Replaces the issuer key and the login of the context's principal.
pub(super) async fn rotate(session: &Session) -> Outcome {
    let context = &session.context;
    let places = Places::of(session)?;
    let issuer = pending_key(&places.key)?;
    let login = pending_login(&places.creds)?;
    let Signer { cluster, .. } = Signer::of(context)?;
    let possession = Possession::Rotation { principal: &context.principal };
    let keys = prove_possession(&cluster, &possession, &login, &[&issuer]);
    let client = session.connect().await?;
    let answer = order::give(session, &client, &Order::RotateKeys { keys }).await?;
    client.close().await;
    let OrderAnswer::Rotated { membership } = answer else {
        return Err(Fault::new(ErrorCode::Internal, "the registry answered something else"));
    };
    take_over(&places, &membership, &login)?;
    note("the old keys have ended; what they signed stays good");
    let said = vec![
        ("principal", context.principal.to_string()),
        ("key", issuer.public().id().to_string()),
    ];
    session.printer.show(&membership, &Listing::of_one(context.principal.as_str(), said))?;
    Ok(ExitCode::SUCCESS)
}

/// The files that are replaced.
struct Places {
    key: PathBuf,
    certificates: PathBuf,
    creds: PathBuf,
    /// Where the principal renews its login itself.
    renewal: Option<PathBuf>,
}

impl Places {
    fn of(session: &Session) -> Result<Self, Fault> {
        let missing = |what: &str| {
            Fault::new(ErrorCode::ConfigInvalid, format!("the context names no {what}"))
        };
        let context = &session.context;
        Ok(Self {
            key: context.key.clone().ok_or_else(|| missing("key"))?,
            certificates: context.certificates.clone().ok_or_else(|| missing("certificates"))?,
            creds: context.creds.clone().ok_or_else(|| missing("creds"))?,
            renewal: context.renewal.clone(),
        })
    }
}

fn pending(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(PENDING);
    PathBuf::from(name)
}

fn pending_key(path: &Path) -> Result<SecretKey, Fault> {
    let pending = pending(path);
    if pending.exists() {
        return load_key(&pending);
    }
    let key = SecretKey::from_entropy(Purpose::TaskIssuer, &Zeroizing::new(rand::random()));
    write_private(&pending, key.to_file().as_bytes())?;
    Ok(key)
}

fn pending_login(path: &Path) -> Result<Nkey, Fault> {
    let pending = pending(path);
    if let Some(seed) = read_if_there(&pending)?.map(Zeroizing::new) {
        return Nkey::from_seed(NkeyKind::User, &seed).map_err(|error| {
            Fault::new(ErrorCode::ConfigInvalid, format!("{}: {error}", pending.display()))
        });
    }
    let login = Nkey::from_entropy(NkeyKind::User, &Zeroizing::new(rand::random()));
    write_private(&pending, login.seed().as_bytes())?;
    Ok(login)
}

/// Certificates first and the key last: until then the old key and its certificates, which the
/// registry still knows, can end an interrupted rotation. Certificates of both keys stand in the
/// file, for whoever signs meanwhile reads one file after the other.
fn take_over(places: &Places, membership: &Membership, login: &Nkey) -> Result<(), Fault> {
    let unusable = |error: &dyn std::error::Error| {
        Fault::new(ErrorCode::Internal, format!("the registry's answer is of no use: {error}"))
    };
    let creds = |jwt: &str| {
        let (jwt, _) = Jwt::parse(jwt).map_err(|error| unusable(&error))?;
        Creds::new(&jwt, login.clone()).map_err(|error| unusable(&error))
    };
    let renewal = creds(&membership.renewal_jwt)?;
    let creds = creds(&membership.jwt)?;
    let key = read_if_there(&pending(&places.key))?.map(Zeroizing::new);
    let key = key.ok_or_else(|| Fault::new(ErrorCode::Internal, "the new key is gone"))?;
    let old = Chain::read(&places.certificates)?.about(load_key(&places.key)?.public());
    let certificates = [membership.certificates.clone(), old].concat();
    // The old one is not renewed any more, and nobody comes back with it.
    if let Some(path) = &places.renewal {
        write_private(path, renewal.to_file().as_bytes())?;
    }
    write_private(&places.creds, creds.to_file().as_bytes())?;
    write_private(&places.certificates, (certificates.join("\n") + "\n").as_bytes())?;
    write_private(&places.key, key.as_bytes())?;
    for path in [&places.key, &places.creds] {
        std::fs::remove_file(pending(path)).map_err(|error| {
            let path = pending(path);
            Fault::new(ErrorCode::ConfigInvalid, format!("removing {}: {error}", path.display()))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
