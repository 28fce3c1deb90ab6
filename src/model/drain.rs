//! Draining a container, and what else can be asked to be done with one: the words that the sides share.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use super::{Health, Phase, WorkloadId};

/// What is asked of a container's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainAsk {
    /// Give it no new requests, unless it is the last endpoint of a backend.
    Begin,
    /// The same, though it may be the last.
    Force,
    /// Give it requests again.
    Cancel,
    /// How is it?
    Look,
}

/// How a container is, after what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainState {
    pub id: WorkloadId,
    pub name: Arc<str>,
    pub phase: Phase,
    pub health: Health,
    pub is_draining: bool,
    /// Whether it is Portolan's own.
    pub is_own: bool,
    /// Where requests may be under way to it.
    pub addresses: Arc<BTreeSet<SocketAddr>>,
}

/// Why what was asked is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declined {
    pub why: Why,
    /// For machines, such as `LastEndpoint`.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no such container.
    Unknown,
    /// The container is not in a state for it.
    Conflict,
    /// It is not allowed here.
    Forbidden,
    /// The controller is starting or stopping.
    Unready,
    /// The engine did not do it.
    Engine,
}
