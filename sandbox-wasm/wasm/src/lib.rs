//! Runs WebAssembly in wasmtime: the one door to it.
//!
//! **Invariant:** nothing here is a wall by itself; it runs inside what the launcher has put up.
