//! How requests, answers and faults look on the wire: headers and bodies, built and read.
//!
//! **Invariant:** pure; a fault travels whole in the body, and its code in the headers as well.

use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use schemas::{
    CommandId, ErrorCode, Fault, Timestamp,
    protocol::{
        HEADER_COMMAND_ID, HEADER_NOT_AFTER, HEADER_PROTOCOL, HEADER_TRACE, PROTOCOL_VERSION,
        check_trace, check_version,
    },
    strict,
};
use serde::de::DeserializeOwned;

/// Header of an error answer: code and message, as the NATS service API has it.
pub const HEADER_ERROR: &str = "Nats-Service-Error";
/// Header of an error answer: a number as HTTP counts them.
pub const HEADER_ERROR_CODE: &str = "Nats-Service-Error-Code";
/// Largest message of an error that is repeated in a header, in characters.
const ERROR_HEADER_CHARS_MAX: usize = 200;

/// What the headers of a request say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestHeaders {
    pub(crate) command_id: Option<CommandId>,
    pub(crate) not_after: Option<Timestamp>,
    pub(crate) trace: Option<String>,
}

impl RequestHeaders {
    pub(crate) fn write(&self) -> Result<HeaderMap, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER_PROTOCOL, PROTOCOL_VERSION.to_string());
        if let Some(command_id) = &self.command_id {
            headers.insert(HEADER_COMMAND_ID, command_id.as_str());
        }
        if let Some(not_after) = self.not_after {
            headers.insert(HEADER_NOT_AFTER, not_after.0.to_string());
        }
        if let Some(trace) = &self.trace {
            check_trace(trace)?;
            headers.insert(HEADER_TRACE, trace.as_str());
        }
        Ok(headers)
    }

    /// Reads what is there; plain tools send none of it.
    pub(crate) fn read(headers: Option<&HeaderMap>) -> Result<Self, Fault> {
        let text =
            |name: &str| headers.and_then(|headers| headers.get(name)).map(HeaderValue::as_str);
        if let Some(version) = text(HEADER_PROTOCOL) {
            check_version(number(HEADER_PROTOCOL, version)?)?;
        }
        let command_id =
            text(HEADER_COMMAND_ID).map(CommandId::parse).transpose().map_err(|e| {
                Fault::new(ErrorCode::InvalidId, format!("header {HEADER_COMMAND_ID}: {e}"))
            })?;
        let not_after =
            text(HEADER_NOT_AFTER).map(|raw| number(HEADER_NOT_AFTER, raw)).transpose()?;
        let trace = text(HEADER_TRACE).map(str::to_owned);
        trace.as_deref().map(check_trace).transpose()?;
        Ok(Self { command_id, not_after: not_after.map(Timestamp), trace })
    }
}

fn number<N: std::str::FromStr>(name: &str, raw: &str) -> Result<N, Fault> {
    raw.parse().map_err(|_| {
        let shown: String = raw.chars().take(32).collect();
        Fault::new(ErrorCode::InvalidValue, format!("header {name} is no number: {shown:?}"))
    })
}

/// Headers of an error answer.
pub(crate) fn fault_headers(fault: &Fault) -> HeaderMap {
    let text: String = format!("{}: {}", fault.code, fault.message)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(ERROR_HEADER_CHARS_MAX)
        .collect();
    let mut headers = HeaderMap::new();
    headers.insert(HEADER_ERROR, text);
    headers.insert(HEADER_ERROR_CODE, fault.code.class().status().to_string());
    headers
}

/// Body of an error answer.
pub(crate) fn fault_body(fault: &Fault) -> Bytes {
    serde_json::to_vec(fault).expect("a fault is a plain struct with text keys").into()
}

/// Tells a result from a fault.
pub(crate) fn read_answer(headers: Option<&HeaderMap>, body: Bytes) -> Result<Bytes, Fault> {
    let Some(error) = headers.and_then(|headers| headers.get(HEADER_ERROR)) else {
        return Ok(body);
    };
    Err(strict::parse(&body).unwrap_or_else(|unreadable: Fault| {
        let message = format!("the answer is an error that does not parse: {}", error.as_str());
        Fault::new(ErrorCode::Internal, message)
            .with_details(serde_json::json!({ "parsing": unreadable.message }))
    }))
}

/// Reads the body of an answer. A service is trusted not to nest too deeply, not to speak our
/// version, so unknown fields are refused and sizes are the broker's business.
pub(crate) fn read_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        Fault::new(ErrorCode::ProtocolMismatch, format!("the answer is not understood: {error}"))
    })
}

#[cfg(test)]
mod tests;
