//! The IO around registry-core.

#![forbid(unsafe_code)]
