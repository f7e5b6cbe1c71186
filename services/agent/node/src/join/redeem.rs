//! What passes between the new member and the cluster: the redemption, and the first login.
//!
//! **Invariant:** what the registry gives is believed only as far as the pinned root vouches for it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::{Client, ConnectError, ConnectOptions, Credentials};
use schemas::{
    ErrorCode, PrincipalId, Sha256Hash,
    enrolment::{Membership, RedeemRequest, RenewRequest},
    registry::verb,
    subject::ServiceName,
};
use sha2::{Digest as _, Sha256};
use trust::{
    Anchor, ClusterName, Possession, PublicKey, Purpose, TrustAnchors,
    nats::{Creds, Jwt, Nkey, NkeyKind},
};
use zeroize::Zeroizing;

use super::{InviteLine, JoinError, keys::Keys, line::InvalidLine, place::Place};
use crate::{clock, incoming::decode_certificates};

/// How long a connection may take before this machine is told that nobody answers.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long the registry may take to answer, with the client's own retries.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Where the line leads, and whom to trust there.
pub(super) struct Way<'a> {
    pub(super) line: &'a InviteLine,
    pub(super) place: &'a Place,
    pub(super) cluster: ClusterName,
    pub(super) anchors: TrustAnchors,
}

impl<'a> Way<'a> {
    /// # Errors
    ///
    /// When the line names no cluster, or a root key that nobody can trust.
    pub(super) fn new(line: &'a InviteLine, place: &'a Place) -> Result<Self, JoinError> {
        let part = |part| JoinError::Line(InvalidLine::Part(part));
        let cluster = ClusterName::parse(&line.cluster).map_err(|_| part("cluster"))?;
        let key = PublicKey::from_bytes(Purpose::Root, &line.root.key.0);
        let mut anchors = TrustAnchors::new(cluster.clone());
        let root = Anchor {
            key: key.map_err(|_| part("root key"))?,
            principal: line.root.principal.clone(),
            not_before_s: 0,
            not_after_s: u64::MAX,
            revoked_at_s: None,
            acts_for: std::collections::BTreeSet::new(),
        };
        anchors.add(root).map_err(|_| part("root key"))?;
        Ok(Self { line, place, cluster, anchors })
    }

    /// Connects with what the line itself allows.
    pub(super) async fn connect_as_invited(&self) -> Result<Client, JoinError> {
        let part = |part| JoinError::Line(InvalidLine::Part(part));
        let (jwt, _) = Jwt::parse(&self.line.jwt).map_err(|_| part("jwt"))?;
        let key = Nkey::from_seed(NkeyKind::User, &self.line.seed).map_err(|_| part("seed"))?;
        let creds = Creds::new(&jwt, key).map_err(|_| part("seed"))?;
        self.connect(self.line.redeemer(), creds).await.map_err(|error| match error {
            ConnectError::Refused { .. } => JoinError::Ended(error),
            ConnectError::Url { .. }
            | ConnectError::Login { .. }
            | ConnectError::Unreachable { .. }
            | ConnectError::Inbox { .. } => JoinError::Connect(error),
        })
    }

    async fn connect(&self, principal: PrincipalId, creds: Creds) -> Result<Client, ConnectError> {
        let mut options = ConnectOptions::new(self.line.url.clone(), principal);
        options.credentials = Credentials::Creds(Box::new(creds));
        options.ca = self.line.ca.as_ref().map(|_| self.place.path(super::CA));
        options.connect_within = Some(CONNECT_WITHIN);
        options.max_reconnects = Some(3);
        Client::connect(options).await
    }

    /// Proves that the keys are this machine's, and shows the secret. The same keys may do so again.
    pub(super) async fn redeem(
        &self,
        client: &Client,
        keys: &Keys,
    ) -> Result<Membership, JoinError> {
        let secret = STANDARD.decode(&*self.line.secret).map(Zeroizing::new);
        let secret = secret.map_err(|_| JoinError::Line(InvalidLine::Part("secret")))?;
        let secret_hash = Sha256Hash(Sha256::digest(&*secret).into());
        let possession = Possession::Invite { invite: &self.line.invite, secret_hash };
        let signing: Vec<_> = keys.signing.iter().collect();
        let request = RedeemRequest {
            invite: self.line.invite.clone(),
            secret: self.line.secret.to_string(),
            keys: trust::prove_possession(&self.cluster, &possession, &keys.login, &signing),
        };
        let call = client.call(ServiceName::Registry, verb::REDEEM).deadline(ANSWER_WITHIN);
        let answer = call.send(&request).await;
        drop(Zeroizing::new(request.secret));
        answer.map_err(|fault| JoinError::Refused { principal: self.line.redeemer(), fault })
    }

    /// Believes what the registry gave, if all of it fits the line, the keys and the pinned root.
    pub(super) fn check(&self, membership: &Membership, keys: &Keys) -> Result<(), JoinError> {
        let untrusted = |code, problem: String| JoinError::Untrusted { problem, code };
        let Membership { principal, kind, cluster, .. } = membership;
        let line = self.line;
        if (principal, kind, cluster) != (&line.principal, &line.kind, &line.cluster) {
            let problem = format!("it is for the {kind:?} {principal} of {cluster}");
            return Err(untrusted(ErrorCode::PrincipalTaken, problem));
        }
        for jwt in [&membership.jwt, &membership.renewal_jwt] {
            let fits = Jwt::parse(jwt).is_ok_and(|(_, summary)| {
                summary.subject == keys.login.public().as_str()
                    && summary.name == principal.as_str()
            });
            if !fits {
                let problem = "its JWTs are not for this machine's key".to_owned();
                return Err(untrusted(ErrorCode::CertificateInvalid, problem));
            }
        }
        let mut anchors = self.anchors.clone();
        let certificates = decode_certificates(&membership.certificates)
            .map_err(|fault| untrusted(fault.code, fault.message))?;
        anchors
            .admit(&certificates, clock::wall())
            .map_err(|error| untrusted(error.code(), error.to_string()))?;
        for key in &keys.signing {
            let public = key.public();
            let certified = anchors.lookup(public.id(), public.purpose());
            if !certified.is_ok_and(|anchor| anchor.principal == *principal) {
                let problem = format!("no certificate vouches for its {} key", public.purpose());
                return Err(untrusted(ErrorCode::CertificateInvalid, problem));
            }
        }
        Ok(())
    }

    /// Logs in as the new member, so that the registry knows that it kept what it was given. What
    /// has run out meanwhile the node renews when it starts.
    pub(super) async fn confirm(
        &self,
        membership: &Membership,
        keys: &Keys,
    ) -> Result<(), JoinError> {
        if membership.expires_at <= clock::wall() {
            return Ok(());
        }
        let (login, _) = credentials(membership, &keys.login)?;
        let principal = &membership.principal;
        let client = self.connect(principal.clone(), login).await.map_err(JoinError::Connect)?;
        let call = client.call(ServiceName::Registry, verb::RENEW).deadline(ANSWER_WITHIN);
        let answer = call.send::<_, Membership>(&RenewRequest {}).await;
        client.close().await;
        let refused = |fault| JoinError::Refused { principal: principal.clone(), fault };
        answer.map(drop).map_err(refused)
    }
}

/// What the member logs in with, and what it renews that with.
pub(super) fn credentials(
    membership: &Membership,
    login: &Nkey,
) -> Result<(Creds, Creds), JoinError> {
    let creds = |text: &str| {
        let (jwt, _) = Jwt::parse(text).map_err(|error| error.to_string())?;
        Creds::new(&jwt, login.clone()).map_err(|error| error.to_string())
    };
    let both = creds(&membership.jwt).and_then(|jwt| Ok((jwt, creds(&membership.renewal_jwt)?)));
    both.map_err(|problem| JoinError::Untrusted { problem, code: ErrorCode::CertificateInvalid })
}
