//! Small generic futures that know nothing of proxies.

pub mod backoff;
pub mod descriptors;
pub mod drain;
pub mod live;
pub mod nest;
pub mod open_files;
pub mod private_socket;
pub mod ready;
pub mod reflect;
pub mod socket;
pub mod tasks;

pub use tasks::Tasks;
