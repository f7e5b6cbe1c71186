//! Every message that crosses a process boundary, by the name of its file.

use schemars::{JsonSchema, Schema, schema_for};
use schemas::{agent, enrolment, feed, frame, projection, registry, sandbox, scheduler, task};
use serde::{Serialize, de::DeserializeOwned};

/// A message as the tests handle it, whatever its type.
pub(crate) struct Message {
    /// Name of its files.
    pub(crate) name: &'static str,
    /// Its JSON Schema.
    pub(crate) schema: fn() -> Schema,
    /// Reads it strictly and writes it again, in the form that samples have.
    pub(crate) rewrite: fn(&str) -> Result<String, String>,
}

fn message<T: JsonSchema + Serialize + DeserializeOwned>(name: &'static str) -> Message {
    Message { name, schema: || schema_for!(T), rewrite: rewrite::<T> }
}

fn rewrite<T: Serialize + DeserializeOwned>(text: &str) -> Result<String, String> {
    let message: T = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let text = serde_json::to_string_pretty(&message).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

/// All of them. A type that occurs only inside of others needs no line of its own.
pub(crate) fn messages() -> Vec<Message> {
    [
        said_to_the_registry(),
        said_of_principals(),
        said_to_the_scheduler(),
        said_to_nodes(),
        said_by_all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn said_to_the_registry() -> Vec<Message> {
    vec![
        message::<registry::RegisterRequest>("register-request"),
        message::<registry::RegisterAnswer>("register-answer"),
        message::<registry::HeartbeatAnswer>("heartbeat-answer"),
        message::<registry::GetAgentsRequest>("get-agents-request"),
        message::<registry::GetAgentsAnswer>("get-agents-answer"),
        message::<registry::AgentRequest>("agent-request"),
        message::<registry::AgentView>("agent-view"),
        message::<registry::WhoCanRequest>("who-can-request"),
        message::<registry::WhoCanAnswer>("who-can-answer"),
        message::<registry::CapabilitiesAnswer>("capabilities-answer"),
        message::<registry::CanTaskRequest>("can-task-request"),
        message::<registry::CanTaskAnswer>("can-task-answer"),
        message::<registry::UpdateStatusRequest>("update-status-request"),
        message::<registry::RelationshipsAnswer>("relationships-answer"),
        message::<registry::DeregisterAnswer>("deregister-answer"),
        message::<registry::ReportDenialsRequest>("report-denials-request"),
        message::<registry::ReportDenialsAnswer>("report-denials-answer"),
        message::<registry::Presence>("presence"),
        message::<registry::RegistryEvent>("registry-event"),
    ]
}

fn said_of_principals() -> Vec<Message> {
    vec![
        message::<enrolment::Order>("order"),
        message::<enrolment::Invite>("invite"),
        message::<enrolment::NewToken>("new-token"),
        message::<enrolment::OrderRequest>("order-request"),
        message::<enrolment::OrderAnswer>("order-answer"),
        message::<enrolment::RedeemRequest>("redeem-request"),
        message::<enrolment::Membership>("membership"),
        message::<enrolment::RenewRequest>("renew-request"),
        message::<enrolment::GetRosterRequest>("get-roster-request"),
        message::<enrolment::SignedRoster>("signed-roster"),
        message::<enrolment::AgentAccess>("agent-access"),
        message::<enrolment::GetPrincipalsRequest>("get-principals-request"),
        message::<enrolment::GetPrincipalsAnswer>("get-principals-answer"),
        message::<enrolment::PrincipalView>("principal-view"),
        message::<enrolment::GetInvitesRequest>("get-invites-request"),
        message::<enrolment::GetInvitesAnswer>("get-invites-answer"),
        message::<enrolment::GetTokensRequest>("get-tokens-request"),
        message::<enrolment::GetTokensAnswer>("get-tokens-answer"),
        message::<enrolment::UnsealRequest>("unseal-request"),
        message::<enrolment::UnsealAnswer>("unseal-answer"),
        message::<agent::RosterNotice>("roster-notice"),
    ]
}

fn said_to_the_scheduler() -> Vec<Message> {
    vec![
        message::<scheduler::SubmitRequest>("submit-request"),
        message::<scheduler::SubmitAnswer>("submit-answer"),
        message::<scheduler::StartRequest>("start-request"),
        message::<scheduler::StartAnswer>("start-answer"),
        message::<scheduler::ReportRequest>("report-request"),
        message::<scheduler::RefuseRequest>("refuse-request"),
        message::<scheduler::ReportAnswer>("report-answer"),
        message::<scheduler::CancelRequest>("cancel-request"),
        message::<scheduler::CancelAnswer>("cancel-answer"),
        message::<scheduler::TaskRequest>("task-request"),
        message::<scheduler::GetTasksRequest>("get-tasks-request"),
        message::<scheduler::GetTasksAnswer>("get-tasks-answer"),
        message::<scheduler::OutputRequest>("output-request"),
        message::<scheduler::OutputAnswer>("output-answer"),
        message::<scheduler::ChainAnswer>("chain-answer"),
        message::<scheduler::WhyAnswer>("why-answer"),
        message::<task::TaskSpec>("task-spec"),
        message::<task::TaskView>("task-view"),
        message::<scheduler::EnvelopeRow>("envelope-row"),
        message::<scheduler::SchedulerEvent>("scheduler-event"),
    ]
}

fn said_to_nodes() -> Vec<Message> {
    vec![
        message::<agent::NodeReport>("node-report"),
        message::<agent::Heartbeat>("heartbeat"),
        message::<agent::TaskOffer>("task-offer"),
        message::<agent::CancelOrder>("cancel-order"),
        message::<agent::Ping>("ping"),
        message::<agent::Pong>("pong"),
        message::<agent::OutputChunk>("output-chunk"),
        message::<sandbox::SandboxReport>("sandbox-report"),
    ]
}

fn said_by_all() -> Vec<Message> {
    vec![
        message::<schemas::Fault>("fault"),
        message::<schemas::Manifest>("manifest"),
        message::<feed::FeedEvent>("feed-event"),
        message::<feed::HeadNotice>("head-notice"),
        message::<feed::EventsRequest>("events-request"),
        message::<feed::EventsAnswer>("events-answer"),
        message::<frame::Frame>("frame"),
        message::<frame::LogEvent>("log-event"),
        message::<projection::ProjectedRow>("projected-row"),
        message::<projection::RebuildRequest>("rebuild-request"),
        message::<projection::RebuildAnswer>("rebuild-answer"),
    ]
}
