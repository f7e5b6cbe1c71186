//! Orders and redemptions, from bytes to what the core understands.
