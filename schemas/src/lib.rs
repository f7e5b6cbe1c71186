//! What is said: every message, subject and error code that crosses a process boundary.
//!
//! **Invariant:** pure types and their checks; nothing here performs IO or reads a clock.
//! **Invariant:** what others send is parsed with unknown fields refused, see [`strict`].

#![forbid(unsafe_code)]

pub mod agent;
mod capability;
pub mod claims;
pub mod credential;
pub mod enrolment;
mod fault;
pub mod feed;
pub mod frame;
pub mod grants;
mod hash;
mod id;
pub mod key;
pub mod manifest;
pub mod permission;
pub mod principal;
pub mod projection;
pub mod protocol;
pub mod registry;
pub mod sandbox;
pub mod scheduler;
pub mod strict;
pub mod subject;
pub mod task;
mod time;

pub use capability::{CAPABILITY_BYTES_MAX, Capability, InvalidCapability};
pub use claims::Audience;
pub use credential::CredentialReference;
pub use fault::{ErrorCode, Fault, FaultClass};
pub use frame::Cursor;
pub use hash::{InvalidHash, Sha256Hash, hex, unhex};
pub use id::{CommandId, ID_BYTES_MAX, InstanceId, InvalidId, PrincipalId, TaskId};
pub use manifest::Manifest;
pub use time::Timestamp;
