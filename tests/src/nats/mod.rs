//! Real brokers: one server or a cluster of three, killed, frozen and restarted at will.

mod cluster;
mod config;
mod monitor;
mod server;

#[cfg(test)]
mod tests;

pub use cluster::NatsCluster;
pub use config::{ServerOptions, User};
pub use server::{NatsServer, SavedStore};
