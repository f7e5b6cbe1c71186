//! The daemon on a node: dials out, records, runs, reports.

#![forbid(unsafe_code)]
