//! Who gets in: what the operator vouches for, for as long as it does, and nobody who asks for more
//! than a proof.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use client::{Client, ConnectError, ConnectOptions, Credentials, LinkState};
use cortex_tests::NatsServer;
use schemas::ErrorCode;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::time::timeout;
use trust::nats::{Creds, NkeyKind, Role};

use crate::stage::{REGISTRY, Stage, connect, id, new_key, now_s};
use crate::trial::{check_allowed, check_denied, publish};

const DEADLINE: Duration = Duration::from_secs(20);
/// How long a revoked user may stay.
const REVOKED_WITHIN: Duration = Duration::from_secs(2);

async fn refused(server: &NatsServer, creds: Creds) -> Result<()> {
    let name = creds.summary().name.clone();
    let options = ConnectOptions {
        credentials: Credentials::Creds(Box::new(creds)),
        ..ConnectOptions::new(server.url(), id("alpha"))
    };
    let error = Client::connect(options).await.err().with_context(|| format!("{name} got in"))?;
    assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    assert_eq!(error.to_fault().code, ErrorCode::PermissionDenied);
    Ok(())
}

#[tokio::test]
async fn only_a_roles_signing_key_makes_users_of_it() -> Result<()> {
    let stage = Stage::open().await?;
    let key = new_key(NkeyKind::User);
    let claims = stage.keys.user(Role::Node, "alpha", &key);
    // The account's own key, and one that nobody has heard of.
    for signer in [stage.keys.account.clone(), new_key(NkeyKind::Account)] {
        refused(&stage.server, Creds::new(&claims.sign(&signer)?, key.clone())?).await?;
    }
    // A key of nodes makes nodes, whatever they are called.
    let claims = stage.keys.user(Role::Admin, "root", &key);
    let creds = Creds::new(&claims.sign(stage.keys.scope(Role::Node))?, key)?;
    let impostor = connect(&stage.server, creds).await?;
    check_denied(&impostor, &publish(&["$JS.API.INFO", "$SRV.PING"])).await?;
    check_allowed(&impostor, &publish(&["cortex.hb.root"])).await?;
    // A key of services makes that service, whatever it is called.
    let key = new_key(NkeyKind::User);
    let claims = stage.keys.user(Role::Node, "alpha", &key);
    let creds = Creds::new(&claims.sign(stage.keys.scope(REGISTRY))?, key)?;
    let options = ConnectOptions {
        credentials: Credentials::Creds(Box::new(creds)),
        inbox_prefix: "_INBOX.registry".to_owned(),
        ..ConnectOptions::new(stage.server.url(), id("alpha"))
    };
    let impostor = Client::connect(options).await?;
    check_allowed(&impostor, &publish(&["cortex.beat.registry.0"])).await?;
    check_denied(&impostor, &publish(&["cortex.hb.alpha", "cortex.cmd.alpha.registry.register"]))
        .await
}

#[tokio::test]
async fn a_revoked_user_is_out_at_once_and_stays_out() -> Result<()> {
    let stage = Stage::open().await?;
    let (creds, others) =
        (stage.keys.creds(Role::Node, "alpha"), stage.join(Role::Node, "beta").await?);
    let alpha = connect(&stage.server, creds.clone()).await?;
    let mut changes = alpha.on_change();
    let system = connect(&stage.server, stage.keys.system_creds()).await?;
    let out = creds_key(&creds);
    // The server compares times in seconds; ours may be the second in which it was started.
    let later_s = now_s() + 1;
    let jwt = stage.keys.cortex_account(BTreeMap::from([(out, later_s)]), later_s)?;
    let began = Instant::now();
    let answer =
        system.ask("$SYS.REQ.CLAIMS.UPDATE", jwt.as_str().to_owned().into(), DEADLINE).await?;
    assert!(String::from_utf8_lossy(&answer.payload).contains("\"code\":200"), "{answer:?}");
    timeout(DEADLINE, changes.wait_for(|state| *state != LinkState::Connected)).await??;
    assert!(began.elapsed() < REVOKED_WITHIN, "{:?}", began.elapsed());
    refused(&stage.server, creds.clone()).await?;
    assert!(others.connected(), "others stay");
    // The configuration file still has the account as it was before.
    stage.server.restart().await?;
    refused(&stage.server, creds).await?;
    stage.join(Role::Node, "gamma").await?;
    Ok(())
}

fn creds_key(creds: &Creds) -> trust::nats::PublicNkey {
    trust::nats::PublicNkey::parse(NkeyKind::User, &creds.summary().subject).unwrap()
}

#[tokio::test]
async fn a_user_whose_time_is_over_is_refused() -> Result<()> {
    let stage = Stage::open().await?;
    let key = new_key(NkeyKind::User);
    let mut claims = stage.keys.user(Role::Node, "alpha", &key);
    claims.expires_at_s = Some(now_s() - 10);
    let jwt = claims.sign(stage.keys.scope(Role::Node))?;
    refused(&stage.server, Creds::new(&jwt, key.clone())?).await?;
    claims.expires_at_s = Some(now_s() + 60);
    let jwt = claims.sign(stage.keys.scope(Role::Node))?;
    connect(&stage.server, Creds::new(&jwt, key)?).await?;
    Ok(())
}

#[tokio::test]
async fn a_renewed_file_counts_at_the_next_connection() -> Result<()> {
    let stage = Stage::open().await?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("alpha.creds");
    std::fs::write(&path, stage.keys.creds(Role::Node, "alpha").to_file())?;
    let options = || ConnectOptions {
        credentials: Credentials::CredsFile(path.clone()),
        ..ConnectOptions::new(stage.server.url(), id("alpha"))
    };
    let client = Client::connect(options()).await?;
    std::fs::write(&path, stage.keys.creds(Role::Person, "alpha").to_file())?;
    check_allowed(&client, &publish(&["cortex.hb.alpha"])).await?;
    let mut changes = client.on_change();
    stage.server.restart().await?;
    let connects = client.nats().statistics();
    let again = || async { 2 <= connects.connects.load(std::sync::atomic::Ordering::Relaxed) };
    cortex_tests::eventually(DEADLINE, again).await?;
    timeout(DEADLINE, changes.wait_for(|state| *state == LinkState::Connected)).await??;
    check_denied(&client, &publish(&["cortex.hb.alpha"])).await?;

    for (text, word) in [("", "no credentials file"), ("x", "exactly one JWT")] {
        std::fs::write(&path, text)?;
        let fault = Client::connect(options()).await.unwrap_err().to_fault();
        assert_eq!(fault.code, ErrorCode::ConfigInvalid);
        assert!(fault.message.contains(word) && fault.message.contains("alpha"), "{fault}");
    }
    Ok(())
}

#[tokio::test]
async fn attack_95_a_hostile_servers_nonce_gets_no_signature_of_a_checkpoint() -> Result<()> {
    let checkpoint = "cortex/test/audit/1\\n7\\nqINS1GRFhWHwdkUeqLEoP4yEMkTBBzxBkGwGQlVlVcs=\\n";
    for (nonce, signs) in [(checkpoint, false), ("PXoWU7zWAMt75FY", true)] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("nats://{}", listener.local_addr()?);
        let hostile = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let hello = format!(
                "INFO {{\"server_id\":\"x\",\"version\":\"2.15.1\",\"max_payload\":1048576,\
                 \"proto\":1,\"headers\":true,\"nonce\":\"{nonce}\"}}\r\n"
            );
            stream.write_all(hello.as_bytes()).await?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).await?;
            anyhow::Ok(line)
        });
        let key = new_key(NkeyKind::User);
        let claims = trust::nats::UserClaims {
            principal: id("alpha"),
            role: Role::Node,
            key: key.public(),
            account: new_key(NkeyKind::Account).public(),
            issued_at_s: now_s(),
            expires_at_s: None,
        };
        let creds = Creds::new(&claims.sign(&new_key(NkeyKind::Account))?, key)?;
        let options = ConnectOptions {
            credentials: Credentials::Creds(Box::new(creds)),
            connect_within: Some(Duration::ZERO),
            ..ConnectOptions::new(url, id("alpha"))
        };
        let error = Client::connect(options).await.unwrap_err();
        let said = timeout(DEADLINE, hostile).await???;
        assert_eq!(said.contains("\"sig\""), signs, "{said}");
        assert_eq!(matches!(error, ConnectError::Login { .. }), !signs, "{error:?}");
    }
    Ok(())
}
