//! Reads and watches documents; turns documents and labels into model values.

pub mod certificates;
pub mod check;
pub mod compose;
pub mod convert;
pub mod diagnostic;
pub mod emit;
pub mod files;
pub mod labels;
mod pem;
pub mod rules;
pub mod store;
pub mod watch;
pub mod yaml;

use std::sync::Arc;

use crate::model::Resource;

/// An object of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub resource: Resource,
    /// The document as it was written, as JSON in one line: with its namespace, without status and what only an API
    /// server sets, the texts of secrets hidden.
    pub manifest: Arc<str>,
}
