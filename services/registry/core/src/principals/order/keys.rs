//! Who may replace keys and take them out of use.

use schemas::{
    key::{KeyId, KeyPurpose},
    principal::PrincipalKind,
    registry::RegistryEvent,
};

use super::{Bench, Verdict, check_text};
use crate::{
    Answer, Rejection,
    principals::{
        Grant, KeyChange, Offer, Refusal,
        keys::{OfferFor, certified, is_ours},
    },
};

impl Bench<'_> {
    pub(super) fn revoke_key(&self, id: KeyId, reason: &str) -> Result<Verdict, Rejection> {
        check_text("reason", reason)?;
        let (holder, key) =
            self.state.principals().holder(id).ok_or(Refusal::KeyUnknown { key: id })?;
        let me = &self.signer.id;
        let owns = holder.kind == PrincipalKind::Agent && holder.owner == *me;
        // What the root vouches for is replaced with the root's key.
        let right = holder.id == *me || owns || self.is_admin();
        if !right || !is_ours(key.certified.offer.purpose) {
            return Err(self.forbidden(format!("revoke key {id} of {}", holder.id)).into());
        }
        if key.revoked_at.is_some() {
            return Ok(Verdict::done(Vec::new()));
        }
        if key.certified.offer.purpose == KeyPurpose::TaskIssuer
            && !holder.can_order_without(id, self.now)
        {
            self.check_admin_remains(holder)?;
        }
        Ok(Verdict::done(vec![RegistryEvent::KeyRevoked {
            principal: holder.id.clone(),
            key: id,
            by: me.clone(),
            reason: reason.to_owned(),
        }]))
    }

    pub(super) fn rotate_keys(&self, offer: &Offer) -> Result<Verdict, Rejection> {
        let (id, kind, now) = (&self.signer.id, self.signer.kind, self.now);
        let wanted = OfferFor { principal: id, kind, present: Some(self.signer), now };
        wanted.check(self.state.principals(), offer)?;
        let keys = certified(offer, now);
        let mut principal = self.signer.clone();
        principal.login.clone_from(&offer.login);
        principal.change_keys(KeyChange::Replaced(&keys), now);
        let answer = Answer::Rotated(Box::new(Grant::of(&principal, now)));
        let (principal, login) = (id.clone(), offer.login.clone());
        let event = RegistryEvent::KeysRotated { principal, login, keys };
        Ok(Verdict { events: vec![event], answer })
    }

    /// The answer to a rotation, unless another one came after it.
    pub(super) fn rotated(&self, offer: &Offer) -> Result<Answer, Refusal> {
        let present = self.signer.login == offer.login
            && offer.keys.iter().all(|key| self.signer.has_living_key(key.id));
        if !present {
            return Err(self.not_current());
        }
        Ok(Answer::Rotated(Box::new(Grant::of(self.signer, self.now))))
    }
}
