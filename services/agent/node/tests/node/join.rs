//! Joining: whole, killed anywhere, repeated, and with everything about it that can be wrong.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    pin::pin,
    process::{Command, Stdio},
    task::{Context, Poll, Waker},
};

use agent_node::{InviteLine, JoinError, JoinOptions, JoinStep, NodeConfig};
use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use schemas::{
    Capability, ErrorCode, key::PublicKeyBytes, principal::PrincipalKind, task::Verdict,
};

use crate::{
    cluster::{Cluster, join},
    plane::{NODE, id},
    stage::echo,
};

/// Home, line and last step of a join that is killed; unset in every other process.
const CHILD_JOIN: [&str; 3] =
    ["CORTEX_TEST_JOIN_HOME", "CORTEX_TEST_JOIN_LINE", "CORTEX_TEST_JOIN_LAST"];

/// Not a case of its own: the machine that dies while it joins.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_dies_while_it_joins() {
    let [Ok(home), Ok(line), Ok(last)] = CHILD_JOIN.map(std::env::var) else { return };
    let options = JoinOptions { home: home.into(), ..JoinOptions::default() };
    let mut die = |step: JoinStep| {
        if format!("{step:?}") == last {
            std::process::abort();
        }
    };
    agent_node::join(&line, &options, &mut die).await.unwrap();
}

fn die_at(step: JoinStep, home: &Path, line: &InviteLine) -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["--exact", "join::child_that_dies_while_it_joins", "--nocapture"]);
    let values = [home.display().to_string(), line.to_text().to_string(), format!("{step:?}")];
    child.envs(CHILD_JOIN.into_iter().zip(values)).stdout(Stdio::null()).stderr(Stdio::null());
    ensure!(!child.status()?.success(), "it lived through {step:?}");
    Ok(())
}

/// The keys that a machine has made, as far as it has come.
fn keys(home: &Path) -> Vec<String> {
    ["login.seed", "issuer.key", "node-log.key"]
        .iter()
        .filter_map(|name| fs::read_to_string(home.join("keys").join(name)).ok())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_joins_with_one_line_and_runs_tasks() -> Result<()> {
    let cluster = Cluster::found().await?;
    let mut steps = Vec::new();
    let line = cluster.invite()?;
    let mut options = cluster.options();
    options.name = Some("A machine".to_owned());
    options.capabilities = vec![Capability::parse("proxmox.*")?, Capability::parse("shell.exec")?];
    options.labels = [("zone".to_owned(), "a".to_owned())].into();
    let joined = agent_node::join(&line.to_text(), &options, &mut |step| steps.push(step)).await?;
    assert_eq!(steps, JoinStep::ALL);
    assert_eq!((&joined.principal, joined.was_complete), (&id(NODE), false));
    let node = cluster.start(NodeConfig::load(&joined.settings)?).await?;
    let registered = cluster.plane.registered().pop().context("it has registered")?;
    assert_eq!(registered.manifest.name, "A machine");
    assert_eq!(registered.manifest.capabilities.tools, options.capabilities);
    assert_eq!(registered.manifest.labels, options.labels);
    let task = cluster.plane.submit(&echo("hi")).await?;
    let outcome = cluster.plane.outcome(&task).await?;
    assert_eq!(outcome.verdict, Verdict::Succeeded, "{outcome:?}");
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_secret_is_for_the_nodes_user_alone() -> Result<()> {
    let cluster = Cluster::found().await?;
    cluster.join().await?;
    let home = cluster.home();
    let secret = ["keys/login.seed", "keys/issuer.key", "keys/node-log.key", "login.creds"];
    for name in secret.into_iter().chain(["renewal.creds", "node.toml"]) {
        let mode = fs::metadata(home.join(name))?.permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    for folder in ["", "keys"] {
        assert_eq!(fs::metadata(home.join(folder))?.permissions().mode() & 0o077, 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_91_a_join_that_is_killed_after_any_step_is_finished_by_the_same_line() -> Result<()>
{
    let cluster = Cluster::found().await?;
    for step in JoinStep::ALL {
        let line = cluster.invite()?;
        let options = JoinOptions {
            home: cluster.folder.path().join(format!("{step:?}")),
            ..cluster.options()
        };
        die_at(step, &options.home, &line)?;
        let made = keys(&options.home);
        assert_eq!(made.is_empty(), step < JoinStep::KeysMade, "{step:?}");
        let joined = join(&line, &options).await?;
        assert_eq!(joined.was_complete, step == JoinStep::Configured, "{step:?}");
        let now = keys(&options.home);
        assert!(made.is_empty() || made == now, "{step:?}: other keys");
        let config = NodeConfig::load(&joined.settings)?;
        cluster.start(config).await?.stop().await?;
    }
    Ok(())
}

/// The future is dropped at its first point of waiting, its second, and so on.
#[tokio::test(flavor = "multi_thread")]
async fn attack_91_a_join_that_is_interrupted_wherever_it_waits_is_finished_by_the_same_line()
-> Result<()> {
    let cluster = Cluster::found().await?;
    for polls in 1.. {
        let line = cluster.invite()?;
        let home = cluster.folder.path().join(format!("polls-{polls}"));
        let options = JoinOptions { home, ..cluster.options() };
        let finished = poll_times(polls, Box::pin(join(&line, &options))).await;
        join(&line, &options).await?;
        if finished {
            ensure!(4 < polls, "it hardly waited");
            return Ok(());
        }
    }
    Ok(())
}

/// Polls a future so many times and drops it; tells whether it came to its end.
async fn poll_times<F: Future>(times: u32, future: F) -> bool {
    let mut future = pin!(future);
    let mut left = times;
    std::future::poll_fn(|context: &mut Context<'_>| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => {
                Waker::wake_by_ref(context.waker());
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_another_line_began_is_refused() -> Result<()> {
    let cluster = Cluster::found().await?;
    join(&cluster.invite()?, &cluster.options()).await?;
    let before = keys(&cluster.home());
    let error = join(&cluster.invite()?, &cluster.options()).await.unwrap_err();
    assert!(matches!(error, JoinError::OtherLine { .. }), "{error:?}");
    assert_eq!(keys(&cluster.home()), before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_92_a_line_that_was_redeemed_with_other_keys_is_refused() -> Result<()> {
    let cluster = Cluster::found().await?;
    let line = cluster.invite()?;
    join(&line, &cluster.options()).await?;
    let thief = JoinOptions { home: cluster.folder.path().join("thief"), ..cluster.options() };
    let error = join(&line, &thief).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InviteUsed, "{error:?}");
    assert!(!thief.home.join("node.toml").exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_the_lines_root_does_not_vouch_for_is_not_believed() -> Result<()> {
    let cluster = Cluster::found().await?;
    cluster.authority.inner().is_impostor = true;
    let line = cluster.invite()?;
    let error = join(&line, &cluster.options()).await.unwrap_err();
    assert!(matches!(error, JoinError::Untrusted { .. }), "{error:?}");
    assert!(!cluster.home().join("membership.json").exists(), "nothing of it is kept");
    cluster.authority.inner().is_impostor = false;
    join(&line, &cluster.options()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_96_what_is_wrong_with_a_line_is_said_without_its_secrets() -> Result<()> {
    let cluster = Cluster::found().await?;
    let good = cluster.invite()?;
    let other_seed = cluster.invite()?.seed;
    let wrong_secret = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned().into();
    let cases = [
        (InviteLine { kind: PrincipalKind::Person, ..good.clone() }, ErrorCode::PrincipalTaken),
        (InviteLine { secret: wrong_secret, ..good.clone() }, ErrorCode::InviteUnknown),
        (InviteLine { seed: other_seed, ..good.clone() }, ErrorCode::InvalidValue),
        (InviteLine { cluster: "Not One".to_owned(), ..good.clone() }, ErrorCode::InvalidValue),
        (
            InviteLine { url: "nats://127.0.0.1:1".to_owned(), ..good.clone() },
            ErrorCode::Unreachable,
        ),
        (InviteLine { url: "127.0.0.1 4222".to_owned(), ..good.clone() }, ErrorCode::ConfigInvalid),
        (with_root(&good, [0; 32]), ErrorCode::InvalidValue),
        (with_root(&good, [7; 32]), ErrorCode::InvalidValue),
    ];
    for (index, (line, expected)) in cases.into_iter().enumerate() {
        let home = cluster.folder.path().join(format!("case-{index}"));
        let options = JoinOptions { home, ..cluster.options() };
        let error = join(&line, &options).await.unwrap_err();
        assert_eq!(error.code(), expected, "case {index}: {error:?}");
        let shown = format!("{error:?} {error} {:?}", error.to_fault());
        for secret in [&*line.secret, &*line.seed, &line.jwt] {
            assert!(!shown.contains(secret), "case {index}: {shown}");
        }
        assert!(!error.hint().is_empty());
    }
    Ok(())
}

fn with_root(line: &InviteLine, bytes: [u8; 32]) -> InviteLine {
    let mut line = line.clone();
    line.root.key = PublicKeyBytes(bytes);
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_key_is_never_replaced() -> Result<()> {
    let cluster = Cluster::found().await?;
    let line = cluster.invite()?;
    die_at(JoinStep::KeysMade, &cluster.home(), &line)?;
    let path = cluster.home().join("keys/issuer.key");
    let whole = fs::read_to_string(&path)?;
    fs::write(&path, &whole[..whole.len() / 2])?;
    let error = join(&line, &cluster.options()).await.unwrap_err();
    assert!(matches!(error, JoinError::Damaged { .. }), "{error:?}");
    assert_eq!(cluster.authority.inner().redemptions, 0);
    fs::write(&path, whole)?;
    join(&line, &cluster.options()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_the_same_time_in_one_folder_are_told_so() -> Result<()> {
    let cluster = Cluster::found().await?;
    let (line, options) = (cluster.invite()?, cluster.options());
    let both = tokio::join!(join(&line, &options), join(&line, &options));
    let ((Ok(_), Err(error)) | (Err(error), Ok(_))) = both else { panic!("{both:?}") };
    assert!(matches!(error, JoinError::InUse { .. }), "{error:?}");
    Ok(())
}

/// An authority, and the certificate and key of a broker on this machine, as PEM.
fn broker_certificate() -> Result<(String, String, String)> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::<String>::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = pem("CERTIFICATE", ca.self_signed(&ca_key)?.der());
    let key = KeyPair::generate()?;
    let names = CertificateParams::new(vec!["localhost".to_owned()])?;
    let certificate = names.signed_by(&key, &Issuer::new(ca, ca_key))?;
    Ok((authority, pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", &key.serialize_der())))
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_joins_over_tls_and_over_websockets_with_the_lines_own_authority() -> Result<()> {
    let (authority, certificate, key) = broker_certificate()?;
    let files = tempfile::tempdir()?;
    let (certificate_file, key_file) = (files.path().join("crt"), files.path().join("key"));
    fs::write(&certificate_file, certificate)?;
    fs::write(&key_file, key)?;
    let tls = format!("tls {{ cert_file: {certificate_file:?}, key_file: {key_file:?} }}");
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let websocket = format!("websocket {{ listen: \"127.0.0.1:{port}\", {tls} }}");
    let cluster =
        Cluster::found_with(&format!("allow_non_tls: true\n{tls}\n{websocket}\n")).await?;
    let urls = [
        format!("tls://localhost:{}", cluster.broker.address().port()),
        format!("wss://localhost:{port}"),
    ];
    for url in urls {
        let scheme = url.split(':').next().unwrap_or_default().to_owned();
        let line = InviteLine { url, ca: Some(authority.clone()), ..cluster.invite()? };
        let options =
            JoinOptions { home: cluster.folder.path().join(&scheme), ..cluster.options() };
        let joined = join(&line, &options).await.with_context(|| scheme.clone())?;
        cluster.start(NodeConfig::load(&joined.settings)?).await?.stop().await?;
        let stranger = InviteLine { ca: None, ..cluster.invite()? };
        let stranger = InviteLine { url: line.url, ..stranger };
        let options = JoinOptions { home: options.home.join("stranger"), ..cluster.options() };
        let error = join(&stranger, &options).await.unwrap_err();
        assert!(matches!(error, JoinError::Connect(_)), "{scheme}: {error:?}");
    }
    Ok(())
}
