//! `cortex login`: a person comes in with an invite line, and stays in.
//!
//! **Invariant:** a context is made once everything that it names is on disk.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use agent_node::{JoinedPerson, Papers, join_as_person};
use clap::Args;
use client::{Client, Credentials};
use schemas::{
    ErrorCode, Fault,
    enrolment::{Membership, RenewRequest},
    registry::verb,
    subject::ServiceName::Registry,
};

use super::{Outcome, line, serve::chain, session::now};
use crate::{
    cli::Globals,
    context::{Context, Contexts},
    home::Home,
    output::{Listing, note},
};

/// How long a renewal may take before the command goes on with what there is.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(10);

/// The line, and what to call the context.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// What `cortex invite --name YOU --role ROLE` printed; - reads it from standard input, where
    /// nobody else on this machine sees it.
    line: String,
    /// Name of the context; the cluster's when absent.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

pub(super) async fn login(globals: &Globals, args: LoginArgs) -> Outcome {
    let home = Home::from_environment()?;
    let LoginArgs { line, name } = args;
    let line = line::given(line)?;
    let invited = agent_node::InviteLine::parse(&line)
        .map_err(|error| Fault::new(ErrorCode::InvalidValue, error.to_string()))?;
    let place = home.members().join(format!("{}-{}", invited.cluster, invited.principal));
    let joined = join_as_person(&line, &place, &mut |step| note(&step.to_string())).await;
    let joined = joined.map_err(|error| error.to_fault())?;
    let name = name.unwrap_or_else(|| joined.cluster.clone());
    let contexts = Contexts::new(&home);
    contexts.write(&name, &context(&joined))?;
    contexts.select(&name)?;
    note(&format!("context {name} is selected"));
    let said = vec![
        ("principal", joined.principal.to_string()),
        ("role", joined.role.map(|role| role.to_string()).unwrap_or_default()),
        ("cluster", joined.cluster.clone()),
        ("context", name.clone()),
    ];
    let value = serde_json::json!({
        "principal": joined.principal, "role": joined.role, "cluster": joined.cluster,
        "context": name,
    });
    super::printer(globals).show(&value, &Listing::of_one(joined.principal.as_str(), said))?;
    Ok(ExitCode::SUCCESS)
}

fn context(joined: &JoinedPerson) -> Context {
    let JoinedPerson {
        principal,
        role: _,
        cluster,
        url,
        ca,
        login,
        renewal,
        key,
        certificates,
        anchors,
    } = joined.clone();
    Context {
        url,
        principal,
        creds: Some(login),
        renewal: Some(renewal),
        ca,
        cluster: Some(cluster),
        key: Some(key),
        certificates: Some(certificates),
        anchors: Some(anchors),
    }
}

/// Gets a new login where the present one has lived half of its life; what cannot be renewed now is
/// used as long as it lasts.
pub(super) async fn freshen(context: &Context) -> Result<(), Fault> {
    let Some(papers) = papers(context) else { return Ok(()) };
    let login = papers.login().map_err(|error| unusable(&error))?;
    let now_s = now().seconds();
    let ends_s = login.expires_at_s.unwrap_or(u64::MAX);
    let half_s = login.issued_at_s.saturating_add(ends_s.saturating_sub(login.issued_at_s) / 2);
    if now_s < half_s {
        return Ok(());
    }
    match (renew(context, &papers).await, now_s < ends_s) {
        (Ok(()), _) | (Err(_), true) => Ok(()),
        (Err(fault), false) => Err(fault),
    }
}

fn papers(context: &Context) -> Option<Papers> {
    let (login, renewal) = (context.creds.clone()?, context.renewal.clone()?);
    Some(Papers { login, renewal, certificates: context.certificates.clone() })
}

/// With the renewal credentials, which do nothing else: they work whether or not the others have run
/// out.
async fn renew(context: &Context, papers: &Papers) -> Result<(), Fault> {
    let mut options = context.connect_options();
    options.credentials = Credentials::CredsFile(PathBuf::clone(&papers.renewal));
    options.connect_within = Some(RENEWAL_PATIENCE);
    let client = Client::connect(options).await.map_err(|error| {
        error.to_fault().with_hint("your membership may have run out: ask for a new invite line")
    })?;
    let call = client.call(Registry, verb::RENEW).deadline(RENEWAL_PATIENCE);
    let membership: Result<Membership, Fault> = call.send(&RenewRequest {}).await;
    client.close().await;
    papers.keep(&membership?).map_err(|error| unusable(&error))
}

fn unusable(error: &dyn std::error::Error) -> Fault {
    Fault::new(ErrorCode::ConfigInvalid, chain(error))
        .with_hint("come in again with a new invite line: `cortex login 'LINE'`")
}
