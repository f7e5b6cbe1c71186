//! Keys and the signed envelope: pure, strict, verify-then-parse.

#![forbid(unsafe_code)]
