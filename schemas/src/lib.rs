//! What is said: every message, subject and error code that crosses a process boundary.

#![forbid(unsafe_code)]
