//! `cortex invite`: one line that lets somebody new in.
//!
//! **Invariant:** the secret of an invite leaves this process in the printed line alone; the registry
//! knows its hash.

use std::{process::ExitCode, time::Duration};

use agent_node::{InviteLine, RootKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand};
use client::Client;
use schemas::{
    Capability, ErrorCode, Fault, PrincipalId, Sha256Hash,
    enrolment::{
        GetInvitesAnswer, GetInvitesRequest, INVITE_LIFETIME_S_DEFAULT, Invite, InviteState, Order,
        OrderAnswer,
    },
    hex,
    principal::{PrincipalKind, UserRole},
    registry::verb,
    subject::ServiceName::Registry,
};
use sha2::{Digest, Sha256};
use trust::{
    Purpose, TrustAnchors,
    nats::{Nkey, NkeyKind},
};
use zeroize::Zeroizing;

use super::{Outcome, Session, order, parse};
use crate::{
    cli::Globals,
    files,
    output::{Column, Listing, Row, local_time, note},
};

const EXAMPLES: &str = "\
Examples:
  cortex invite --name web-1                        a machine of yours
  cortex invite --name ci-7 --owner ann --can shell.exec --can 'proxmox.*'
  cortex invite --name ann --role user              a person
  cortex invite ls                                  who has not come in yet

On the machine: cortex agent join 'LINE'. As the person: cortex login 'LINE'. Where others work on
the same machine, give both - instead, and the line over standard input.";

/// Whom to let in, and as what.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct InviteArgs {
    #[command(subcommand)]
    command: Option<InviteCommand>,
    /// Who will have come in.
    #[arg(long, value_name = "NAME", required = true)]
    name: Option<PrincipalId>,
    /// Invites a person, who may do this: admin, operator, auditor or user.
    #[arg(long, value_parser = parse::user_role, conflicts_with_all = ["owner", "can"])]
    role: Option<UserRole>,
    /// Whose the agent will be; yours when absent.
    #[arg(long, value_name = "USER")]
    owner: Option<PrincipalId>,
    /// A capability that the agent may advertise, as often as needed; any when absent.
    #[arg(long, value_name = "CAPABILITY", value_parser = Capability::parse)]
    can: Vec<Capability>,
    /// How long the line is good, a day at most; 1h when absent.
    #[arg(long, value_parser = parse::duration, value_name = "TIME")]
    ttl: Option<Duration>,
    /// Address at which the invited one reaches the broker; the context's when absent.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

/// What else can be done with invites.
#[derive(Debug, Subcommand)]
pub enum InviteCommand {
    /// List invites that are open.
    Ls,
}

pub(super) async fn carry_out(globals: &Globals, args: InviteArgs) -> Outcome {
    let session = Session::open(globals)?;
    let client = session.connect().await?;
    match args.command {
        Some(InviteCommand::Ls) => list(&session, &client).await?,
        None => invite(&session, &client, args).await?,
    }
    client.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn invite(session: &Session, client: &Client, args: InviteArgs) -> Result<(), Fault> {
    let InviteArgs { command: _, name, role, owner, can, ttl, server } = args;
    let missing = || Fault::new(ErrorCode::InvalidValue, "--name is missing");
    let principal = name.ok_or_else(missing)?;
    let (root, cluster) = pinned(session)?;
    let secret = Zeroizing::new(rand::random::<[u8; 32]>());
    let redeemer = Nkey::from_entropy(NkeyKind::User, &Zeroizing::new(rand::random()));
    let kind = if role.is_some() { PrincipalKind::Person } else { PrincipalKind::Agent };
    let wanted = Invite {
        invite: hex(&rand::random::<[u8; 16]>()),
        secret_hash: Sha256Hash(Sha256::digest(*secret).into()),
        redeemer: redeemer.public().to_string(),
        principal: principal.clone(),
        kind,
        role,
        owner,
        capabilities: (!can.is_empty()).then_some(can),
        lifetime_s: ttl.map_or(INVITE_LIFETIME_S_DEFAULT, |ttl| ttl.as_secs().max(1)),
    };
    let answer = order::give(session, client, &Order::Invite(wanted)).await?;
    let OrderAnswer::Invited { invite, expires_at, jwt } = &answer else {
        return Err(Fault::new(ErrorCode::Internal, "the registry answered something else"));
    };
    let line = InviteLine {
        url: server.unwrap_or_else(|| session.context.url.clone()),
        ca: session.context.ca.as_deref().map(files::read).transpose()?,
        cluster,
        root,
        principal: principal.clone(),
        kind,
        invite: invite.clone(),
        secret: Zeroizing::new(STANDARD.encode(*secret)),
        jwt: jwt.clone(),
        seed: redeemer.seed(),
    };
    let line = line.to_text();
    if !session.printer.is_for_machines() {
        let how = match kind {
            PrincipalKind::Person => "as that person: cortex login 'LINE'",
            PrincipalKind::Agent | PrincipalKind::Service => {
                "on the machine: cortex agent join 'LINE'"
            }
        };
        note(&format!("{principal} may come in until {}; {how}", local_time(Some(*expires_at))));
    }
    let said =
        serde_json::json!({ "line": *line, "principal": principal, "expires_at": expires_at });
    session.printer.show_line(&said, &line)
}

async fn list(session: &Session, client: &Client) -> Result<(), Fault> {
    let answer: GetInvitesAnswer =
        client.request(Registry, verb::GET_INVITES, &GetInvitesRequest {}).await?;
    let columns = [
        Column::Usual("FOR"),
        Column::Usual("KIND"),
        Column::Usual("STATE"),
        Column::Usual("BY"),
        Column::Usual("OWNER"),
        Column::Usual("UNTIL"),
        Column::Wide("INVITE"),
    ];
    let rows = answer.invites.iter().map(|invite| {
        let kind = match invite.kind {
            PrincipalKind::Person => "person",
            PrincipalKind::Agent => "agent",
            PrincipalKind::Service => "service",
        };
        let state = match invite.state {
            InviteState::Unused => "unused",
            InviteState::Pending => "pending",
            InviteState::Used => "used",
        };
        Row::new(vec![
            invite.principal.to_string(),
            kind.to_owned(),
            state.to_owned(),
            invite.by.to_string(),
            invite.owner.to_string(),
            local_time(Some(invite.expires_at)),
            invite.invite.clone(),
        ])
    });
    session.printer.show(&answer, &Listing::new(&columns, rows))
}

/// The key that vouches for all others, as this context pins it, and the cluster that it is of.
fn pinned(session: &Session) -> Result<(RootKey, String), Fault> {
    let text = files::read(&session.context.anchors_in(&session.home))?;
    let anchors = TrustAnchors::from_file(&text)
        .map_err(|error| Fault::new(error.code(), error.to_string()))?;
    let mut roots = anchors.iter().filter(|anchor| anchor.key.purpose() == Purpose::Root);
    let root = roots.next().ok_or_else(|| {
        Fault::new(ErrorCode::ConfigInvalid, "the context pins no root key")
            .with_hint("start `cortex up` once, which makes one")
    })?;
    let key = schemas::key::PublicKeyBytes(*root.key.as_bytes());
    let root = RootKey { key, principal: root.principal.clone() };
    Ok((root, anchors.cluster().to_string()))
}
