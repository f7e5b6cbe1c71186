//! Lists that fit into one message, whatever the manifests in them weigh.
//!
//! **Invariant:** a page that was cut says where to go on.

use std::io;

use schemas::{
    enrolment::{GetPrincipalsAnswer, GetTokensAnswer},
    registry::GetAgentsAnswer,
};
use serde::Serialize;
use serde_json::to_writer;

/// Largest list that is sent, in bytes; the broker takes messages of 1 MiB.
const PAGE_BYTES_MAX: usize = 768 * 1024;

/// Counts what is written.
struct Scales(usize);

impl io::Write for Scales {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Cuts a page after the last agent that fits.
pub(crate) fn fit(answer: &mut GetAgentsAnswer) {
    if cut(&mut answer.agents) {
        answer.next = answer.agents.last().map(|last| last.manifest.id.clone());
    }
}

/// Cuts a page after the last principal that fits.
pub(crate) fn fit_principals(answer: &mut GetPrincipalsAnswer) {
    if cut(&mut answer.principals) {
        answer.next = answer.principals.last().map(|last| last.id.clone());
    }
}

/// Cuts a page after the last token that fits.
pub(crate) fn fit_tokens(answer: &mut GetTokensAnswer) {
    if cut(&mut answer.tokens) {
        answer.next = answer.tokens.last().map(|last| last.token.clone());
    }
}

/// Leaves out what does not fit; one entry always does. Says whether there was anything.
fn cut(entries: &mut Vec<impl Serialize>) -> bool {
    let mut scales = Scales(0);
    let fitting = entries.iter().take_while(|entry| {
        to_writer(&mut scales, entry).expect("views are plain structs with text keys");
        scales.0 <= PAGE_BYTES_MAX
    });
    let fitting = fitting.count().max(1);
    let cut = fitting < entries.len();
    entries.truncate(fitting);
    cut
}
