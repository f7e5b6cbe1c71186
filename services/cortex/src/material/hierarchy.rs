//! The keys of a home and who vouches for whom: root, enrolment, and those of people, nodes and
//! services.
//!
//! **Invariant:** what is pinned is written last, so that a home is as it was or as it will be.

use std::{collections::BTreeSet, path::PathBuf};

use schemas::{
    ErrorCode, Fault, PrincipalId, Timestamp, enrolment::CERTIFICATE_LIFETIME_S,
    registry::CertifiedKey, subject::ServiceName,
};
use trust::{Purpose, SecretKey, TrustAnchors};

use super::{
    Identities, LOCAL_NODE, Member,
    anchors::{Pinned, root, root_anchor},
    certificates::{Candidate, Certified, Chain, Voucher},
    keys::{self, certificates_path, ensure_key, key_path},
};
use crate::{authority::OperatorPlace, clock::now, home::Home};

/// How long the root is trusted, in seconds.
const ROOT_LIFETIME_S: u64 = 10 * 365 * 24 * 3600;
/// How long the root vouches for the key that lets others in, in seconds.
const ENROLMENT_LIFETIME_S: u64 = 5 * 365 * 24 * 3600;
/// Clocks that were set back a little since must not make the keys invalid, in seconds.
const KEY_BACKDATED_S: u64 = 24 * 3600;
/// Name of the key that lets others in.
const ENROLMENT: &str = "enrolment";
/// Name of the person's key.
const OWNER: &str = "owner";

/// A key of this home, and where it and its certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeKey {
    /// The secret key's file.
    pub path: PathBuf,
    /// The file with its certificates.
    pub certificates: PathBuf,
    /// What is certified.
    pub certified: CertifiedKey,
}

/// All keys of a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Lets others in.
    pub enrolment: HomeKey,
    /// The certificates of that key.
    pub enrolment_chain: Chain,
    /// Signs the person's requests.
    pub owner: HomeKey,
    /// Signs what runs on the local node ask for.
    pub node: HomeKey,
    /// Signs the scheduler's assignments.
    pub scheduler: HomeKey,
}

/// What certificates are made with.
struct Workshop {
    anchors: TrustAnchors,
    now: Timestamp,
    /// Since when keys may have signed that nobody knew before.
    since_s: u64,
}

impl Hierarchy {
    /// Reads what is there and makes what is missing or runs out.
    pub(super) fn ensure(
        home: &Home,
        who: &Identities,
        place: OperatorPlace<'_>,
    ) -> Result<Self, Fault> {
        let pinned = Pinned::read(&home.anchors(), &who.cluster)?;
        let path = |name| key_path(home, name);
        let [enrolment_path, owner_path, node_path, scheduler_path] =
            [ENROLMENT, OWNER, LOCAL_NODE, ServiceName::Scheduler.as_str()].map(path);
        let enrolment = ensure_key(&enrolment_path, Purpose::Enrolment)?;
        let owner = ensure_key(&owner_path, Purpose::TaskIssuer)?;
        let node = ensure_key(&node_path, Purpose::TaskIssuer)?;
        let scheduler = ensure_key(&scheduler_path, Purpose::Scheduler)?;
        let ours = [&enrolment, &owner, &node, &scheduler].map(|key| key.public().id());

        let (root_key, workshop) = workshop(home, &pinned, place, &BTreeSet::from(ours))?;
        let registry = who.principal(Member::Service(ServiceName::Registry));
        let by_root = root_key.as_ref().map(|key| Voucher {
            key,
            principal: root(),
            chain: Chain::default(),
        });
        let candidate = workshop.candidate(&enrolment, registry.clone(), enrolment_path.clone());
        let candidate = Candidate { lifetime_s: ENROLMENT_LIFETIME_S, ..candidate };
        let by_root = candidate.ensure(by_root, &workshop.anchors, workshop.now)?;
        let chain = by_root.chain.clone();
        let certify = |key: &SecretKey, member: Member, path: PathBuf| {
            let voucher =
                Voucher { key: &enrolment, principal: registry.clone(), chain: chain.clone() };
            let mut candidate = workshop.candidate(key, who.principal(member), path.clone());
            candidate.since_s = pinned.since_s(key.public().id()).unwrap_or(workshop.since_s);
            let certified = candidate.ensure(Some(voucher), &workshop.anchors, workshop.now)?;
            Ok::<_, Fault>(HomeKey::new(path, certified))
        };
        let hierarchy = Self {
            owner: certify(&owner, Member::Owner, owner_path)?,
            node: certify(&node, Member::Node, node_path)?,
            scheduler: certify(
                &scheduler,
                Member::Service(ServiceName::Scheduler),
                scheduler_path,
            )?,
            enrolment_chain: by_root.chain.clone(),
            enrolment: HomeKey::new(enrolment_path, by_root),
        };
        pinned.write(&home.anchors(), &workshop.anchors)?;
        Ok(hierarchy)
    }
}

/// The root key, if it is at hand, and what is trusted from now on.
fn workshop(
    home: &Home,
    pinned: &Pinned,
    place: OperatorPlace<'_>,
    ours: &BTreeSet<trust::KeyId>,
) -> Result<(Option<SecretKey>, Workshop), Fault> {
    let now = now();
    let recent_s = now.seconds().saturating_sub(KEY_BACKDATED_S);
    let since_s = pinned.earliest_s().map_or(recent_s, |earliest_s| earliest_s.min(recent_s));
    let (key, anchor) = match pinned.root() {
        Some(anchor) => {
            let key = keys::root(home, place)?;
            if key.as_ref().is_some_and(|key| key.public().id() != anchor.key.id()) {
                return Err(Fault::new(
                    ErrorCode::ConfigInvalid,
                    "the root key is another than the one that is trusted",
                )
                .with_hint("name the directory that this home was made with"));
            }
            (key, anchor.clone())
        }
        None => {
            let key = keys::ensure_root(home, place)?;
            let until_s = now.seconds().saturating_add(ROOT_LIFETIME_S);
            let anchor = root_anchor(key.public().clone(), since_s, until_s);
            (Some(key), anchor)
        }
    };
    let anchors = pinned.after(anchor, ours)?;
    Ok((key, Workshop { anchors, now, since_s }))
}

impl Workshop {
    fn candidate<'a>(
        &self,
        key: &'a SecretKey,
        principal: PrincipalId,
        path: PathBuf,
    ) -> Candidate<'a> {
        Candidate {
            key: key.public(),
            principal,
            path: certificates_path(&path),
            since_s: self.since_s,
            lifetime_s: CERTIFICATE_LIFETIME_S,
        }
    }
}

impl HomeKey {
    fn new(path: PathBuf, certified: Certified) -> Self {
        let certificates = certificates_path(&path);
        Self { path, certificates, certified: certified.key }
    }
}
