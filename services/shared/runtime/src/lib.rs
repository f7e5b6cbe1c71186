//! The loop that every service shares: decide, commit, answer, project, follow.

#![forbid(unsafe_code)]

mod service;

pub use service::{
    AnswerOf, Caller, CommandOf, EffectContext, EffectOf, EventOf, ObservationOf, Observer,
    Request, Row, Service, StateOf,
};
