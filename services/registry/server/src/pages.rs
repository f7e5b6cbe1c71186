//! Lists that fit into one message, whatever the manifests in them weigh.
//!
//! **Invariant:** a page that was cut says where to go on.

use std::io;

use schemas::registry::GetAgentsAnswer;
use serde_json::to_writer;

/// Largest list of agents that is sent, in bytes; the broker takes messages of 1 MiB.
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

/// Cuts a page after the last agent that fits. One always does: a registration is smaller.
pub(crate) fn fit(answer: &mut GetAgentsAnswer) {
    let mut scales = Scales(0);
    let fitting = answer.agents.iter().take_while(|agent| {
        to_writer(&mut scales, agent).expect("views are plain structs with text keys");
        scales.0 <= PAGE_BYTES_MAX
    });
    let fitting = fitting.count().max(1);
    if fitting < answer.agents.len() {
        answer.agents.truncate(fitting);
        answer.next = answer.agents.last().map(|last| last.manifest.id.clone());
    }
}
