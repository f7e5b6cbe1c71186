//! What a task may touch, and the report of what a node enforces.

#![forbid(unsafe_code)]
