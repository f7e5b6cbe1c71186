//! What the control plane says to the node, read strictly.

use agent_core::{Input, ReceivedAncestor, ReceivedOffer};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use schemas::{
    ErrorCode, Fault,
    agent::{CancelOrder, NodeChannel, Ping, TaskOffer},
    enrolment::CERTIFICATES_MAX,
    grants::CHAIN_LENGTH_MAX,
    strict, subject,
};

use crate::NodeError;

/// A message on one of the node's subjects.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) reply: Option<String>,
    pub(crate) payload: Bytes,
}

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// Something that the core decides on.
    Input(Box<Input>),
    /// An answer on this subject.
    Ping(String),
}

/// Everything that the control plane says to the node of this client.
pub(crate) async fn listen(
    client: &client::Client,
) -> Result<impl Stream<Item = Message> + Send + Unpin + use<>, NodeError> {
    let subject = subject::node_all(client.principal());
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| NodeError::Listen {
        subject: subject.clone(),
        source,
    };
    let messages = client.nats().subscribe(subject.clone()).await;
    let messages = messages.map_err(|error| failed(error.into()))?;
    // The registration that follows may bring the first offer, so the broker must know by then.
    client.nats().flush().await.map_err(|error| failed(error.into()))?;
    Ok(messages.map(|message| Message {
        subject: message.subject.to_string(),
        reply: message.reply.map(|reply| reply.to_string()),
        payload: message.payload,
    }))
}

/// Reads a message.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn read(message: &Message) -> Result<Incoming, Fault> {
    let word = message.subject.rsplit('.').next().unwrap_or_default();
    let channel = NodeChannel::ALL.into_iter().find(|channel| channel.as_str() == word);
    match channel {
        Some(NodeChannel::Task) => read_offer(&message.payload),
        Some(NodeChannel::Cancel) => {
            let order: CancelOrder = strict::parse(&message.payload)?;
            Ok(input(Input::Cancel(order)))
        }
        Some(NodeChannel::Ping) => {
            let Ping {} = strict::parse(&message.payload)?;
            let inbox = |reply: &&String| subject::is_inbox(reply);
            let reply = message.reply.as_ref().filter(inbox).cloned();
            let fault = || Fault::new(ErrorCode::InvalidValue, "a ping without an inbox");
            reply.map(Incoming::Ping).ok_or_else(fault)
        }
        None => Err(Fault::new(ErrorCode::UnknownVerb, format!("{word} is no channel of a node"))),
    }
}

fn read_offer(payload: &[u8]) -> Result<Incoming, Fault> {
    let offer: TaskOffer = strict::parse(payload)?;
    if CHAIN_LENGTH_MAX <= offer.ancestors.len() {
        let message = format!("a task has at most {} ancestors", CHAIN_LENGTH_MAX - 1);
        return Err(Fault::new(ErrorCode::ChainInvalid, message));
    }
    let ancestors = offer.ancestors.iter().map(|ancestor| {
        Ok(ReceivedAncestor {
            request: decode("request", &ancestor.request)?,
            assignment: decode("assignment", &ancestor.assignment)?,
        })
    });
    let offer = ReceivedOffer {
        request: decode("request", &offer.request)?,
        assignment: decode("assignment", &offer.assignment)?,
        certificates: decode_certificates(&offer.certificates)?,
        ancestors: ancestors.collect::<Result<_, Fault>>()?,
        task: offer.task,
        epoch: offer.epoch,
    };
    Ok(input(Input::Offer(offer)))
}

/// The bytes of certificates that came with something.
///
/// # Errors
///
/// When there are more than any chain needs, or one is no base64.
pub(crate) fn decode_certificates(texts: &[String]) -> Result<Vec<Vec<u8>>, Fault> {
    if CERTIFICATES_MAX < texts.len() {
        let message = format!("{} certificates, the limit is {CERTIFICATES_MAX}", texts.len());
        return Err(Fault::new(ErrorCode::CertificateInvalid, message));
    }
    texts.iter().map(|text| decode("certificate", text)).collect()
}

pub(crate) fn decode(field: &str, text: &str) -> Result<Vec<u8>, Fault> {
    let invalid =
        |error| Fault::new(ErrorCode::EnvelopeMalformed, format!("{field} is no base64: {error}"));
    STANDARD.decode(text).map_err(invalid)
}

fn input(input: Input) -> Incoming {
    Incoming::Input(Box::new(input))
}

#[cfg(test)]
mod tests;
