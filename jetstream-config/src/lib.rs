//! Where it is kept: streams and buckets as data, and the event log over JetStream.

#![forbid(unsafe_code)]
