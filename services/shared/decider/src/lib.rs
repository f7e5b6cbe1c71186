//! The Decider trait: rules as pure functions over remembered events.

#![forbid(unsafe_code)]
