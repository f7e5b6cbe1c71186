//! Decides which node runs a task, when, and at most once.

#![forbid(unsafe_code)]
