//! What every suite here starts from: a broker, a service on it, and somebody who asks.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use client::{Client, ConnectOptions, IncomingRequest, Responder, ServiceInfo};
use cortex_tests::NatsServer;
use schemas::{Fault, PrincipalId, subject::ServiceName};
use serde_json::Value;

pub(crate) const VERBS: &[&str] = &["first", "second", "events", "get-agents"];
/// Nothing here should take nearly as long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).expect("tests name their principals well")
}

pub(crate) async fn connect(url: &str) -> Result<Client> {
    Ok(Client::connect(ConnectOptions::new(url, id("bob"))).await?)
}

pub(crate) async fn serve(server: &NatsServer) -> Result<Responder> {
    Ok(Responder::serve(&server.connect().await?, info()).await?)
}

pub(crate) fn info() -> ServiceInfo {
    ServiceInfo {
        name: ServiceName::Registry,
        instance: "registry-7".to_owned(),
        version: "0.1.0".to_owned(),
        description: "Answers tests.".to_owned(),
        verbs: VERBS,
        queue_group: "registry-7".to_owned(),
    }
}

/// Answers each request as `answer` says, for as long as the connection lasts.
pub(crate) fn answer_all(
    mut responder: Responder,
    mut answer: impl FnMut(&IncomingRequest) -> Result<Bytes, Fault> + Send + 'static,
) {
    tokio::spawn(async move {
        while let Some(request) = responder.recv().await {
            let answer = answer(&request);
            request.respond(answer);
        }
    });
}

pub(crate) async fn ask(client: &Client, verb: &str) -> Result<Value, Fault> {
    client.request(ServiceName::Registry, verb, &serde_json::json!({})).await
}
