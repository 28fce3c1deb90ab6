//! The data plane: reads the table, never writes it.
//!
//! One thread a core ([`workers`]), each with its own listening sockets, connections, pools and metrics; the only thing
//! that they share is the table, which they read. A request is one task from the client's socket to the backend's.

#[cfg(any(test, fuzzing))]
pub mod checks;
mod config;
mod connection;
mod failures;
mod framing;
mod health;
mod http;
mod http1;
mod http2;
mod listen;
mod present;
mod received;
#[cfg(test)]
mod tests;
mod tls;
mod upgrade;
mod upstream;
mod worker;
mod workers;

pub use config::{Config, Limits};
pub use http::SessionKey;
pub use worker::Drained;
pub use workers::{Death, Deaths, Findings, Opened, Restarts, Workers};
