//! Decides what a node does with a task: verify, record, ask, run, report.

#![forbid(unsafe_code)]
