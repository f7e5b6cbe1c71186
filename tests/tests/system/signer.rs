//! Signs requests as the person who ran `cortex up`, without the command line between.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cortex_tests::Installation;
use schemas::claims::RequestClaims;
use schemas::scheduler::SubmitRequest;
use schemas::task::TaskSpec;
use schemas::{Audience, PrincipalId, TaskId};
use trust::{ClusterName, Request, SecretKey};

/// How long the requests of tests may be carried out, in seconds.
const REQUEST_LIVES_S: u64 = 3600;

/// The person's key, and what their signatures are bound to.
pub(crate) struct Signer {
    principal: PrincipalId,
    cluster: ClusterName,
    key: SecretKey,
    certificates: Vec<String>,
}

/// A request as it is submitted, as often as needed, and the task that it is.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) task: TaskId,
    pub(crate) request: SubmitRequest,
}

impl Signer {
    pub(crate) fn of(installation: &Installation) -> Result<Self> {
        let login = installation.login()?;
        let file = fs::read_to_string(&login.key).context("reading the person's key")?;
        Ok(Self {
            principal: PrincipalId::parse(&login.principal)?,
            cluster: ClusterName::parse(&login.cluster)?,
            key: SecretKey::from_file(&file)?,
            certificates: login.chain()?,
        })
    }

    pub(crate) fn sign(&self, audience: Audience, spec: &TaskSpec) -> Result<Signed> {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = RequestClaims {
            issuer: self.principal.clone(),
            subject: self.principal.clone(),
            audience,
            expires_at_s: now_s + REQUEST_LIVES_S,
            not_before_s: now_s,
            issued_at_s: now_s,
            nonce: rand::random(),
            spec_json: serde_json::to_string(spec)?,
            grants: schemas::grants::Grants::default(),
            parent: None,
            trace: None,
            partition: 0,
        };
        let envelope = trust::sign::<Request>(&claims, &self.cluster, &self.key)
            .map_err(|error| anyhow!("signing: {error}"))?;
        let task = trust::task_id(&claims.issuer, &claims.nonce);
        let request = SubmitRequest {
            envelope: Some(STANDARD.encode(envelope)),
            certificates: self.certificates.clone(),
            rendering: None,
        };
        Ok(Signed { task, request })
    }
}
