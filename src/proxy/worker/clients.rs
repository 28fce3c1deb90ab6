//! What each client has of a worker, so that none has all of it.
//!
//! A client is an address; over IPv6 it is a network of 64 bits, for whoever has one address of it has all. Those who stand
//! for many, the trusted proxies, are not counted here.

#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    rc::{Rc, Weak},
};

use crate::proxy::config::Limits;

/// Every client that has a connection.
#[derive(Debug)]
pub(super) struct Clients {
    /// By [`network`]. Each takes itself off.
    known: RefCell<HashMap<IpAddr, Weak<Share>>>,
    most_connections: usize,
    most_exchanges: usize,
}

/// What one client has, as long as it has something.
#[derive(Debug)]
struct Share {
    clients: Rc<Clients>,
    network: IpAddr,
    connections: Cell<usize>,
    exchanges: Cell<usize>,
}

/// A client's connection. Dropping it is its end.
#[derive(Debug)]
pub(in crate::proxy) struct Guest(Rc<Share>);

/// A connection to an endpoint that a client's request has for itself. Dropping it is the end of the request.
#[derive(Debug)]
pub(in crate::proxy) struct Lease(Rc<Share>);

// === impl Clients ===

impl Clients {
    pub(super) fn new(limits: &Limits) -> Rc<Self> {
        Rc::new(Self {
            known: RefCell::default(),
            most_connections: limits.connections_of_a_client(),
            most_exchanges: limits.endpoint_connections_of_a_client(),
        })
    }

    /// One more connection of the client; `None` where it has as many as it may.
    pub(super) fn enter(self: &Rc<Self>, client: IpAddr) -> Option<Guest> {
        let network = network(client);
        let known = self.known.borrow().get(&network).and_then(Weak::upgrade);
        let share = known.unwrap_or_else(|| {
            let share =
                Share { clients: self.clone(), network, connections: Cell::new(0), exchanges: Cell::new(0) };
            let share = Rc::new(share);
            self.known.borrow_mut().insert(network, Rc::downgrade(&share));
            share
        });
        add(&share.connections, self.most_connections)?;
        Some(Guest(share))
    }
}

/// One more, if that is not too many.
fn add(count: &Cell<usize>, most: usize) -> Option<()> {
    let more = count.get() + 1;
    (more <= most).then(|| count.set(more))
}

fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

// === impl Share ===

impl Drop for Share {
    fn drop(&mut self) {
        self.clients.known.borrow_mut().remove(&self.network);
    }
}

// === impl Guest ===

impl Guest {
    /// One more connection to an endpoint for it; `None` where it has as many as it may.
    pub(in crate::proxy) fn lease(&self) -> Option<Lease> {
        add(&self.0.exchanges, self.0.clients.most_exchanges)?;
        Some(Lease(self.0.clone()))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
    }
}

// === impl Lease ===

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.exchanges.set(self.0.exchanges.get() - 1);
    }
}
