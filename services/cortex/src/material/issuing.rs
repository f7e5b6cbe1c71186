//! What the registry needs to let others in: the key that certifies, what makes logins, and who was
//! there first.
//!
//! **Invariant:** it stands with the keys, where only its owner reads it, and is written anew at
//! each start.

use std::path::PathBuf;

use schemas::{
    Fault,
    principal::{PrincipalKind, UserRole},
    registry::{CertifiedKey, Seat},
    subject::ServiceName,
};
use serde::{Deserialize, Serialize};

use super::{Material, Member};
use crate::{
    authority::{Seeds, User, look},
    files::{self, write_private},
    home::Home,
};

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Issuing {
    /// File with the key that certifies.
    enrolment_key: PathBuf,
    /// Its certificates, in base64, each after the one that vouches for it.
    certificates: Vec<String>,
    /// Life of a login, in seconds.
    login_lifetime_s: u64,
    /// What makes logins.
    broker: Broker,
    /// Who was there before anybody could be invited.
    founders: Vec<Seat>,
}

#[derive(Serialize, Deserialize)]
struct Broker {
    /// One address or several with commas.
    url: String,
    /// What whoever pushes accounts logs in with.
    system_creds: PathBuf,
    #[serde(flatten)]
    seeds: Seeds,
}

impl Material {
    /// Writes what the registry of this home lets others in with, and says where.
    ///
    /// # Errors
    ///
    /// Names the file that cannot be read or written.
    pub fn write_issuing(
        &self,
        home: &Home,
        url: &str,
        login_lifetime_s: u64,
    ) -> Result<PathBuf, Fault> {
        let issuing = Issuing {
            enrolment_key: self.keys.enrolment.path.clone(),
            certificates: self.keys.enrolment_chain.to_texts(),
            login_lifetime_s,
            broker: Broker {
                url: url.to_owned(),
                system_creds: home.creds(User::system().principal.as_str()),
                seeds: self.authority.seeds(),
            },
            founders: self.founders(home)?,
        };
        let path = home.issuing();
        write_private(&path, files::toml_text(&issuing).as_bytes())?;
        Ok(path)
    }

    fn founders(&self, home: &Home) -> Result<Vec<Seat>, Fault> {
        Member::ALL.into_iter().map(|member| self.seat(home, member)).collect()
    }

    fn seat(&self, home: &Home, member: Member) -> Result<Seat, Fault> {
        let id = self.identities.principal(member);
        let login = look(&home.creds(id.as_str()))?.map(|summary| summary.subject);
        let (kind, role) = match member {
            Member::Owner | Member::Admin => (PrincipalKind::Person, Some(UserRole::Admin)),
            Member::Node => (PrincipalKind::Agent, None),
            Member::Service(_) => (PrincipalKind::Service, None),
        };
        let owner = if member == Member::Node { self.identities.owner.clone() } else { id.clone() };
        Ok(Seat {
            id,
            kind,
            role,
            owner,
            capabilities: None,
            login: login.unwrap_or_default(),
            keys: self.keys_of(member),
        })
    }

    fn keys_of(&self, member: Member) -> Vec<CertifiedKey> {
        let key = match member {
            Member::Owner => &self.keys.owner,
            Member::Node => &self.keys.node,
            Member::Service(ServiceName::Scheduler) => &self.keys.scheduler,
            Member::Admin | Member::Service(ServiceName::Registry) => return Vec::new(),
        };
        vec![key.certified.clone()]
    }
}
