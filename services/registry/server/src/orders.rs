//! Orders and redemptions, verified before the core hears of them.
//!
//! **Invariant:** the core gets an order only when its signature was verified up to the pinned root,
//! and keys only when each of them proved that its owner has it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use registry_core::{
    Command, Deed, Offer, OfferedKey, PutOut, Redemption, SignedOrder, TokenTerms,
};
use runtime::Caller;
use schemas::{
    ErrorCode, Fault, PrincipalId, Sha256Hash, Timestamp,
    enrolment::{CERTIFICATES_MAX, Invite, KeySet, NewToken, Order, OrderRequest, RedeemRequest},
    key::{KeyOffer, PublicKeyBytes},
    strict,
    subject::ServiceName,
};
use sha2::{Digest as _, Sha256};
use trust::{
    ENVELOPE_BYTES_MAX, Possession, PublicKey, Purpose, Trust, TrustAnchors, Unverified, Verified,
    check_possession,
    nats::{NkeyKind, PublicNkey},
};
use zeroize::Zeroizing;

use crate::Issuing;

/// Reads and verifies an order.
pub(crate) fn order(issuing: &Issuing, body: &[u8], caller: &Caller) -> Result<Command, Fault> {
    let OrderRequest { envelope, certificates } = strict::parse(body)?;
    let Some(envelope) = envelope else {
        return Err(Fault::new(ErrorCode::Unsigned, "the order has no envelope").with_hint(
            "orders are signed by the commands that give them, such as `cortex invite`",
        ));
    };
    let now = Timestamp(caller.now_ms);
    let mut anchors = issuing.anchors.clone();
    admit(&mut anchors, &certificates, now)?;
    let bytes = decode("the envelope", &envelope)?;
    let verified = Unverified::new(&bytes)
        .verify::<trust::Order>(Trust { anchors: &anchors, now }, &&registry())
        .map_err(|error| error.to_fault())?;
    let deed = Reader { anchors: &anchors, verified: &verified, now }.deed()?;
    let claims = verified.claims();
    Ok(Command::Order(Box::new(SignedOrder {
        id: verified.id(),
        signer: claims.issuer.clone(),
        key: verified.key(),
        expires_at: Timestamp::from_seconds(claims.expires_at_s),
        deed,
    })))
}

/// Who carries orders out.
fn registry() -> PrincipalId {
    PrincipalId::parse(ServiceName::Registry.as_str()).expect("the word is an id")
}

fn admit(anchors: &mut TrustAnchors, texts: &[String], now: Timestamp) -> Result<(), Fault> {
    if CERTIFICATES_MAX < texts.len() {
        let message = format!("{} certificates came, the limit is {CERTIFICATES_MAX}", texts.len());
        return Err(Fault::new(ErrorCode::CertificateInvalid, message));
    }
    let certificates = texts.iter().map(|text| decode("a certificate", text));
    let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
    anchors.admit(&certificates, now).map_err(|error| error.to_fault())
}

/// What an order is read with.
struct Reader<'a> {
    anchors: &'a TrustAnchors,
    verified: &'a Verified<trust::Order>,
    now: Timestamp,
}

impl Reader<'_> {
    fn deed(&self) -> Result<Deed, Fault> {
        Ok(match self.verified.order().clone() {
            Order::Invite(invite) => Deed::Invite(Box::new(checked(invite)?)),
            Order::Evict { principal, reason } => {
                Deed::PutOut { principal, reason, how: PutOut::Evict }
            }
            Order::Ban { principal, reason } => {
                Deed::PutOut { principal, reason, how: PutOut::Ban }
            }
            Order::SetRole { person, role } => Deed::SetRole { person, role },
            Order::Share { agent, with } => Deed::Share { agent, with },
            Order::Unshare { agent, with } => Deed::Unshare { agent, with },
            Order::RevokeKey { key, reason } => Deed::RevokeKey { key, reason },
            Order::RotateKeys { keys } => {
                let principal = &self.verified.claims().issuer;
                Deed::RotateKeys(self.offer(&Possession::Rotation { principal }, keys)?)
            }
            Order::CreateToken(token) => Deed::CreateToken(Box::new(self.token(token)?)),
            Order::RevokeToken { token } => Deed::RevokeToken { token },
        })
    }

    fn offer(&self, possession: &Possession<'_>, keys: KeySet) -> Result<Offer, Fault> {
        let proven = check_possession(self.anchors.cluster(), possession, &keys);
        Ok(offer(keys.login, &proven.map_err(|error| error.to_fault())?))
    }

    /// What the certificate of a token says, if the key that signed the order vouches for it.
    fn token(&self, token: NewToken) -> Result<TokenTerms, Fault> {
        let NewToken { token, name, certificate, sealed } = token;
        let bytes = decode("the token's certificate", &certificate)?;
        let voucher = self.verified.key();
        let anchor = self.anchors.lookup(voucher, Purpose::TaskIssuer);
        let anchor = anchor.map_err(|error| Fault::new(error.code(), error.to_string()))?;
        // With this key alone: another key of the signer may be out.
        let mut only = TrustAnchors::new(self.anchors.cluster().clone());
        only.add(anchor.clone()).map_err(|error| Fault::new(error.code(), error.to_string()))?;
        let claims = only.examine(&bytes, self.now).map_err(|error| error.to_fault())?;
        let invalid = |problem: &str| {
            let message = format!("the certificate of token {token} {problem}");
            Fault::new(ErrorCode::TokenInvalid, message)
        };
        let signer = &self.verified.claims().issuer;
        if claims.subject != *signer || claims.key.purpose != Purpose::TaskIssuer {
            return Err(invalid("is not for a key with which its maker asks for tasks"));
        }
        let grants = claims.bounds.ok_or_else(|| invalid("has no bounds"))?;
        let key = public_key(claims.key)?;
        base64_of("what is sealed", &sealed)?;
        let expires_at = Timestamp::from_seconds(claims.not_after_s);
        let key = key.id();
        Ok(TokenTerms { token, name, key, voucher, grants, expires_at, certificate, sealed })
    }
}

/// An invite whose redeemer is a NATS key.
fn checked(invite: Invite) -> Result<Invite, Fault> {
    PublicNkey::parse(NkeyKind::User, &invite.redeemer).map_err(|error| {
        let message = format!("redeemer: {error}");
        Fault::new(ErrorCode::InvalidValue, message)
    })?;
    Ok(invite)
}

/// Reads a redemption, and has every key of it prove that whoever sends it has it.
pub(crate) fn redeem(issuing: &Issuing, body: &[u8], caller: &Caller) -> Result<Command, Fault> {
    let RedeemRequest { invite, secret, keys } = strict::parse(body)?;
    let secret = Zeroizing::new(secret);
    let secret = STANDARD.decode(secret.as_bytes()).map(Zeroizing::new).map_err(|_| {
        // Nothing of it is repeated.
        Fault::new(ErrorCode::InvalidValue, "secret is no base64")
    })?;
    let secret_hash = Sha256Hash(Sha256::digest(&*secret).into());
    let possession = Possession::Invite { invite: &invite, secret_hash };
    let proven = check_possession(issuing.anchors.cluster(), &possession, &keys);
    let offer = offer(keys.login, &proven.map_err(|error| error.to_fault())?);
    let caller = caller.principal.clone();
    Ok(Command::Redeem(Box::new(Redemption { caller, invite, secret_hash, offer })))
}

fn offer(login: String, keys: &[PublicKey]) -> Offer {
    let offered = |key: &PublicKey| OfferedKey {
        id: key.id(),
        offer: KeyOffer { purpose: key.purpose(), key: PublicKeyBytes(*key.as_bytes()) },
    };
    Offer { login, keys: keys.iter().map(offered).collect() }
}

fn public_key(offer: KeyOffer) -> Result<PublicKey, Fault> {
    PublicKey::from_bytes(offer.purpose, &offer.key.0)
        .map_err(|error| Fault::new(error.code(), error.to_string()))
}

fn decode(what: &str, text: &str) -> Result<Vec<u8>, Fault> {
    let bytes = text.len() / 4 * 3;
    if ENVELOPE_BYTES_MAX + 2 < bytes {
        let message = format!("{what} has about {bytes} bytes, the limit is {ENVELOPE_BYTES_MAX}");
        return Err(Fault::new(ErrorCode::EnvelopeTooLarge, message));
    }
    base64_of(what, text)
}

fn base64_of(what: &str, text: &str) -> Result<Vec<u8>, Fault> {
    STANDARD.decode(text).map_err(|error| {
        Fault::new(ErrorCode::EnvelopeMalformed, format!("{what} is not base64: {error}"))
    })
}
