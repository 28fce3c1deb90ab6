//! The compiled, immutable route table and the questions asked of it per request. Pure.
//!
//! Why these shapes: a lookup must cost the same with 1 and with 100,000 routes, so hosts and paths are found by hash
//! and by tree, and only the few candidates of one path are compared one by one, in the standard's order of
//! precedence, which is fixed when the table is compiled.

pub mod balance;
mod builder;
pub mod explain;
pub mod hashing;
mod index;
mod matching;
pub mod path;
mod table;
mod tls;
mod tree;

pub use balance::{Auth, Choice, Mirror, Target, Weighted};
pub use builder::{Attachment, ListenerKey, ListenerSpec, TableBuilder};
pub use matching::tells_of_client;
pub use table::{
    Address, Backend, Conflict, Endpoint, Found, Identity, Listener, Request, Rule, Socket, Table,
};
pub use tls::{Clients, Handshake, Tls, Unknown};

#[cfg(test)]
mod tests;
