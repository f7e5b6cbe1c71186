//! What was granted, as it is sent.
