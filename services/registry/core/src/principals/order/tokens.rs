//! Who may make tokens and end them.

use schemas::{
    ErrorCode, Fault, PrincipalId, Timestamp,
    enrolment::{TOKEN_LIFETIME_S_MAX, TokenView},
    grants::Grants,
    key::KeyId,
    principal::PrincipalKind,
    registry::RegistryEvent,
};

use super::{Bench, Verdict, check_hex_id, check_text};
use crate::{
    Rejection,
    principals::{Refusal, TOKENS_LIVING_MAX, token::TOKENS_KEPT_MAX},
};

/// Largest sealed key and largest certificate of a token, in characters of base64.
const SEALED_BYTES_MAX: usize = 1024;
const CERTIFICATE_BYTES_MAX: usize = 8 * 1024;

/// A token, with what its certificate says after it was verified: the signer of the order vouches
/// for the token's key, within bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenTerms {
    /// Its id.
    pub token: String,
    /// For people.
    pub name: String,
    /// Its key.
    pub key: KeyId,
    /// The key of its maker that vouches for it.
    pub voucher: KeyId,
    /// What may be asked for with it.
    pub grants: Grants,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The certificate, in base64.
    pub certificate: String,
    /// The secret key, sealed, in base64.
    pub sealed: String,
}

impl Bench<'_> {
    pub(super) fn create_token(&self, terms: &TokenTerms) -> Result<Verdict, Rejection> {
        self.check_terms(terms)?;
        let principals = self.state.principals();
        let (id, key) = (&terms.token, terms.key);
        if principals.token(id).is_some() {
            return Err(
                Refusal::TokenInvalid { token: id.clone(), problem: "is there already" }.into()
            );
        }
        let tokens = || principals.tokens();
        if principals.holder(key).is_some() || tokens().any(|token| token.view.key == key) {
            return Err(Refusal::KeyUsedBefore { key }.into());
        }
        self.check_room_for_token()?;
        let view = TokenView {
            token: id.clone(),
            name: terms.name.clone(),
            owner: self.signer.id.clone(),
            key,
            grants: terms.grants.clone(),
            created_at: self.now,
            expires_at: terms.expires_at,
            revoked_at: None,
        };
        Ok(Verdict::done(vec![RegistryEvent::TokenCreated {
            token: Box::new(view),
            voucher: terms.voucher,
            certificate: terms.certificate.clone(),
            sealed: terms.sealed.clone(),
        }]))
    }

    /// Tokens that have run out are remembered for as long as what was signed with them can count,
    /// so short ones must not be made without end either.
    fn check_room_for_token(&self) -> Result<(), Refusal> {
        let tokens = self.state.principals().tokens();
        let mine = tokens.filter(|token| token.view.owner == self.signer.id);
        let mine: Vec<_> = mine.filter(|token| token.can_count(self.now)).collect();
        let living = mine.iter().filter(|token| self.now < token.view.expires_at).count();
        if TOKENS_LIVING_MAX <= living {
            let what = "tokens that have not run out";
            return Err(Refusal::TooMany { what, limit: TOKENS_LIVING_MAX });
        }
        if TOKENS_KEPT_MAX <= mine.len() {
            let what = "tokens of the last month and of now";
            return Err(Refusal::TooMany { what, limit: TOKENS_KEPT_MAX });
        }
        Ok(())
    }

    fn check_terms(&self, terms: &TokenTerms) -> Result<(), Rejection> {
        check_hex_id("token", &terms.token)?;
        check_text("name", &terms.name)?;
        if self.signer.kind == PrincipalKind::Service {
            return Err(self.forbidden("make tokens").into());
        }
        let invalid = |problem| Refusal::TokenInvalid { token: terms.token.clone(), problem };
        if terms.voucher != self.key {
            return Err(invalid("is not vouched for by the key that signed the order").into());
        }
        let latest = self.now.plus_ms(TOKEN_LIFETIME_S_MAX.saturating_mul(1000));
        if terms.expires_at <= self.now || latest < terms.expires_at {
            return Err(invalid("must end within 90 days").into());
        }
        let large = SEALED_BYTES_MAX < terms.sealed.len()
            || CERTIFICATE_BYTES_MAX < terms.certificate.len();
        if large {
            let message = "what is sealed or its certificate is too large for a token";
            return Err(Fault::new(ErrorCode::TooLarge, message).into());
        }
        Ok(())
    }

    pub(super) fn revoke_token(&self, id: &str) -> Result<Verdict, Rejection> {
        let token = self.state.principals().token(id);
        let mine = |owner: &PrincipalId| *owner == self.signer.id || self.is_admin();
        // Whoever may not end it does not learn whether it is there.
        let token = token.filter(|token| mine(&token.view.owner)).ok_or_else(|| {
            Refusal::TokenInvalid { token: id.to_owned(), problem: "is none of the signer's" }
        })?;
        if token.view.revoked_at.is_some() {
            return Ok(Verdict::done(Vec::new()));
        }
        Ok(Verdict::done(vec![RegistryEvent::TokenRevoked {
            token: id.to_owned(),
            owner: token.view.owner.clone(),
            by: self.signer.id.clone(),
        }]))
    }
}
