//! Those who are there in every case, their keys, and what they order.

use schemas::{
    CommandId, Sha256Hash,
    enrolment::Invite,
    key::{KeyId, KeyOffer, KeyPurpose, PublicKeyBytes},
    principal::{PrincipalKind, UserRole},
    registry::{CertifiedKey, Seat},
};

use super::*;
use crate::{Deed, Offer, OfferedKey, PutOut, Redemption, SignedOrder};

/// When every certificate of the cast ends, in seconds since the Unix epoch.
pub(super) const CAST_ENDS_S: u64 = 400 * 24 * 3600;
/// The secret of every invite, hashed.
pub(super) const SECRET: Sha256Hash = Sha256Hash([7; 32]);
pub(super) const INVITE: &str = "00000000000000000000000000000001";

pub(super) fn cast() -> Vec<RegistryEvent> {
    let people = [
        ("root", UserRole::Admin),
        ("olga", UserRole::Operator),
        ("audrey", UserRole::Auditor),
        ("alice", UserRole::User),
        ("bob", UserRole::User),
        ("thief", UserRole::User),
        ("a-b", UserRole::User),
    ];
    let people =
        people.map(|(name, role)| Seat { role: Some(role), ..seat(name, PrincipalKind::Person) });
    let agents = ["web", "db", "a", "ab", "b"].map(|name| seat(name, PrincipalKind::Agent));
    let allowed = ["shell.exec", "proxmox.*", "git.push@v2"].map(can).to_vec();
    let bound = Seat {
        owner: id("alice"),
        capabilities: Some(allowed),
        ..seat("bound", PrincipalKind::Agent)
    };
    let services = ["scheduler", "gateway"].map(|name| seat(name, PrincipalKind::Service));
    let everybody = people.into_iter().chain(agents).chain([bound]).chain(services);
    everybody.map(seated).collect()
}

pub(super) fn seat(name: &str, kind: PrincipalKind) -> Seat {
    Seat {
        id: id(name),
        kind,
        role: None,
        owner: id(name),
        capabilities: None,
        login: login(name, 0),
        keys: vec![certified(name, 0)],
    }
}

pub(super) fn seated(seat: Seat) -> RegistryEvent {
    RegistryEvent::PrincipalSeated { seat: Box::new(seat) }
}

pub(super) fn login(name: &str, number: u8) -> String {
    format!("U{name}-{number}")
}

/// A key that stands for one; the core never looks at its bytes.
pub(super) fn key(name: &str, number: u8, purpose: KeyPurpose) -> OfferedKey {
    let mut bytes = [number; 32];
    bytes[1..=name.len()].copy_from_slice(name.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&bytes[..16]);
    OfferedKey { id: KeyId(key), offer: KeyOffer { purpose, key: PublicKeyBytes(bytes) } }
}

pub(super) fn key_id(name: &str, number: u8) -> KeyId {
    key(name, number, KeyPurpose::TaskIssuer).id
}

/// A key of the cast, or one that was certified at the same time.
pub(super) fn certified(name: &str, number: u8) -> CertifiedKey {
    let OfferedKey { id, offer } = key(name, number, KeyPurpose::TaskIssuer);
    CertifiedKey { id, offer, not_before_s: 0, not_after_s: CAST_ENDS_S }
}

/// What is certified at the time of the command.
pub(super) fn fresh(name: &str, number: u8) -> CertifiedKey {
    let now_s = NOW_MS / 1000;
    let not_after_s = now_s + schemas::enrolment::CERTIFICATE_LIFETIME_S;
    CertifiedKey { not_before_s: now_s, not_after_s, ..certified(name, number) }
}

pub(super) fn offer(name: &str, number: u8) -> Offer {
    Offer { login: login(name, number), keys: vec![key(name, number, KeyPurpose::TaskIssuer)] }
}

/// An invite for an agent.
pub(super) fn invite(name: &str) -> Invite {
    Invite {
        invite: INVITE.to_owned(),
        secret_hash: SECRET,
        redeemer: "Uinvite".to_owned(),
        principal: id(name),
        kind: PrincipalKind::Agent,
        role: None,
        owner: None,
        capabilities: None,
        lifetime_s: 3600,
    }
}

pub(super) fn person_invite(name: &str, role: UserRole) -> Invite {
    Invite { kind: PrincipalKind::Person, role: Some(role), ..invite(name) }
}

/// An invite for an agent of `by` that is still good when the command is decided.
pub(super) fn invite_made(name: &str, by: &str) -> RegistryEvent {
    made(invite(name), by)
}

pub(super) fn made(invite: Invite, by: &str) -> RegistryEvent {
    let owner = match invite.kind {
        PrincipalKind::Agent => invite.owner.clone().unwrap_or_else(|| id(by)),
        PrincipalKind::Person | PrincipalKind::Service => invite.principal.clone(),
    };
    let expires_at = Timestamp(NOW_MS + 3_600_000);
    RegistryEvent::InviteMade { invite: Box::new(invite), owner, by: id(by), expires_at }
}

pub(super) fn redeemed(name: &str, number: u8) -> RegistryEvent {
    RegistryEvent::InviteRedeemed {
        invite: INVITE.to_owned(),
        principal: id(name),
        login: login(name, number),
        keys: vec![certified(name, number)],
    }
}

pub(super) fn confirmed(name: &str) -> RegistryEvent {
    RegistryEvent::EnrolmentConfirmed { principal: id(name) }
}

pub(super) fn redeem(offer: Offer) -> Command {
    Command::Redeem(Box::new(redemption(offer)))
}

pub(super) fn redemption(offer: Offer) -> Redemption {
    let caller = id(&format!("invite-{INVITE}"));
    Redemption { caller, invite: INVITE.to_owned(), secret_hash: SECRET, offer }
}

pub(super) fn renew(caller: &str) -> Command {
    Command::Renew { caller: id(caller) }
}

pub(super) fn evicted(name: &str) -> RegistryEvent {
    RegistryEvent::PrincipalEvicted { principal: id(name), by: id("root"), reason: String::new() }
}

pub(super) fn banned(name: &str) -> RegistryEvent {
    RegistryEvent::PrincipalBanned { principal: id(name), by: id("root"), reason: String::new() }
}

pub(super) fn evict(name: &str) -> Deed {
    Deed::PutOut { principal: id(name), reason: String::new(), how: PutOut::Evict }
}

pub(super) fn ban(name: &str) -> Deed {
    Deed::PutOut { principal: id(name), reason: String::new(), how: PutOut::Ban }
}

/// An order that its signer signed with the key of the cast.
pub(super) fn order(signer: &str, deed: Deed) -> Command {
    Command::Order(Box::new(signed(signer, deed)))
}

pub(super) fn signed(signer: &str, deed: Deed) -> SignedOrder {
    SignedOrder {
        id: order_id(),
        signer: id(signer),
        key: key_id(signer, 0),
        expires_at: Timestamp(NOW_MS + 600_000),
        deed,
    }
}

pub(super) fn order_id() -> CommandId {
    CommandId::parse("feed").unwrap()
}

/// The note that the order of [`order`] was carried out.
pub(super) fn taken(by: &str) -> RegistryEvent {
    let until = Timestamp(NOW_MS + 900_000);
    RegistryEvent::OrderTaken { order: order_id(), by: id(by), until }
}

/// Decides an order, and compares what happens beside the note that it was taken.
#[track_caller]
pub(super) fn check_order(
    given: &[RegistryEvent],
    signer: &str,
    deed: Deed,
    then: Result<Vec<RegistryEvent>, ErrorCode>,
) {
    let then = then.map(|events| events.into_iter().chain([taken(signer)]).collect());
    check(given, &now(), &order(signer, deed), then);
}
