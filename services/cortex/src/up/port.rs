//! Finds a port for the broker before it starts, so that a taken one has a clear error.

use std::net::{Ipv4Addr, TcpListener};

use schemas::{ErrorCode, Fault};

/// `wanted` if it is free; a free one for 0.
pub(crate) fn choose(wanted: u16) -> Result<u16, Fault> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).map_err(|error| {
        let message = format!("port {wanted} of 127.0.0.1 cannot be used: {error}");
        Fault::new(ErrorCode::ConfigInvalid, message)
            .with_hint("`cortex up --nats-port 0` takes a free port")
    })?;
    let address = listener.local_addr();
    let failed = |e| Fault::new(ErrorCode::Internal, format!("reading a port's number: {e}"));
    address.map(|address| address.port()).map_err(failed)
}
