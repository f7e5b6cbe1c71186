//! Secrets of Kubernetes, asked of an API that is a process of its own and speaks TLS.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cortex_tests::{Guarded, eventually_some};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use schemas::{ErrorCode, task::TaskSpec};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};

use crate::{
    SOON,
    credentials::{config, stdout},
    stage::{Stage, shell},
};

/// The folder of the API that runs as a process of its own; unset in every other process.
const CHILD_API: &str = "CORTEX_TEST_KUBERNETES";
const ACCOUNT_TOKEN: &str = "account-token-77c1";
const VALUE: &str = "val-91e0b2c44d";
/// Longer than any answer that a node reads.
const HUGE_BYTES: usize = 5 * 1024 * 1024;

/// A certificate authority and what it vouches for, as DER.
struct Vouched {
    authority: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

fn vouch() -> Result<Vouched> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?;
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate()?;
    let server = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
    Ok(Vouched {
        authority: authority.der().to_vec(),
        certificate: server.der().to_vec(),
        key: key.serialize_der(),
    })
}

/// As Kubernetes mounts it into every pod.
fn account(folder: &Path, token: &str, authority: &[u8]) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let lines: Vec<String> = STANDARD
        .encode(authority)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    let pem =
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    fs::write(folder.join("ca.crt"), pem)?;
    fs::write(folder.join("token"), format!("{token}\n"))?;
    fs::write(folder.join("namespace"), "home")?;
    Ok(folder.to_owned())
}

/// An API in a process of its own.
struct Api {
    _process: Guarded,
    folder: PathBuf,
    address: String,
    authority: Vec<u8>,
}

impl Api {
    async fn start(stage: &Stage) -> Result<Self> {
        let folder = stage.folder.path().join("api");
        fs::create_dir_all(&folder)?;
        let Vouched { authority, certificate, key } = vouch()?;
        fs::write(folder.join("certificate"), certificate)?;
        fs::write(folder.join("key"), key)?;
        let exe = std::env::current_exe()?;
        let exe = exe.to_str().context("the path of the test is text")?;
        let variable = format!("{CHILD_API}={}", folder.display());
        let args = [&variable, exe, "--exact", "kubernetes::child_that_is_an_api", "--nocapture"];
        let log = folder.join("log");
        let process = Guarded::spawn(Path::new("/usr/bin/env"), args, &folder, &log)?;
        let port = || async { fs::read_to_string(folder.join("port")).ok() };
        let port = eventually_some(SOON, port).await?;
        Ok(Self {
            _process: process,
            address: format!("https://127.0.0.1:{port}"),
            folder,
            authority,
        })
    }

    /// What was asked of it: path and authorization.
    fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("asked")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// Not a case of its own: the API of the cases here.
#[tokio::test]
async fn child_that_is_an_api() -> Result<()> {
    let Some(folder) = std::env::var_os(CHILD_API).map(PathBuf::from) else { return Ok(()) };
    let certificate = CertificateDer::from(fs::read(folder.join("certificate"))?);
    let key = PrivateKeyDer::try_from(fs::read(folder.join("key"))?).map_err(anyhow::Error::msg)?;
    let tls = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port().to_string();
    fs::write(folder.join("port.new"), port)?;
    fs::rename(folder.join("port.new"), folder.join("port"))?;
    loop {
        let (connection, _) = listener.accept().await?;
        if let Err(error) = serve(&acceptor, connection, &folder).await {
            println!("a connection failed: {error}");
        }
    }
}

async fn serve(acceptor: &TlsAcceptor, connection: TcpStream, folder: &Path) -> Result<()> {
    let mut stream = BufReader::new(acceptor.accept(connection).await?);
    let (mut path, mut authorization) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let line = line.trim_end();
        match line.split_once(' ') {
            None => break,
            Some(("GET", rest)) => rest.trim_end_matches(" HTTP/1.1").clone_into(&mut path),
            Some((name, value)) if name.eq_ignore_ascii_case("authorization:") => {
                value.clone_into(&mut authorization);
            }
            Some(_) => (),
        }
    }
    let mut log = fs::OpenOptions::new().create(true).append(true).open(folder.join("asked"))?;
    writeln!(log, "{path} {authorization}")?;
    let (status, more, body) = answer(&path, &authorization);
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

fn answer(path: &str, authorization: &str) -> (&'static str, &'static str, String) {
    if authorization != format!("Bearer {ACCOUNT_TOKEN}") {
        return ("401 Unauthorized", "", json!({ "kind": "Status" }).to_string());
    }
    let secret = |data: serde_json::Value| {
        json!({ "kind": "Secret", "metadata": { "managedFields": [] }, "data": data }).to_string()
    };
    let value = STANDARD.encode(VALUE);
    let Some(name) = path.strip_prefix("/api/v1/namespaces/") else {
        return ("404 Not Found", "", String::new());
    };
    match name {
        "cortex/secrets/creds" => ("200 OK", "", secret(json!({ "token": value, "user": "bWU=" }))),
        "home/secrets/one" => ("200 OK", "", secret(json!({ "only": value }))),
        "home/secrets/bare" => ("200 OK", "", json!({ "kind": "Secret" }).to_string()),
        "home/secrets/odd" => ("200 OK", "", secret(json!({ "only": "%%%" }))),
        "home/secrets/text" => ("200 OK", "", "<html>".to_owned()),
        "home/secrets/huge" => ("200 OK", "", " ".repeat(HUGE_BYTES)),
        "home/secrets/banned" => ("403 Forbidden", "", String::new()),
        "home/secrets/moved" => {
            ("302 Found", "Location: /api/v1/namespaces/cortex/secrets/creds\r\n", String::new())
        }
        _ => ("404 Not Found", "", String::new()),
    }
}

fn asks_for(name: &str) -> TaskSpec {
    TaskSpec {
        credentials: vec![name.to_owned()],
        ..shell("cd $CREDENTIALS_DIRECTORY; sha256sum < $(ls); cat *")
    }
}

fn references() -> Vec<(&'static str, String)> {
    let names = ["one", "bare", "odd", "text", "huge", "banned", "moved", "gone"];
    let mut all: Vec<_> = names.iter().map(|name| (*name, format!("k8s-secret:{name}"))).collect();
    all.push(("keyed", "k8s-secret:cortex/creds#token".to_owned()));
    all.push(("unclear", "k8s-secret:cortex/creds".to_owned()));
    all.push(("keyless", "k8s-secret:cortex/creds#other".to_owned()));
    all
}

/// What the node says about each credential that it does not get.
async fn check_refused(stage: &Stage, cases: &[(&str, &str)]) -> Result<()> {
    for (name, problem) in cases {
        let task = stage.plane.submit(&asks_for(name)).await?;
        let outcome = stage.plane.outcome(&task).await?;
        let fault = outcome.fault.with_context(|| format!("{name} was had"))?;
        assert_eq!(fault.code, ErrorCode::CredentialUnavailable);
        assert!(fault.message.contains(problem), "{name}: {fault}");
        assert!(!fault.message.contains(ACCOUNT_TOKEN) && !fault.message.contains(VALUE));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_asked_of_the_api_as_the_pods_account() -> Result<()> {
    let stage = Stage::set().await?;
    let api = Api::start(&stage).await?;
    let mut config = config(&stage, &references());
    let folder = account(&stage.folder.path().join("account"), ACCOUNT_TOKEN, &api.authority)?;
    config.credential_sources.kubernetes_account_dir = Some(folder);
    config.credential_sources.kubernetes_api = Some(api.address.clone());
    let node = stage.node_with(config).await?;
    let hash = "40e1e3b01726a5aac48c42061a81ca5e2654304647edeb7f39d71ea157fb77e2";
    for name in ["one", "keyed"] {
        let task = stage.plane.submit(&asks_for(name)).await?;
        let outcome = stage.plane.outcome(&task).await?;
        assert_eq!(stdout(&outcome), format!("{hash}  -\n[credential {name}]"), "{outcome:?}");
    }
    let cases = [
        ("bare", "the secret has 0 keys"),
        ("odd", "the Kubernetes API's answer is no secret"),
        ("text", "the Kubernetes API's answer is no secret"),
        ("huge", "cannot read the Kubernetes API's answer"),
        ("banned", "answered 403: the service account may not get this secret"),
        ("moved", "the Kubernetes API answered 302"),
        ("gone", "answered 404: there is no such secret"),
        ("unclear", "the secret has 2 keys"),
        ("keyless", "the secret has no such key"),
    ];
    check_refused(&stage, &cases).await?;
    let moved =
        api.asked().iter().rposition(|line| line.contains("/moved")).context("not asked")?;
    assert!(api.asked()[moved + 1].contains("/gone"), "{:?}", api.asked());
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_with_a_strangers_certificate_never_sees_the_accounts_token() -> Result<()> {
    let stage = Stage::set().await?;
    let api = Api::start(&stage).await?;
    let mut config = config(&stage, &references());
    let strangers = vouch()?.authority;
    let folder = account(&stage.folder.path().join("account"), ACCOUNT_TOKEN, &strangers)?;
    config.credential_sources.kubernetes_account_dir = Some(folder.clone());
    config.credential_sources.kubernetes_api = Some(api.address.clone());
    let node = stage.node_with(config).await?;
    check_refused(&stage, &[("one", "the Kubernetes API cannot be asked")]).await?;
    assert_eq!(api.asked(), Vec::<String>::new());
    account(&folder, "outdated", &api.authority)?;
    check_refused(&stage, &[("one", "it does not accept the service account's token")]).await?;
    assert_eq!(api.asked(), ["/api/v1/namespaces/home/secrets/one Bearer outdated"]);
    fs::write(folder.join("ca.crt"), "nothing")?;
    check_refused(&stage, &[("one", "ca.crt holds no certificate")]).await?;
    node.stop().await
}
