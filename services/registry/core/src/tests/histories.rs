//! What must hold of who may take part after any history, with histories drawn at random.

use std::collections::BTreeMap;

use proptest::prelude::*;
use schemas::{
    CommandId,
    enrolment::Invite,
    key::{KeyOffer, PublicKeyBytes},
    registry::CertifiedKey,
};

use super::{cast::*, *};
use crate::{Deed, Redemption, SignedOrder};

const NAMES: [&str; 3] = ["new", "newer", "bound"];

/// What somebody tries.
#[derive(Clone, Debug)]
enum Step {
    Invite { name: usize, invite: u8 },
    Redeem { invite: u8, keys: u8 },
    Renew { name: usize },
    Rotate { name: usize, with: u8, to: u8 },
    Evict { name: usize },
    Ban { name: usize },
    Repeat { step: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    let keys = 1_u8..6;
    prop_oneof![
        4 => (name.clone(), 0_u8..4).prop_map(|(name, invite)| Step::Invite { name, invite }),
        6 => (0_u8..4, keys.clone()).prop_map(|(invite, keys)| Step::Redeem { invite, keys }),
        3 => name.clone().prop_map(|name| Step::Renew { name }),
        2 => (name.clone(), 0_u8..6, keys)
            .prop_map(|(name, with, to)| Step::Rotate { name, with, to }),
        2 => name.clone().prop_map(|name| Step::Evict { name }),
        1 => name.prop_map(|name| Step::Ban { name }),
        2 => (0_usize..24).prop_map(|step| Step::Repeat { step }),
    ]
}

/// Keys are drawn from one pool, so that they meet again under other names.
fn pooled(number: u8) -> crate::Offer {
    offer("pool", number)
}

fn invite_id(number: u8) -> String {
    format!("{number:032x}")
}

fn command(steps: &[Step], at: usize) -> Command {
    let ordered = |signer: &str, key, deed| {
        let signer = id(signer);
        let id = CommandId::parse(&format!("order-{at}")).unwrap();
        let expires_at = Timestamp(NOW_MS + 600_000);
        Command::Order(Box::new(SignedOrder { id, signer, key, expires_at, deed }))
    };
    let by_root = |deed| ordered("root", key_id("root", 0), deed);
    match &steps[at] {
        Step::Invite { name, invite: number } => {
            let wanted = Invite { invite: invite_id(*number), ..invite(NAMES[*name]) };
            by_root(Deed::Invite(Box::new(wanted)))
        }
        Step::Redeem { invite, keys } => {
            let invite = invite_id(*invite);
            let caller = id(&format!("invite-{invite}"));
            let offer = pooled(*keys);
            Command::Redeem(Box::new(Redemption { caller, invite, secret_hash: SECRET, offer }))
        }
        Step::Renew { name } => renew(NAMES[*name]),
        Step::Rotate { name, with, to } => {
            ordered(NAMES[*name], key_id("pool", *with), Deed::RotateKeys(pooled(*to)))
        }
        Step::Evict { name } => by_root(evict(NAMES[*name])),
        Step::Ban { name } => by_root(ban(NAMES[*name])),
        Step::Repeat { step } if *step < at => command(steps, *step),
        Step::Repeat { .. } => renew("nobody"),
    }
}

fn keys_of(event: &RegistryEvent) -> Option<(&PrincipalId, &[CertifiedKey])> {
    if let RegistryEvent::InviteRedeemed { principal, keys, .. }
    | RegistryEvent::KeysRotated { principal, keys, .. } = event
    {
        return Some((principal, keys));
    }
    None
}

proptest! {
    #[test]
    fn no_key_is_certified_twice_and_no_id_has_two_living_sets(
        steps in prop::collection::vec(step(), 0..24),
    ) {
        let mut live = state(&[]);
        let mut holders: BTreeMap<PublicKeyBytes, PrincipalId> = BTreeMap::new();
        let mut newest: BTreeMap<PrincipalId, Vec<KeyOffer>> = BTreeMap::new();
        let mut out = std::collections::BTreeSet::new();
        for (at, now_ms) in (0..steps.len()).zip(NOW_MS..) {
            let mut facts = now();
            facts.now_ms = now_ms;
            let command = command(&steps, at);
            let Ok(decided) = Registry::decide(&live, &command, &facts) else { continue };
            for event in &decided.events {
                if let Some((principal, keys)) = keys_of(event) {
                    for key in keys {
                        let before = holders.insert(key.offer.key, principal.clone());
                        prop_assert_eq!(before, None, "{:?} again", key);
                    }
                    prop_assert!(!out.contains(principal), "{} came back from a ban", principal);
                    newest.insert(principal.clone(), keys.iter().map(|it| it.offer).collect());
                }
                if let RegistryEvent::PrincipalBanned { principal, .. } = event {
                    out.insert(principal.clone());
                }
                Registry::evolve(&mut live, event, &Recorded { at_ms: now_ms, term: 1 });
            }
            for (id, keys) in &newest {
                let living = live.principals().get(id).unwrap().keys.iter();
                let living = living.filter(|key| key.is_current(Timestamp(now_ms)));
                let living: Vec<_> = living.map(|key| key.certified.offer).collect();
                prop_assert!(living.is_empty() || living == *keys, "{:?} of {}", living, id);
                let is_out = live.principals().get(id).unwrap().is_out();
                prop_assert!(!is_out || living.is_empty(), "{} is out and signs", id);
            }
            let again = Registry::decide(&live, &command, &facts);
            let again = again.map(|again| again.events).unwrap_or_default();
            prop_assert_eq!(again, Vec::new(), "{:?} twice", command);
        }
        let kept = serde_json::to_string(&live).unwrap();
        prop_assert_eq!(serde_json::from_str::<State>(&kept).unwrap(), live);
    }
}
