//! Signs what the core has granted: certificates, logins, the roster.
//!
//! **Invariant:** the same grant always gives the same certificates, so a principal that asks again
//! has nothing new to distribute.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use registry_core::{GATEWAY, Grant, InviteGrant, RosterContent, SealedToken};
use schemas::{
    ErrorCode, Fault, PrincipalId, Timestamp,
    claims::{CertificateClaims, RosterClaims},
    enrolment::{Membership, OrderAnswer, SignedRoster, UnsealAnswer},
    principal::{PrincipalKind, UserRole},
    registry::CertifiedKey,
    subject::ServiceName,
};
use trust::{
    Roster, certify,
    nats::{NkeyKind, PublicNkey, Role},
    sign,
};

use crate::Issuing;

impl Issuing {
    pub(crate) fn membership(&self, grant: &Grant) -> Result<Membership, Fault> {
        let now_s = grant.at.seconds();
        let role = broker_role(grant)?;
        let login = |role, lifetime_s| {
            self.login((&grant.principal, role), &grant.login, (now_s, lifetime_s))
        };
        let keys = grant.keys.iter().map(|key| self.certificate(&grant.principal, key));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        Ok(Membership {
            principal: grant.principal.clone(),
            kind: grant.kind,
            role: grant.role,
            owner: grant.owner.clone(),
            cluster: self.anchors.cluster().to_string(),
            jwt: login(role, self.login_lifetime_s)?,
            renewal_jwt: login(Role::Renewer, self.renewal_lifetime_s)?,
            expires_at: Timestamp::from_seconds(now_s.saturating_add(self.login_lifetime_s)),
            certificates: self.chain.iter().cloned().chain(keys).collect(),
        })
    }

    pub(crate) fn invited(&self, grant: &InviteGrant) -> Result<OrderAnswer, Fault> {
        let name = format!("invite-{}", grant.invite);
        let enroller = PrincipalId::parse(&name).map_err(|error| internal(&error))?;
        let now_s = grant.at.seconds();
        let lifetime_s = grant.expires_at.seconds().saturating_sub(now_s);
        let jwt = self.login((&enroller, Role::Enroller), &grant.redeemer, (now_s, lifetime_s))?;
        let (invite, expires_at) = (grant.invite.clone(), grant.expires_at);
        Ok(OrderAnswer::Invited { invite, expires_at, jwt })
    }

    pub(crate) fn roster(&self, content: RosterContent) -> Result<SignedRoster, Fault> {
        let RosterContent { version, revoked, overseers, access, at } = content;
        let (issuer, issued_at_s) = (self.registry.clone(), at.seconds());
        let claims = RosterClaims { issuer, issued_at_s, version, revoked, overseers, access };
        let cluster = self.anchors.cluster();
        let envelope =
            sign::<Roster>(&claims, cluster, &self.key).map_err(|error| internal(&error))?;
        let envelope = STANDARD.encode(envelope);
        Ok(SignedRoster { envelope, certificates: self.chain.clone() })
    }

    pub(crate) fn unsealed(&self, sealed: SealedToken) -> Result<UnsealAnswer, Fault> {
        let SealedToken { token, sealed, voucher, certificate } = sealed;
        let voucher = self.certificate(&token.owner, &voucher)?;
        let certificates = self.chain.iter().cloned().chain([voucher, certificate]).collect();
        Ok(UnsealAnswer { token, sealed, certificates })
    }

    fn certificate(&self, subject: &PrincipalId, key: &CertifiedKey) -> Result<String, Fault> {
        let claims = CertificateClaims {
            issuer: self.registry.clone(),
            subject: subject.clone(),
            key: key.offer,
            // A key that is older than the one that certifies could not be certified otherwise.
            issued_at_s: key.not_before_s.max(self.valid_from_s),
            not_before_s: key.not_before_s,
            not_after_s: key.not_after_s,
            bounds: None,
        };
        let certificate = certify(&claims, self.anchors.cluster(), &self.key);
        certificate.map(|bytes| STANDARD.encode(bytes)).map_err(|error| internal(&error))
    }

    fn login(
        &self,
        (principal, role): (&PrincipalId, Role),
        key: &str,
        (now_s, lifetime_s): (u64, u64),
    ) -> Result<String, Fault> {
        let key = PublicNkey::parse(NkeyKind::User, key).map_err(|error| {
            let message = format!("{principal} has no login that can be renewed: {error}");
            Fault::new(ErrorCode::NotAllowed, message)
        })?;
        let jwt = self.logins.user_jwt(principal, role, &key, now_s, lifetime_s);
        jwt.map(|jwt| jwt.as_str().to_owned()).map_err(|error| internal(&error))
    }
}

/// As what a principal logs in.
fn broker_role(grant: &Grant) -> Result<Role, Fault> {
    match grant.kind {
        PrincipalKind::Agent => Ok(Role::Node),
        PrincipalKind::Person => match grant.role {
            Some(UserRole::Auditor) => Ok(Role::Auditor),
            Some(UserRole::Admin | UserRole::Operator | UserRole::User) | None => Ok(Role::Person),
        },
        PrincipalKind::Service if grant.principal.as_str() == GATEWAY => Ok(Role::Gateway),
        PrincipalKind::Service => {
            let service = ServiceName::parse(grant.principal.as_str()).map(Role::Service);
            service.ok_or_else(|| {
                let message = format!("{} is no service of this version", grant.principal);
                Fault::new(ErrorCode::NotAllowed, message)
            })
        }
    }
}

/// Signing what the core granted can fail only if one of the two is wrong.
fn internal(error: &(dyn std::error::Error + 'static)) -> Fault {
    tracing::error!(error, "what was granted cannot be signed");
    Fault::new(ErrorCode::Internal, format!("what was granted cannot be signed: {error}"))
}
