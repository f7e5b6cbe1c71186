//! Other people's readers: what we accept they read alike, and where they are lenient we are not.

mod general_cose;
mod items;
mod strict_cbor;
