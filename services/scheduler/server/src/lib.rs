//! The IO around scheduler-core.

#![forbid(unsafe_code)]
