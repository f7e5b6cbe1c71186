//! `cortex token`: keys for programs that ask in a person's name, bounded in what and how long.
//!
//! **Invariant:** a token's secret leaves this process in the printed token alone; the registry holds
//! the key sealed under it, and can neither use nor open it.

use std::{process::ExitCode, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand};
use client::Client;
use schemas::{
    Capability, Fault, Timestamp,
    claims::CertificateClaims,
    enrolment::{
        GetTokensAnswer, GetTokensRequest, NewToken, Order, TOKEN_LIFETIME_S_MAX, TokenView,
    },
    grants::Grants,
    key::{KeyOffer, PublicKeyBytes},
    manifest::PrincipalPattern,
    registry::verb,
    subject::ServiceName::Registry,
};
use trust::{Purpose, SecretKey, TokenText, certify, seal_token};
use zeroize::Zeroizing;

use super::{Outcome, Session, order, parse, session::now, sign::Signer};
use crate::{
    cli::Globals,
    output::{Column, Listing, Row, local_time, note},
};

/// How long a token is good when nothing else is said.
const TOKEN_LIVES: Duration = Duration::from_secs(30 * 24 * 3600);

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it; it cannot be shown again.
    Create(CreateArgs),
    /// List tokens.
    Ls,
    /// End a token.
    Revoke {
        /// Its id.
        token: String,
    },
}

/// What a token is good for.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What it is for, for people.
    #[arg(long)]
    name: String,
    /// An agent that may be tasked with it: an id, prefix-* or *; as often as needed.
    #[arg(long, value_name = "AGENT", value_parser = parse::principals, required_unless_present = "can")]
    on: Vec<PrincipalPattern>,
    /// A capability that may be asked for with it, as often as needed.
    #[arg(long, value_name = "CAPABILITY", value_parser = Capability::parse)]
    can: Vec<Capability>,
    /// A credential that its tasks may use, as often as needed.
    #[arg(long, value_name = "NAME")]
    credential: Vec<String>,
    /// How long it is good, 90 days at most; 30d when absent.
    #[arg(long, value_parser = parse::duration, value_name = "TIME")]
    ttl: Option<Duration>,
}

pub(super) async fn carry_out(globals: &Globals, command: TokenCommand) -> Outcome {
    let session = Session::open(globals)?;
    match command {
        TokenCommand::Create(args) => create(&session, args).await,
        TokenCommand::Ls => list(&session).await,
        TokenCommand::Revoke { token } => {
            let said = [("revoked", token.clone())];
            order::carry(&session, Order::RevokeToken { token }, &said).await
        }
    }
}

async fn create(session: &Session, args: CreateArgs) -> Outcome {
    let CreateArgs { name, on, can, credential, ttl } = args;
    let bounds =
        Grants { agents: on, capabilities: can, credentials: credential, ..Grants::default() };
    let lives_s = ttl.unwrap_or(TOKEN_LIVES).as_secs().clamp(1, TOKEN_LIFETIME_S_MAX);
    let made = make(session, bounds, lives_s)?;
    let MadeToken { text, token, certificate, sealed } = made;
    let order = Order::CreateToken(NewToken { token: token.clone(), name, certificate, sealed });
    let client = session.connect().await?;
    order::give(session, &client, &order).await?;
    client.close().await;
    if !session.printer.is_for_machines() {
        note("whoever has this token asks in your name; it is not shown again");
    }
    let said = serde_json::json!({ "token": *text, "id": token });
    session.printer.show_line(&said, &text)?;
    Ok(ExitCode::SUCCESS)
}

/// A token before the registry knows of it.
struct MadeToken {
    /// What its holder has.
    text: Zeroizing<String>,
    token: String,
    certificate: String,
    sealed: String,
}

fn make(session: &Session, bounds: Grants, lives_s: u64) -> Result<MadeToken, Fault> {
    let Signer { key, cluster, .. } = Signer::of(&session.context)?;
    let text = TokenText::from_entropy(&rand::random(), &Zeroizing::new(rand::random()));
    let token = text.id().to_owned();
    let own = SecretKey::from_entropy(Purpose::TaskIssuer, &Zeroizing::new(rand::random()));
    let now_s = now().seconds();
    let claims = CertificateClaims {
        issuer: session.context.principal.clone(),
        subject: session.context.principal.clone(),
        key: KeyOffer {
            purpose: Purpose::TaskIssuer,
            key: PublicKeyBytes(*own.public().as_bytes()),
        },
        issued_at_s: now_s,
        not_before_s: now_s,
        not_after_s: now_s.saturating_add(lives_s),
        bounds: Some(bounds),
    };
    let certificate = certify(&claims, &cluster, &key).map_err(|error| error.to_fault())?;
    let sealed = seal_token(&token, text.secret(), &own);
    let certificate = STANDARD.encode(certificate);
    Ok(MadeToken { text: text.to_text(), token, certificate, sealed })
}

async fn tokens(client: &Client) -> Result<GetTokensAnswer, Fault> {
    let mut all = GetTokensAnswer { tokens: Vec::new(), next: None };
    let mut after: Option<String> = None;
    loop {
        let request = GetTokensRequest { after };
        let page: GetTokensAnswer = client.request(Registry, verb::GET_TOKENS, &request).await?;
        all.tokens.extend(page.tokens);
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

async fn list(session: &Session) -> Outcome {
    let client = session.connect().await?;
    let answer = tokens(&client).await?;
    let columns = [
        Column::Usual("ID"),
        Column::Usual("NAME"),
        Column::Usual("OF"),
        Column::Usual("STATE"),
        Column::Usual("UNTIL"),
        Column::Wide("GRANTS"),
        Column::Wide("KEY"),
    ];
    let at = now();
    let rows = answer.tokens.iter().map(|token| {
        Row::new(vec![
            token.token.clone(),
            token.name.clone(),
            token.owner.to_string(),
            state(token, at).to_owned(),
            local_time(Some(token.expires_at)),
            serde_json::to_string(&token.grants).unwrap_or_default(),
            token.key.to_string(),
        ])
    });
    session.printer.show(&answer, &Listing::new(&columns, rows))?;
    client.close().await;
    Ok(ExitCode::SUCCESS)
}

fn state(token: &TokenView, now: Timestamp) -> &'static str {
    match token.revoked_at {
        Some(_) => "revoked",
        None if token.expires_at <= now => "ended",
        None => "valid",
    }
}
