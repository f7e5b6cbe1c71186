//! Renews what everybody of `up` logs in with, long before it ends; the node does so itself.
//!
//! **Invariant:** what is due is judged by the wall clock, which goes on while the machine sleeps.
//! **Invariant:** a renewal replaces the file as a whole; whoever connects reads the old or the new.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use schemas::{Fault, PrincipalId};
use tokio::time::sleep;
use trust::nats::Role;

use crate::{
    authority::{Authority, Renewal, User},
    clock::now_s,
    home::Home,
    material::Material,
    output::note,
};

/// How often it is looked whether somebody is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Earliest renewal, in thousandths of a login's life.
const EARLIEST_PERMILLE: u64 = 400;
/// How much later than that a renewal may be, so that not everybody connects anew at once.
const JITTER_PERMILLE: u64 = 200;

/// Everybody who logs in, and when each is due.
#[derive(Clone)]
pub(crate) struct Logins {
    inner: Arc<Inner>,
}

struct Inner {
    authority: Authority,
    lifetime_s: u64,
    users: Mutex<BTreeMap<PrincipalId, Entry>>,
}

struct Entry {
    user: User,
    path: PathBuf,
    /// The seconds since the Unix epoch in which nothing is to be done.
    rests: std::ops::Range<u64>,
    /// Whether the principal was put out of the broker.
    is_out: bool,
    /// What was said last about a failure.
    complaint: Option<String>,
}

impl Logins {
    /// Renews all of them, and knows when each is due again.
    pub(crate) fn open(home: &Home, material: &Material, lifetime_s: u64) -> Result<Self, Fault> {
        let entry = |user: User| {
            let path = home.creds(user.principal.as_str());
            (
                user.principal.clone(),
                Entry { user, path, rests: 0..0, is_out: false, complaint: None },
            )
        };
        let mut users: BTreeMap<_, _> =
            material.identities.users().into_iter().map(entry).collect();
        for entry in users.values_mut() {
            entry.renew(&material.authority, lifetime_s, now_s())?;
        }
        let (authority, users) = (material.authority.clone(), Mutex::new(users));
        Ok(Self { inner: Arc::new(Inner { authority, lifetime_s, users }) })
    }

    /// Whether a principal may log in, as far as was known when it was last renewed.
    pub(crate) fn lets_in(&self, principal: &PrincipalId) -> bool {
        let users = self.inner.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.get(principal).is_some_and(|entry| !entry.is_out)
    }

    /// Renews whoever is due, for ever.
    pub(crate) async fn keep(self) {
        loop {
            sleep(LOOK_INTERVAL).await;
            self.renew_due();
        }
    }

    /// Renews whoever is due now. What fails is said, and tried again at the next look.
    pub(crate) fn renew_due(&self) {
        let Inner { authority, lifetime_s, users } = &*self.inner;
        let now_s = now_s();
        let mut users = users.lock().unwrap_or_else(PoisonError::into_inner);
        // Also a clock that was set back makes due: nothing may have been signed in the future.
        for entry in users.values_mut().filter(|entry| !entry.rests.contains(&now_s)) {
            let complaint = entry.renew(authority, *lifetime_s, now_s).err();
            let complaint = complaint.map(|fault| fault.to_string());
            if let Some(text) = complaint.as_ref().filter(|_| complaint != entry.complaint) {
                note(&format!("the login of {} is not renewed: {text}", entry.user.principal));
            }
            entry.complaint = complaint;
        }
    }
}

impl Entry {
    fn renew(&mut self, authority: &Authority, lifetime_s: u64, now_s: u64) -> Result<(), Fault> {
        let renewal = authority.renew(&self.path, &self.user, lifetime_s)?;
        let was_out = std::mem::replace(&mut self.is_out, renewal == Renewal::Out);
        if self.is_out && !was_out {
            let who = &self.user.principal;
            note(&format!("{who} was put out: what it logs in with is not renewed"));
        }
        self.rests = match self.user.role {
            // From here on it renews itself at the registry, as every node does.
            Some(Role::Node) => 0..u64::MAX,
            Some(_) | None => now_s..now_s.saturating_add(rest_s(lifetime_s, rand::random())),
        };
        Ok(())
    }
}

/// For how long nothing is to be done after a renewal.
fn rest_s(lifetime_s: u64, random: u64) -> u64 {
    let permille = EARLIEST_PERMILLE + random % (JITTER_PERMILLE + 1);
    (lifetime_s.saturating_mul(permille) / 1000).max(1)
}

#[cfg(test)]
mod tests;
