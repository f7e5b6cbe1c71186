//! Signs requests with the context's key, on this machine.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use schemas::{
    Audience, ErrorCode, Fault, TaskId, claims::RequestClaims, grants::Grants,
    scheduler::SubmitRequest, task::TaskSpec,
};
use trust::{ClusterName, Request, SecretKey, sign, task_id};

use super::session::now;
use crate::{
    context::Context,
    material::{Chain, load_key},
};

/// The scheduler's only partition so far.
const PARTITION: u32 = 0;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) audience: Audience,
    pub(crate) spec: TaskSpec,
    /// What the task may itself ask for.
    pub(crate) grants: Grants,
    /// How long the request may be carried out.
    pub(crate) lives: Duration,
}

/// A signed request, and the task that it will be.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) task: TaskId,
    pub(crate) request: SubmitRequest,
}

/// What a context's principal signs with, and what its signatures are bound to.
pub(crate) struct Signer {
    pub(crate) key: SecretKey,
    pub(crate) cluster: ClusterName,
    /// Certificates of the key, for whoever verifies; none where every key is pinned by itself.
    pub(crate) certificates: Vec<String>,
}

impl Signer {
    /// Reads the key that the context names.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` when the context names none, or it is of no use.
    pub(crate) fn of(context: &Context) -> Result<Self, Fault> {
        let missing = |what: &str| {
            let message = format!("the context has no {what} to sign with");
            Fault::new(ErrorCode::ConfigInvalid, message)
                .with_hint("add it with `cortex ctx add`, or use the context that `cortex up` made")
        };
        let path = context.key.as_deref().ok_or_else(|| missing("key"))?;
        let cluster = context.cluster.as_deref().ok_or_else(|| missing("cluster"))?;
        let cluster = ClusterName::parse(cluster)
            .map_err(|error| Fault::new(ErrorCode::ConfigInvalid, error.to_string()))?;
        let key = load_key(path)?;
        let chain = context.certificates.as_deref().map(Chain::read).transpose()?;
        let certificates = chain.map(|chain| chain.to_texts()).unwrap_or_default();
        Ok(Self { key, cluster, certificates })
    }
}

/// Signs an order as the context's principal.
pub(crate) fn sign_order(context: &Context, order: Order) -> Result<Signed, Fault> {
    let Order { audience, spec, grants, lives } = order;
    let Signer { key, cluster, certificates } = Signer::of(context)?;
    spec.validate()?;
    let now_s = now().seconds();
    let claims = RequestClaims {
        issuer: context.principal.clone(),
        subject: context.principal.clone(),
        audience,
        expires_at_s: now_s.saturating_add(lives.as_secs().max(1)),
        not_before_s: now_s,
        issued_at_s: now_s,
        nonce: rand::random(),
        spec_json: serde_json::to_string(&spec)
            .map_err(|error| Fault::new(ErrorCode::SpecInvalid, error.to_string()))?,
        grants,
        parent: None,
        trace: Some(new_trace()),
        partition: PARTITION,
    };
    let envelope = sign::<Request>(&claims, &cluster, &key).map_err(|error| error.to_fault())?;
    let rendering = serde_json::json!({
        "issuer": claims.issuer,
        "audience": claims.audience,
        "expires_at_s": claims.expires_at_s,
        "spec": spec,
    });
    let request = SubmitRequest {
        envelope: Some(STANDARD.encode(envelope)),
        certificates,
        rendering: Some(rendering),
    };
    Ok(Signed { task: task_id(&claims.issuer, &claims.nonce), request })
}

/// A W3C `traceparent` of a trace that begins here.
fn new_trace() -> String {
    format!("00-{:032x}-{:016x}-01", rand::random::<u128>(), rand::random::<u64>())
}
