//! What hostile programs try, behind the walls of the native launcher and without them.
//!
//! Each attack is named by its number in the list of attacks, and is done twice by the same user:
//! outside it must succeed, or it shows nothing, and inside it must not. One line for each is
//! written past the capture of output. `CORTEX_SANDBOX=long` takes the long forms.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod attack;
mod files;
mod kernel;
mod lanes;
mod launch;
mod network;
mod processes;
mod resources;
mod stage;
mod trees;
