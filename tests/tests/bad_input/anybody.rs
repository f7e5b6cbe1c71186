//! A login that may speak as anybody, so that services hear what no broker would let through to them.
//!
//! Whoever holds the operator's signing key can admit such a one; Cortex itself never does.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cortex_tests::Installation;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tokio::time::timeout;
use trust::nats::{Creds, Jwt, Nkey, NkeyKind};

const DEADLINE: Duration = Duration::from_secs(30);
/// How much later than Cortex's own the account is said to be signed, in seconds: the registry pushes
/// its own whenever somebody goes, and of two the broker keeps the later.
const AHEAD_S: u64 = 24 * 3600;

fn file(cortex: &Installation) -> PathBuf {
    cortex.home().join("anybody.creds")
}

/// What it logs in with.
pub(crate) fn creds(cortex: &Installation) -> Result<Creds> {
    Ok(Creds::from_file(&fs::read_to_string(file(cortex))?)?)
}

/// Tells the broker of a signing key without limits, and makes a user with it.
pub(crate) async fn admit(cortex: &Installation) -> Result<()> {
    let kept = fs::read_to_string(cortex.home().join("config/keys/broker.toml"))?;
    let kept: toml::Table = kept.parse()?;
    let text = |name: &str| kept[name].as_str().context("no such key").map(str::to_owned);
    let (account, operator) = (text("account")?, KeyPair::from_seed(&text("signing_seed")?)?);
    let unlimited = KeyPair::new_account();

    let configured = fs::read_to_string(cortex.home().join("state/run/nats.conf"))?;
    let mark = format!("{account}: ");
    let jwt = configured.lines().find_map(|line| line.trim().strip_prefix(&mark));
    let mut claims = claims(jwt.context("the account is not configured")?)?;
    let keys = claims["nats"]["signing_keys"].as_array_mut().context("no signing keys")?;
    keys.push(json!(unlimited.public_key()));
    let issued_at_s = claims["iat"].as_u64().context("no time")? + AHEAD_S;
    claims["iat"] = json!(issued_at_s);
    push(cortex, sign(&claims, &operator)?).await?;

    let key = Nkey::from_entropy(NkeyKind::User, &zeroize::Zeroizing::new(rand::random()));
    let user = json!({
        "iat": issued_at_s, "iss": unlimited.public_key(), "jti": "", "name": "anybody",
        "sub": key.public().as_str(),
        "nats": {
            "issuer_account": account, "type": "user", "version": 2,
            "subs": -1, "data": -1, "payload": -1,
        },
    });
    let (jwt, _) = Jwt::parse(&sign(&user, &unlimited)?)?;
    Ok(fs::write(file(cortex), Creds::new(&jwt, key)?.to_file())?)
}

async fn push(cortex: &Installation, account: String) -> Result<()> {
    let system = cortex.home().join("config/creds/system.creds");
    let options = async_nats::ConnectOptions::with_credentials_file(system).await?;
    let client = options.connect(cortex.url()?).await?;
    let update = client.request("$SYS.REQ.CLAIMS.UPDATE", account.into());
    let answer = timeout(DEADLINE, update).await.context("no answer")??;
    let answer: Value = serde_json::from_slice(&answer.payload)?;
    ensure!(answer["data"]["code"] == 200, "{answer}");
    Ok(())
}

fn claims(jwt: &str) -> Result<Value> {
    let claims = jwt.split('.').nth(1).context("no JWT")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?)
}

fn sign(claims: &Value, key: &KeyPair) -> Result<String> {
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())?);
    Ok(format!("{signed}.{signature}"))
}
