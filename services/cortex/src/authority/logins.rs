//! Credentials files: the key of a principal, made once, and a JWT for it that is renewed again and
//! again.
//!
//! **Invariant:** a renewal keeps the key, so everybody knows the principal as before.
//! **Invariant:** whoever was put out of the broker is not let in again by a renewal.

use std::path::Path;

use schemas::{Fault, PrincipalId};
use trust::nats::{Creds, Jwt, NkeyKind, PublicNkey, Role, Summary, UserClaims};
use zeroize::Zeroizing;

use super::{Authority, new_key, public, unusable};
use crate::{
    clock::now_s,
    commands::serve::chain,
    files::{read_if_there, write_private},
};

/// Who logs in to the account of the servers themselves.
const SYSTEM_USER: &str = "system";

/// Somebody who logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub principal: PrincipalId,
    /// As what; nothing for whoever tells the servers of changed accounts.
    pub role: Option<Role>,
}

/// What became of somebody's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// They count until this second since the Unix epoch.
    Until(u64),
    /// The principal's key is revoked on the broker, and the file was left as it was.
    Out,
}

impl User {
    /// A principal in the account that Cortex works in.
    #[must_use]
    pub fn new(principal: PrincipalId, role: Role) -> Self {
        Self { principal, role: Some(role) }
    }

    /// Who tells the servers of changed accounts.
    #[must_use]
    pub fn system() -> Self {
        let principal = PrincipalId::parse(SYSTEM_USER).expect("the word is an id");
        Self { principal, role: None }
    }
}

impl Authority {
    /// Writes what a user logs in with for the next `lifetime_s` seconds; the key of the file that
    /// is there is kept.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` when it cannot be read, made or written.
    pub fn renew(&self, path: &Path, user: &User, lifetime_s: u64) -> Result<Renewal, Fault> {
        let kept = read(path)?.filter(|file| file.creds.summary().name == user.principal.as_str());
        let (key, file) = match kept {
            Some(file) => (file.key()?, Ok(file)),
            None => {
                let key = new_key(NkeyKind::User);
                (key.public(), Err(key))
            }
        };
        if user.role.is_some() && self.revocations()?.contains_key(&key) {
            return Ok(Renewal::Out);
        }
        let now_s = now_s();
        let jwt = self.jwt(user, key, (now_s, lifetime_s))?;
        let text = match file {
            Ok(file) => file.with(&jwt)?,
            Err(key) => Creds::new(&jwt, key).map_err(|error| unusable(&error))?.to_file(),
        };
        write_private(path, text.as_bytes())?;
        Ok(Renewal::Until(now_s.saturating_add(lifetime_s)))
    }

    /// Lets the one whose key is in the file at `login` come back for `lifetime_s` seconds after what
    /// it logs in with has ended, and do nothing else.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` when a file cannot be read, made or written.
    pub fn let_renew(&self, login: &Path, path: &Path, lifetime_s: u64) -> Result<(), Fault> {
        let Some(file) = read(login)? else { return Ok(()) };
        let principal = PrincipalId::parse(&file.creds.summary().name);
        let user = User::new(principal.map_err(|error| unusable(&error))?, Role::Renewer);
        let now_s = now_s();
        let jwt = self.jwt(&user, file.key()?, (now_s, lifetime_s))?;
        Ok(write_private(path, file.with(&jwt)?.as_bytes())?)
    }

    fn jwt(
        &self,
        user: &User,
        key: PublicNkey,
        (now_s, lifetime_s): (u64, u64),
    ) -> Result<Jwt, Fault> {
        let User { principal, role } = user;
        if let Some(role) = *role {
            let jwt = self.issuer()?.user_jwt(principal, role, &key, now_s, lifetime_s);
            return jwt.map_err(|error| unusable(&error));
        }
        let claims = UserClaims {
            principal: principal.clone(),
            // In the account of the servers roles mean nothing.
            role: Role::Admin,
            key,
            account: public(NkeyKind::Account, &self.kept.system_account)?,
            issued_at_s: now_s,
            expires_at_s: Some(now_s.saturating_add(lifetime_s)),
        };
        let signing = self.kept.system_seed.key(NkeyKind::Account)?;
        claims.sign_for_system(&signing).map_err(|error| unusable(&error))
    }
}

/// What a credentials file says; nothing when there is none.
///
/// # Errors
///
/// `CONFIG_INVALID` when it cannot be read or used.
pub fn look(path: &Path) -> Result<Option<Summary>, Fault> {
    Ok(read(path)?.map(|file| file.creds.summary().clone()))
}

struct File {
    text: Zeroizing<String>,
    creds: Creds,
}

fn read(path: &Path) -> Result<Option<File>, Fault> {
    let Some(text) = read_if_there(path)?.map(Zeroizing::new) else { return Ok(None) };
    let creds = Creds::from_file(&text).map_err(|error| {
        let message = format!("{} is of no use: {}", path.display(), chain(&error));
        Fault::new(error.code(), message).with_hint("remove it to have a new one made")
    })?;
    Ok(Some(File { text, creds }))
}

impl File {
    fn key(&self) -> Result<PublicNkey, Fault> {
        public(NkeyKind::User, &self.creds.summary().subject)
    }

    /// The same file with another JWT for its key.
    fn with(&self, jwt: &Jwt) -> Result<Zeroizing<String>, Fault> {
        let text = Zeroizing::new(self.text.replace(self.creds.jwt().as_str(), jwt.as_str()));
        Creds::from_file(&text).map_err(|error| unusable(&error))?;
        Ok(text)
    }
}
