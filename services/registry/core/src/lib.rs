//! Decides who is in the fleet, what they can do, and who may ask whom.

#![forbid(unsafe_code)]
