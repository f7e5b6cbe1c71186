//! Any bytes as one item of CBOR.
//!
//! What must hold stands in the suite's `fuzzing/bodies.rs`, which a bounded run there calls too.

#![no_main]
#![expect(
    dead_code,
    reason = "the modules of the suite are shared, and each target uses a part of them"
)]

#[path = "../../tests/envelopes/fuzzing/bodies.rs"]
mod bodies;
#[path = "../../tests/envelopes/cbor.rs"]
mod cbor;
#[path = "../../tests/envelopes/forge.rs"]
mod forge;
#[path = "../../tests/envelopes/support.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::scanner(data));
