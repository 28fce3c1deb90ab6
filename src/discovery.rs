//! Watches what runs; each source is a function to a stream of events.

pub mod dns;
pub mod docker;

use crate::{
    model::{Workload, WorkloadId},
    runtime::reflect::Keyed,
};

// === impl Workload ===

impl Keyed for Workload {
    type Id = WorkloadId;

    fn key(&self) -> &WorkloadId {
        &self.id
    }
}
