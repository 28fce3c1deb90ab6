//! Log set-up, metric families, the access-log record.

pub mod access;
pub mod log;
pub mod metrics;

pub use access::AccessLog;
pub use metrics::Metrics;
