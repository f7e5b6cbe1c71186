//! Coming in as a person: the same way, to a folder that a context of the command line names.

use std::path::{Path, PathBuf};

use schemas::{
    PrincipalId,
    principal::{PrincipalKind, UserRole},
};

use super::{
    ANCHORS, CA, CERTIFICATES, InviteLine, JoinError, JoinStep, KEYS, LOGIN, RENEWAL, come_in,
    keys::ISSUER, place::Place, redeem::Way,
};

/// A person who has come in, and where everything is that a context needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedPerson {
    /// Who it is.
    pub principal: PrincipalId,
    /// What they may do.
    pub role: Option<UserRole>,
    /// What every signature is bound to.
    pub cluster: String,
    /// Where the broker is.
    pub url: String,
    /// The authority of the broker's certificate, where the line named one.
    pub ca: Option<PathBuf>,
    /// What the person logs in with.
    pub login: PathBuf,
    /// What they renew that with.
    pub renewal: PathBuf,
    /// Signs what they ask for.
    pub key: PathBuf,
    /// Certificates of that key.
    pub certificates: PathBuf,
    /// Whom they believe.
    pub anchors: PathBuf,
}

/// Comes in with a person's invite line; with the same line again it goes on where it was.
///
/// # Errors
///
/// See [`JoinError`], which says what to do. Whatever was done stays on disk for the next attempt.
pub async fn join_as_person(
    line: &str,
    home: &Path,
    progress: &mut (dyn FnMut(JoinStep) + Send),
) -> Result<JoinedPerson, JoinError> {
    let line = InviteLine::parse(line).map_err(JoinError::Line)?;
    if line.kind != PrincipalKind::Person {
        return Err(JoinError::NotAPerson { principal: line.principal });
    }
    let place = Place::take(home, &line)?;
    progress(JoinStep::Reserved);
    let way = Way::new(&line, &place)?;
    let membership = come_in(&way, progress).await?;
    Ok(JoinedPerson {
        principal: membership.principal,
        role: membership.role,
        cluster: membership.cluster,
        url: line.url.clone(),
        ca: line.ca.as_ref().map(|_| place.path(CA)),
        login: place.path(LOGIN),
        renewal: place.path(RENEWAL),
        key: place.path(KEYS).join(ISSUER),
        certificates: place.path(CERTIFICATES),
        anchors: place.path(ANCHORS),
    })
}
