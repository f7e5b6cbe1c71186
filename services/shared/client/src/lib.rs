//! Typed requests and responders: the one way in for CLI, gateway and agents.

#![forbid(unsafe_code)]
