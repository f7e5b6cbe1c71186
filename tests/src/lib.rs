//! The harness and one test binary per promise.

#![forbid(unsafe_code)]
