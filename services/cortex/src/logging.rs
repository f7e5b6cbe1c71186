//! What processes write about themselves, to stderr.

use tracing_subscriber::EnvFilter;

/// Chooses what is written, as `tracing` filters do, for example `debug` or `runtime=trace`.
const FILTER_VARIABLE: &str = "CORTEX_LOG";
/// What services and nodes write unless told otherwise.
pub(crate) const SERVICE_FILTER: &str = "info,async_nats=warn";
/// What commands write unless told otherwise: their errors are shown in another way.
pub(crate) const COMMAND_FILTER: &str = "off";

/// Starts writing; the first call in a process counts.
pub(crate) fn start(default: &str) {
    let filter =
        EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new(default));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // Otherwise a line that cannot be written is reported by a print that panics, and nobody
        // reads us any more when our supervisor has died.
        .log_internal_errors(false)
        .try_init();
    // A second start, as in tests, changes nothing.
    drop(started);
}
