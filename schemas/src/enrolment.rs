//! How principals come in, get their keys certified, and are put out again.
//!
//! **Invariant:** no secret and no secret key is part of any message but the redemption itself,
//! which is never recorded; an invite's secret is known to the registry by its hash alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Capability, PrincipalId, Sha256Hash, Timestamp,
    grants::Grants,
    key::{KeyId, KeyOffer, KeyPurpose, PublicKeyBytes},
    manifest::PrincipalPattern,
    principal::{PrincipalKind, Standing, UserRole},
};

/// Longest life of an invite, in seconds.
pub const INVITE_LIFETIME_S_MAX: u64 = 24 * 3600;
/// Life of an invite when nothing else is said, in seconds.
pub const INVITE_LIFETIME_S_DEFAULT: u64 = 3600;
/// Life of the JWT that a principal logs in with, in seconds.
pub const LOGIN_LIFETIME_S: u64 = 3600;
/// Life of the JWT with which one can do nothing but get a new one, in seconds.
pub const RENEWAL_LIFETIME_S: u64 = 30 * 24 * 3600;
/// Life of a certificate of a principal's key, in seconds.
pub const CERTIFICATE_LIFETIME_S: u64 = 365 * 24 * 3600;
/// Longest life of a token, in seconds.
pub const TOKEN_LIFETIME_S_MAX: u64 = 90 * 24 * 3600;
/// Most certificates that travel with one message.
pub const CERTIFICATES_MAX: usize = 24;
/// How old the newest roster of a node may be before it takes no more tasks, in seconds.
pub const ROSTER_AGE_S_MAX: u64 = 24 * 3600;

/// Changes whom others trust; the body of a signed order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// Lets somebody new in.
    Invite(Invite),
    /// Puts a principal out; it may come back with a new invite.
    Evict {
        /// Who.
        principal: PrincipalId,
        /// Why.
        reason: String,
    },
    /// Puts a principal out for good.
    Ban {
        /// Who.
        principal: PrincipalId,
        /// Why.
        reason: String,
    },
    /// Gives a person another role.
    SetRole {
        /// Who.
        person: PrincipalId,
        /// What they may do from now on.
        role: UserRole,
    },
    /// Lets others see and task an agent.
    Share {
        /// Which.
        agent: PrincipalId,
        /// With whom.
        with: PrincipalPattern,
    },
    /// Ends that.
    Unshare {
        /// Which.
        agent: PrincipalId,
        /// With whom no more.
        with: PrincipalPattern,
    },
    /// Takes a key out of use; nothing that it signed counts any more.
    RevokeKey {
        /// Which.
        key: KeyId,
        /// Why.
        reason: String,
    },
    /// Replaces the keys of whoever signs the order. The old ones stay good for what they signed.
    RotateKeys {
        /// The new ones, each with the proof that the signer has it.
        keys: KeySet,
    },
    /// Records a token of whoever signs the order.
    CreateToken(NewToken),
    /// Ends a token.
    RevokeToken {
        /// Its id.
        token: String,
    },
}

/// Lets somebody new in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// Names it: 32 hexadecimal digits, made by whoever invites.
    pub invite: String,
    /// SHA-256 of the secret that the invited one will show.
    pub secret_hash: Sha256Hash,
    /// NATS public key that may redeem it.
    pub redeemer: String,
    /// Who will have come in.
    pub principal: PrincipalId,
    /// What they will be; services are not invited.
    pub kind: PrincipalKind,
    /// What a person may do; absent for agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<UserRole>,
    /// Whose the agent will be; whoever invites when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PrincipalId>,
    /// What an agent may advertise, by name or pattern; anything when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<Capability>>,
    /// Seconds in which it must be redeemed.
    pub lifetime_s: u64,
}

/// The public keys of a principal, and the proof that it has their secret halves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeySet {
    /// NATS public key to log in with.
    pub login: String,
    /// Its signature over the set and what it is for, in base64.
    pub login_proof: String,
    /// The others, each purpose once, by purpose.
    pub keys: Vec<KeyOffer>,
    /// Their signatures over the same, in base64, in the same order.
    pub proofs: Vec<String>,
}

/// A token, as whoever makes it hands it in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Names it: 32 hexadecimal digits.
    pub token: String,
    /// For people.
    pub name: String,
    /// The certificate of its key, signed with the maker's own, in base64.
    pub certificate: String,
    /// Its secret key, sealed under the token's secret, in base64.
    pub sealed: String,
}

/// Hands in a signed order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderRequest {
    /// The signed envelope, in base64. Without it the answer is `UNSIGNED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<String>,
    /// Certificates of the signer's key, in base64, each after the one that vouches for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
}

/// Answer to [`OrderRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "did", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OrderAnswer {
    /// Somebody may come in.
    Invited {
        /// The invite.
        invite: String,
        /// Until when.
        expires_at: Timestamp,
        /// What the invited one logs in with to redeem it, and for nothing else.
        jwt: String,
    },
    /// The keys are replaced.
    Rotated {
        /// What the principal has now.
        membership: Membership,
    },
    /// It is done.
    Done {},
}

/// Redeems an invite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedeemRequest {
    /// Which.
    pub invite: String,
    /// Its secret, in base64.
    pub secret: String,
    /// The keys that the new principal made.
    pub keys: KeySet,
}

/// What a principal is given: answer to a redemption and to a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// Who it is.
    pub principal: PrincipalId,
    /// What it is.
    pub kind: PrincipalKind,
    /// What a person may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<UserRole>,
    /// Whose it is.
    pub owner: PrincipalId,
    /// What every signature is bound to.
    pub cluster: String,
    /// What it logs in with.
    pub jwt: String,
    /// What it can get a new one with when that one has run out, and nothing else.
    pub renewal_jwt: String,
    /// When the first of the two ends.
    pub expires_at: Timestamp,
    /// Certificates of its keys, in base64, each after the one that vouches for it.
    pub certificates: Vec<String>,
}

/// Asks for a new JWT and current certificates, in one's own name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {}

/// Asks for the roster; answered with [`SignedRoster`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetRosterRequest {}

/// Who is out and who may act everywhere, signed by the enrolment key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedRoster {
    /// The signed [`crate::claims::RosterClaims`], in base64.
    pub envelope: String,
    /// Certificates of the key, in base64.
    pub certificates: Vec<String>,
}

/// Who may task an agent besides those that it accepts itself; part of the roster that it is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentAccess {
    /// Which agent.
    pub agent: PrincipalId,
    /// Whose it is.
    pub owner: PrincipalId,
    /// With whom it is shared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<PrincipalPattern>,
}

/// Lists principals; absent fields select all that the asker may see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetPrincipalsRequest {
    /// Exactly this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PrincipalKind>,
    /// Go on after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<PrincipalId>,
    /// How many at most; 100 when absent, 1000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Answer to [`GetPrincipalsRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetPrincipalsAnswer {
    /// By id.
    pub principals: Vec<PrincipalView>,
    /// Where to go on, when there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PrincipalId>,
}

/// A principal as others see it; also a row of `cortex_principals`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrincipalView {
    /// Who.
    pub id: PrincipalId,
    /// What.
    pub kind: PrincipalKind,
    /// What a person may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<UserRole>,
    /// Whose; itself for people and services.
    pub owner: PrincipalId,
    /// Whether it may take part.
    pub standing: Standing,
    /// What an agent may advertise; anything when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<Capability>>,
    /// NATS public key that it logs in with.
    pub login: String,
    /// Its keys, also those that have ended.
    pub keys: Vec<KeyView>,
    /// When it came in.
    pub enrolled_at: Timestamp,
    /// When anything of this last changed.
    pub updated_at: Timestamp,
}

/// A certified key as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyView {
    /// Which.
    pub id: KeyId,
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Its bytes.
    pub key: PublicKeyBytes,
    /// First second in which it may sign, since the Unix epoch.
    pub not_before_s: u64,
    /// First second in which it may sign no more, since the Unix epoch.
    pub not_after_s: u64,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// Tokens of the asker, or of all for whoever sees everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetTokensRequest {
    /// Only tokens behind this one, as `next` of the page before named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Answer to [`GetTokensRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetTokensAnswer {
    /// By id.
    pub tokens: Vec<TokenView>,
    /// Where to go on, when there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A token as others see it; never its secret, nor what is sealed under it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenView {
    /// Its id.
    pub token: String,
    /// For people.
    pub name: String,
    /// Whose it is.
    pub owner: PrincipalId,
    /// Its key.
    pub key: KeyId,
    /// What may be asked for with it.
    pub grants: Grants,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// Asks for what is sealed under a token; for gateways only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnsealRequest {
    /// The token's id.
    pub token: String,
}

/// Answer to [`UnsealRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnsealAnswer {
    /// Which token.
    pub token: TokenView,
    /// Its secret key, sealed under the token's secret, in base64.
    pub sealed: String,
    /// Certificates of its key, in base64, each after the one that vouches for it.
    pub certificates: Vec<String>,
}

/// Lists invites that were neither confirmed nor have run out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetInvitesRequest {}

/// Answer to [`GetInvitesRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetInvitesAnswer {
    /// By principal.
    pub invites: Vec<InviteView>,
}

/// An invite as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteView {
    /// Names it.
    pub invite: String,
    /// Who it is for.
    pub principal: PrincipalId,
    /// What they will be.
    pub kind: PrincipalKind,
    /// Whose the agent will be.
    pub owner: PrincipalId,
    /// Who invited.
    pub by: PrincipalId,
    /// How far it is.
    pub state: InviteState,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// How far an invite is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum InviteState {
    /// Nobody has redeemed it.
    Unused,
    /// It was redeemed with one set of keys, and only that set may do so again.
    Pending,
    /// Whoever redeemed it has come in.
    Used,
}
