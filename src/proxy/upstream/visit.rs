//! A request that is under way at an endpoint, from the moment that the endpoint was chosen to the last byte.
//!
//! Why it is counted always and not only while somebody drains: what was under way before has to be known then. It costs
//! two counts that only this worker has.

use std::{collections::BTreeSet, net::SocketAddr, rc::Rc};

use super::{Endpoint, Place, Upstreams};
use crate::{proxy::worker::Lease, route::Address};

/// Dropping it ends it.
pub(in crate::proxy) struct Visit {
    endpoint: Rc<Endpoint>,
    /// Absent where places are not counted.
    _place: Option<Place>,
    /// Absent where its client is not counted, or shares the connection.
    _lease: Option<Lease>,
}

// === impl Visit ===

impl Visit {
    pub(in crate::proxy) fn new(endpoint: &Rc<Endpoint>, place: Option<Place>) -> Self {
        Self::leased(endpoint, place, None)
    }

    /// One that counts as the client's as long as it lasts.
    pub(in crate::proxy) fn leased(
        endpoint: &Rc<Endpoint>,
        place: Option<Place>,
        lease: Option<Lease>,
    ) -> Self {
        endpoint.visits.set(endpoint.visits.get() + 1);
        Self { endpoint: endpoint.clone(), _place: place, _lease: lease }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.endpoint.visits.set(self.endpoint.visits.get().saturating_sub(1));
    }
}

// === impl Upstreams ===

impl Upstreams {
    /// Requests and tunnels that are under way at these addresses.
    pub(in crate::proxy) fn visits(&self, addresses: &BTreeSet<SocketAddr>) -> u64 {
        let is_asked_for = |address: &Address| match address {
            Address::Tcp(address) => addresses.contains(address),
            Address::Unix(_) => false,
        };
        let endpoints = self.endpoints.borrow();
        let asked_for = endpoints.iter().filter(|((address, _), _)| is_asked_for(address));
        asked_for.map(|(_, endpoint)| endpoint.visits.get()).sum()
    }
}
