//! A token asks in a person's name within its bounds, and nobody finds its secret.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cortex_tests::{Installation, Member, eventually_some};
use schemas::claims::RequestClaims;
use schemas::enrolment::{UnsealAnswer, UnsealRequest};
use schemas::scheduler::{SubmitAnswer, SubmitRequest, verb};
use schemas::subject::ServiceName::{Registry, Scheduler};
use schemas::task::{TaskSpec, Work};
use schemas::{Audience, Fault, TaskId};
use serde_json::Value;
use trust::{ClusterName, Request, SecretKey, TokenText, sign, unseal_token};

use crate::fleet::{DEADLINE, Shared, check_refused, connect, creds_file, events, good};
use crate::secrets::traces::{Secrets, Traces};
use crate::stage::{id, now_s};

static CORTEX: Shared = Shared::new();

/// A token as its holder has it, and what the registry keeps of it.
struct Token {
    text: String,
    id: String,
    key: SecretKey,
    certificates: Vec<String>,
}

impl Token {
    async fn create(cortex: &Installation, words: &[&str]) -> Result<Self> {
        let create = [&["token", "create", "-o", "json", "--name", "ci"], words].concat();
        let made: Value = cortex.cortex(&create).await?.json()?;
        let text = made["token"].as_str().context("a token")?.to_owned();
        let parsed = TokenText::parse(&text).map_err(|error| anyhow!("{error}"))?;
        let said = cortex.cortex(&["events", "registry", "-o", "json"]).await?;
        let events = events(&said);
        let is_own = |it: &&Value| it["event"]["token"]["token"] == parsed.id();
        let event = events.iter().find(is_own).context("no event")?;
        let part = |name: &str| event["event"][name].as_str().context("a part");
        let key = unseal_token(parsed.id(), parsed.secret(), part("sealed")?)
            .map_err(|error| anyhow!("unsealing: {error}"))?;
        let mut certificates = cortex.login()?.chain()?;
        certificates.push(part("certificate")?.to_owned());
        Ok(Self { id: parsed.id().to_owned(), text, key, certificates })
    }

    /// What a gateway does with it: one request, signed in its owner's name.
    async fn ask(&self, cortex: &Installation, audience: Audience) -> Result<TaskId, Fault> {
        let request = self.sign(cortex, audience).map_err(internal)?;
        let owner = connect(cortex, "owner", creds_file(cortex, "owner")).await;
        let owner = owner.map_err(internal)?;
        let answer: SubmitAnswer = owner.request(Scheduler, verb::SUBMIT, &request).await?;
        Ok(answer.task)
    }

    fn sign(&self, cortex: &Installation, audience: Audience) -> Result<SubmitRequest> {
        let argv = ["echo", "by token"].map(str::to_owned).to_vec();
        let work = Work::Command { argv, cwd: None, env: BTreeMap::new(), stdin: None };
        let now_s = now_s();
        let claims = RequestClaims {
            issuer: id("owner"),
            subject: id("owner"),
            audience,
            expires_at_s: now_s + 60,
            not_before_s: now_s,
            issued_at_s: now_s,
            nonce: rand::random(),
            spec_json: serde_json::to_string(&TaskSpec::new(work))?,
            grants: schemas::grants::Grants::default(),
            parent: None,
            trace: None,
            partition: 0,
        };
        let cluster = ClusterName::parse(&cortex.login()?.cluster)?;
        let envelope = sign::<Request>(&claims, &cluster, &self.key)?;
        Ok(SubmitRequest {
            envelope: Some(STANDARD.encode(envelope)),
            certificates: self.certificates.clone(),
            rendering: None,
        })
    }
}

fn internal(error: anyhow::Error) -> Fault {
    Fault::new(schemas::ErrorCode::Internal, format!("{error:#}"))
}

fn node(name: &str) -> Audience {
    Audience::Node(id(name))
}

fn check_fault(asked: Result<TaskId, Fault>, codes: &[&str]) -> Result<()> {
    let fault = asked.err().context("it was taken")?;
    ensure!(codes.contains(&fault.code.as_str()), "{fault}");
    Ok(())
}

#[tokio::test]
async fn a_token_is_printed_once_and_asks_within_its_bounds_alone() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let _one = Member::node(&cortex, "token-1", (&[], &[])).await?;
    let _two = Member::node(&cortex, "token-2", (&[], &[])).await?;
    let token = Token::create(&cortex, &["--on", "token-1"]).await?;
    let task = token.ask(&cortex, node("token-1")).await.map_err(|fault| anyhow!("{fault}"))?;
    good(cortex.cortex(&["task", "wait", task.as_str()]).await?)?;
    let logs = good(cortex.cortex(&["task", "logs", task.as_str()]).await?)?;
    assert_eq!(logs, "by token\n");
    check_fault(token.ask(&cortex, node("token-2")).await, &["GRANTS_EXCEEDED"])?;
    let any = Audience::Can(schemas::Capability::parse("shell.exec")?);
    check_fault(token.ask(&cortex, any).await, &["GRANTS_EXCEEDED"])?;
    let listed = good(cortex.cortex(&["token", "ls", "-o", "json"]).await?)?;
    let secret = token.text.rsplit('_').next().context("a secret")?;
    ensure!(listed.contains(&token.id) && !listed.contains(secret), "{listed}");
    Ok(())
}

#[tokio::test]
async fn a_token_that_was_revoked_or_has_run_out_is_refused() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let _node = Member::node(&cortex, "token-3", (&[], &[])).await?;
    let token = Token::create(&cortex, &["--on", "token-3"]).await?;
    token.ask(&cortex, node("token-3")).await.map_err(|fault| anyhow!("{fault}"))?;
    let brief = Token::create(&cortex, &["--on", "token-3", "--ttl", "1s"]).await?;
    good(cortex.cortex(&["token", "revoke", &token.id]).await?)?;
    let refused = async || token.ask(&cortex, node("token-3")).await;
    check_fault(refused().await, &["KEY_REVOKED"])?;
    let ended = || async { brief.ask(&cortex, node("token-3")).await.err() };
    let fault = eventually_some(DEADLINE, ended).await?;
    assert_eq!(fault.code.as_str(), "KEY_NOT_VALID", "{fault}");
    Ok(())
}

#[tokio::test]
async fn what_is_sealed_under_a_token_is_for_gateways_alone() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let token = Token::create(&cortex, &["--on", "nobody"]).await?;
    let ann = Member::person(&cortex, "token-ann", "user").await?;
    let folder = ann.home().join("config/members");
    let place = std::fs::read_dir(folder)?.next().context("a membership")??.path();
    let request = UnsealRequest { token: token.id.clone() };
    for (name, creds) in [
        ("owner", creds_file(&cortex, "owner")),
        ("admin", creds_file(&cortex, "admin")),
        ("scheduler", creds_file(&cortex, "scheduler")),
        ("token-ann", place.join("login.creds")),
    ] {
        let client = connect(&cortex, name, creds).await?;
        let call = client.call(Registry, schemas::registry::verb::UNSEAL);
        let call = call.deadline(std::time::Duration::from_secs(10));
        let answer: Result<UnsealAnswer, Fault> = call.send(&request).await;
        let fault = answer.err().with_context(|| format!("{name} had it unsealed"))?;
        let refused = ["NOT_ALLOWED", "PERMISSION_DENIED"].contains(&fault.code.as_str());
        ensure!(refused, "{name}: {fault}");
    }
    // Nor does anybody else see that there is one, or end it.
    let listed = good(ann.cortex(&["token", "ls", "-o", "json"]).await?)?;
    ensure!(!listed.contains(&token.id), "{listed}");
    check_refused(&ann.cortex(&["token", "revoke", &token.id]).await?, "TOKEN_INVALID")
}

#[tokio::test]
async fn no_secret_of_a_token_is_written_anywhere() -> Result<()> {
    let cortex = CORTEX.get().await?;
    let token = Token::create(&cortex, &["--on", "*"]).await?;
    let secret = token.text.split('_').nth(2).context("a secret")?.to_owned();
    let key = token.key.to_file();
    let key = key.lines().max_by_key(|line| line.len()).context("a key")?.trim().to_owned();
    let values = [("secret".to_owned(), secret), ("key".to_owned(), key)];
    let secrets = Secrets::of(BTreeMap::from(values));
    let traces = Traces::collect(&cortex, &secrets).await?;
    ensure!(traces.found.is_empty(), "{:#?}", traces.found);
    ensure!(10 < traces.messages && 10 < traces.files, "{traces:?}");
    ensure!(secrets.check("the token", token.text.as_bytes()).is_err());
    Ok(())
}
