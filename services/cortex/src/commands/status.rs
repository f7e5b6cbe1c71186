//! `cortex status`: addresses, processes, and who writes which log.

use std::process::ExitCode;

use client::Client;
use schemas::{
    ErrorCode, Fault, Timestamp,
    subject::{self, ServiceName},
};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

use super::{
    Outcome, Session,
    doctor::standing::{at, ends_of_logins},
    printer,
};
use crate::{
    cli::Globals,
    clock::now,
    home::Home,
    output::{Column, Listing, Row},
    up::record::{Record, is_running},
};

/// How long a writer may take to say who it is.
const WRITER_TIMEOUT: Duration = Duration::from_secs(2);

/// What there is to know.
#[derive(Debug, Serialize)]
struct Status {
    /// What `up` runs on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    up: Option<Record>,
    /// The broker of the context.
    url: String,
    principal: String,
    connected: bool,
    services: Vec<ServiceStatus>,
    /// What is logged in with on this machine.
    logins: Vec<LoginStatus>,
}

#[derive(Debug, Serialize)]
struct LoginStatus {
    principal: String,
    /// Until when it counts.
    expires_at: Timestamp,
}

#[derive(Debug, Serialize)]
struct ServiceStatus {
    name: ServiceWord,
    /// The process start that writes its log.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// Its term.
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
    /// Version of its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Why nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

type ServiceWord = &'static str;

/// Shows it; exit status 5 when nothing runs or answers.
pub(crate) async fn show(globals: &Globals) -> Outcome {
    let home = Home::from_environment()?;
    let up = Record::read(&home)?.filter(|_| is_running(&home));
    let session = Session::open(globals)?;
    let mut status = Status {
        up,
        url: session.context.url.clone(),
        principal: session.context.principal.to_string(),
        connected: false,
        services: Vec::new(),
        logins: logins(&home)?,
    };
    let mut code = ExitCode::from(ErrorCode::NotRunning.class().exit_code());
    let mut unreachable = None;
    match session.connect().await {
        Err(fault) => unreachable = Some(fault),
        Ok(client) => {
            status.connected = true;
            for service in ServiceName::ALL {
                status.services.push(examine(&client, service).await);
            }
            if status.services.iter().all(|service| service.problem.is_none()) {
                code = ExitCode::SUCCESS;
            }
        }
    }
    printer(globals).show(&status, &listing(&status))?;
    match unreachable {
        Some(fault) => Err(fault),
        None => Ok(code),
    }
}

fn logins(home: &Home) -> Result<Vec<LoginStatus>, Fault> {
    let ends = ends_of_logins(home)?.into_iter();
    Ok(ends.map(|(principal, end_s)| LoginStatus { principal, expires_at: at(end_s) }).collect())
}

async fn examine(client: &Client, service: ServiceName) -> ServiceStatus {
    let mut status = ServiceStatus {
        name: service.as_str(),
        instance: None,
        term: None,
        version: None,
        problem: None,
    };
    match ask(client, subject::writer(service, 0)).await {
        Ok(beat) => {
            status.instance = beat["instance"].as_str().map(str::to_owned);
            status.term = beat["term"].as_u64();
        }
        Err(fault) => status.problem = Some(fault.message),
    }
    if let Ok(info) = ask(client, format!("$SRV.PING.{service}")).await {
        status.version = info["version"].as_str().map(str::to_owned);
    }
    status
}

async fn ask(client: &Client, subject: String) -> Result<Value, Fault> {
    let answer = client.ask(&subject, Default::default(), WRITER_TIMEOUT).await?;
    serde_json::from_slice(&answer.payload).map_err(|error| {
        Fault::new(ErrorCode::ProtocolMismatch, format!("the answer on {subject}: {error}"))
    })
}

fn listing(status: &Status) -> Listing {
    let mut rows = Vec::new();
    let mut add = |name: &str, state: &str, detail: String| {
        rows.push(Row::new(vec![name.to_owned(), state.to_owned(), detail]));
    };
    let reached = if status.connected { "ok" } else { "FAILED" };
    add("broker", reached, format!("{} as {}", status.url, status.principal));
    for service in &status.services {
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let term = service.term.map_or_else(|| "-".to_owned(), |term| term.to_string());
        match &service.problem {
            None => add(
                service.name,
                "ok",
                format!(
                    "writer {}, term {term}, version {}",
                    known(&service.instance),
                    known(&service.version)
                ),
            ),
            Some(problem) => add(service.name, "FAILED", problem.clone()),
        }
    }
    for process in status.up.iter().flat_map(|up| &up.processes) {
        let (state, pid) = match process.pid {
            Some(pid) => ("running", format!("pid {pid}, ")),
            None => ("FAILED", String::new()),
        };
        let detail = format!("{pid}{} restarts, log {}", process.restarts, process.log.display());
        add(&format!("process {}", process.name), state, detail);
    }
    for LoginStatus { principal, expires_at } in &status.logins {
        let state = if *expires_at <= now() { "FAILED" } else { "ok" };
        add(&format!("login {principal}"), state, format!("until {expires_at}"));
    }
    let columns = [Column::Usual("WHAT"), Column::Usual("STATE"), Column::Usual("DETAIL")];
    Listing::new(&columns, rows).uncut()
}
