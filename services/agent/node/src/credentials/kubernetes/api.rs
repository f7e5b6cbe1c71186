//! Asks the Kubernetes API for a secret, as the pod's service account.
//!
//! **Invariant:** the account's token goes to the API's own address over TLS and nowhere else: the
//! certificate must come from the account's authority, no redirect is followed, no proxy is used.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use ureq::{
    Agent,
    tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem},
};
use zeroize::Zeroizing;

use super::Wanted;
use crate::credentials::{
    CredentialSources,
    error::{Unavailable, cannot},
    secret::Secret,
};

/// How long the API may take in all, below what one credential may take.
const API_LIMIT: Duration = Duration::from_secs(10);
/// Longest answer: a secret has 1 MiB, in base64, with what else is said about it.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest token, namespace or list of certificates of an account.
const ACCOUNT_BYTES_MAX: u64 = 1024 * 1024;

/// What of a secret counts. The values are borrowed, so that no copy of one is left behind.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default, borrow)]
    data: BTreeMap<&'a str, &'a str>,
}

pub(super) fn ask(sources: &CredentialSources, wanted: Wanted<'_>) -> Result<Secret, Unavailable> {
    let api = address(sources).ok_or(Unavailable::NoKubernetes)?;
    let account = sources.account_dir();
    let token = text(&account.join("token"), "read the service account's token")?;
    let namespace = match wanted.namespace {
        Some(namespace) => namespace.to_owned(),
        None => text(&account.join("namespace"), "read the service account's namespace")?
            .trim()
            .to_owned(),
    };
    let url = format!("{api}/api/v1/namespaces/{namespace}/secrets/{}", wanted.name);
    let authorization = Zeroizing::new(format!("Bearer {}", token.trim()));
    let answer = agent(&account)?
        .get(url)
        .header("Authorization", authorization.as_str())
        .header("Accept", "application/json")
        .call()
        .map_err(not_asked)?;
    match answer.status().as_u16() {
        200 => chosen(&body(answer)?, wanted.key),
        status => Err(Unavailable::Refused { status, meaning: meaning(status) }),
    }
}

/// Where the API is, as Kubernetes tells every pod.
fn address(sources: &CredentialSources) -> Option<String> {
    if let Some(api) = &sources.kubernetes_api {
        return Some(api.trim_end_matches('/').to_owned());
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let host = variable("KUBERNETES_SERVICE_HOST")?;
    let port = variable("KUBERNETES_SERVICE_PORT")?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Some(format!("https://{host}:{port}"))
}

fn agent(account: &Path) -> Result<Agent, Unavailable> {
    let attempt = "read the service account's certificates";
    let pem = text(&account.join("ca.crt"), attempt)?;
    let certificates: Vec<_> = parse_pem(pem.as_bytes())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            Ok(_) | Err(_) => None,
        })
        .collect();
    if certificates.is_empty() {
        let source = io::Error::new(io::ErrorKind::InvalidData, "ca.crt holds no certificate");
        return Err(Unavailable::Io { attempt, source });
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::new_with_certs(&certificates))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let config = Agent::config_builder()
        .https_only(true)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(API_LIMIT))
        .tls_config(tls)
        .build();
    Ok(config.new_agent())
}

fn text(path: &Path, attempt: &'static str) -> Result<Zeroizing<String>, Unavailable> {
    let mut text = Zeroizing::new(String::new());
    let file = fs::File::open(path).map_err(cannot(attempt))?;
    file.take(ACCOUNT_BYTES_MAX).read_to_string(&mut text).map_err(cannot(attempt))?;
    Ok(text)
}

fn body(answer: ureq::http::Response<ureq::Body>) -> Result<Zeroizing<Vec<u8>>, Unavailable> {
    // The buffer never grows, so no copy of its beginning is left behind.
    let mut body = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
    let limit = u64::try_from(ANSWER_BYTES_MAX).unwrap_or(u64::MAX);
    let read = answer.into_body().into_with_config().limit(limit).reader().read_to_end(&mut body);
    read.map_err(cannot("read the Kubernetes API's answer"))?;
    Ok(body)
}

fn chosen(body: &[u8], key: Option<&str>) -> Result<Secret, Unavailable> {
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|_| Unavailable::Senseless)?;
    let encoded = match key {
        Some(key) => answer.data.get(key).ok_or(Unavailable::NoSuchKey)?,
        None if answer.data.len() == 1 => {
            answer.data.values().next().ok_or(Unavailable::NoSuchKey)?
        }
        None => return Err(Unavailable::KeyUnclear { count: answer.data.len() }),
    };
    let value = STANDARD.decode(encoded).map_err(|_| Unavailable::Senseless)?;
    Secret::new(Zeroizing::new(value))
}

fn meaning(status: u16) -> &'static str {
    match status {
        401 => ": it does not accept the service account's token",
        403 => ": the service account may not get this secret",
        404 => ": there is no such secret",
        _ => "",
    }
}

/// These errors tell of the connection, never of what went over it.
fn not_asked(error: ureq::Error) -> Unavailable {
    Unavailable::NotAsked { problem: error.to_string() }
}
