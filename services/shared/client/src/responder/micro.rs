//! The NATS service protocol (ADR-32): `nats micro ls`, `info` and `stats` find the service.

use std::sync::Arc;

use async_nats::{Message, Subscriber};
use futures::{StreamExt, stream::SelectAll};
use schemas::subject;
use serde_json::{Value, json};

use super::{ServeError, ServiceInfo, incoming, stats::Stats};

/// What can be asked of every service.
const QUESTIONS: [&str; 3] = ["PING", "INFO", "STATS"];

/// Subscribes to each question: to all services, to those of the name, to this instance.
pub(super) async fn subscribe(
    nats: &async_nats::Client,
    info: &ServiceInfo,
) -> Result<SelectAll<Subscriber>, ServeError> {
    let (name, id) = (info.name, &info.instance);
    let mut heard = SelectAll::new();
    for question in QUESTIONS {
        for subject in [
            format!("$SRV.{question}"),
            format!("$SRV.{question}.{name}"),
            format!("$SRV.{question}.{name}.{id}"),
        ] {
            let messages = nats.subscribe(subject.clone()).await;
            heard.push(messages.map_err(|source| ServeError { subject, source })?);
        }
    }
    Ok(heard)
}

/// Answers questions about the service for as long as there are any.
pub(super) async fn describe(
    nats: async_nats::Client,
    mut heard: SelectAll<Subscriber>,
    info: Arc<ServiceInfo>,
    stats: Arc<Stats>,
) {
    while let Some(Message { subject, reply, .. }) = heard.next().await {
        let Some(reply) = reply.filter(|reply| subject::is_inbox(reply)) else { continue };
        let question = subject.split('.').nth(1).unwrap_or_default();
        if let Some(answer) = answer(question, &info, &stats) {
            incoming::send(nats.clone(), reply, None, answer.to_string().into());
        }
    }
}

pub(super) fn answer(question: &str, info: &ServiceInfo, stats: &Stats) -> Option<Value> {
    let each = |describe: &dyn Fn(&str) -> Value| -> Vec<Value> {
        info.verbs.iter().map(|verb| describe(verb)).collect()
    };
    let more = match question {
        "PING" => json!({ "type": "io.nats.micro.v1.ping_response" }),
        "INFO" => json!({
            "type": "io.nats.micro.v1.info_response",
            "description": info.description,
            "endpoints": each(&|verb| endpoint(info, verb)),
        }),
        "STATS" => json!({
            "type": "io.nats.micro.v1.stats_response",
            "started": stats.started.to_string(),
            "endpoints": each(&|verb| endpoint_stats(info, stats, verb)),
        }),
        _ => return None,
    };
    let identity = json!({
        "name": info.name.as_str(),
        "id": info.instance,
        "version": info.version,
        "metadata": { "protocol": schemas::protocol::PROTOCOL_VERSION.to_string() },
    });
    Some(merged(identity, more))
}

fn endpoint(info: &ServiceInfo, verb: &str) -> Value {
    json!({
        "name": verb,
        "subject": subject::command_endpoint(info.name, verb),
        "queue_group": info.queue_group,
        "metadata": {},
    })
}

fn endpoint_stats(info: &ServiceInfo, stats: &Stats, verb: &str) -> Value {
    let counted = stats.of(verb);
    let nanos = counted.time.as_nanos();
    let average = nanos.checked_div(u128::from(counted.requests)).unwrap_or_default();
    json!({
        "name": verb,
        "subject": subject::command_endpoint(info.name, verb),
        "queue_group": info.queue_group,
        "num_requests": counted.requests,
        "num_errors": counted.errors,
        "last_error": counted.last_error,
        "processing_time": u64::try_from(nanos).unwrap_or(u64::MAX),
        "average_processing_time": u64::try_from(average).unwrap_or(u64::MAX),
    })
}

fn merged(first: Value, second: Value) -> Value {
    let fields = |value: Value| match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            serde_json::Map::new()
        }
    };
    Value::Object(fields(first).into_iter().chain(fields(second)).collect())
}
