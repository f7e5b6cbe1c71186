//! `cargo xtask up | test | bench`.

fn main() {}
