//! The loop that every service shares: decide, commit, answer, project, follow.

#![forbid(unsafe_code)]
