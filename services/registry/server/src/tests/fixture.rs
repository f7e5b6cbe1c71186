//! What tests of the registry sign and are signed with.
