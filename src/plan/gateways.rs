//! Which Gateways are served, and what is said of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::{
    certificates::Certificates,
    listeners::{self, ServedListener, Taken},
    words,
};
use crate::{
    model::{Condition, Gateway, Kind, Listener, Resource, ResourceId, Snapshot, Status, Truth},
    route::{Attachment, ListenerSpec, Table, TableBuilder},
};

/// The controller name that Portolan answers to.
pub(super) const CONTROLLER: &str = "portolan.dev/controller";
pub(super) const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// All Gateways, and the table that grows as routes are attached to their listeners.
pub(super) struct Gateways<'a> {
    builder: TableBuilder,
    served: BTreeMap<&'a ResourceId, Served<'a>>,
    /// Gateways of other controllers, with the name of the controller.
    foreign: BTreeMap<&'a ResourceId, &'a str>,
    statuses: BTreeMap<ResourceId, Status>,
}

/// A Gateway of Portolan's.
pub(super) struct Served<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) listeners: Vec<ServedListener<'a>>,
}

// === impl Gateways ===

impl<'a> Gateways<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let mut all = Self {
            builder: TableBuilder::default(),
            served: BTreeMap::new(),
            foreign: BTreeMap::new(),
            statuses: BTreeMap::new(),
        };
        let mut ours: Vec<&Gateway> = Vec::new();
        for resource in snapshot.resources.values() {
            match resource {
                Resource::GatewayClass(class) => {
                    all.statuses.insert(class.meta.id.clone(), class_status(&class.controller));
                }
                Resource::Gateway(gateway) => match foreign_controller(snapshot, gateway) {
                    Some(controller) => {
                        all.foreign.insert(&gateway.meta.id, controller);
                        all.statuses.insert(gateway.meta.id.clone(), foreign_status(gateway, controller));
                    }
                    None => ours.push(gateway),
                },
                Resource::HttpRoute(_)
                | Resource::ReferenceGrant(_)
                | Resource::Service(_)
                | Resource::Backend(_)
                | Resource::Unserved(_)
                | Resource::Secret(_)
                | Resource::ConfigMap(_)
                | Resource::Certificate(_)
                | Resource::Passive(_) => {}
            }
        }
        ours.sort_by_key(|gateway| gateway.meta.age_order());
        let mut taken = Taken::default();
        let certificates = Certificates::new(snapshot);
        for gateway in ours {
            let served = all.serve(gateway, (snapshot, &certificates), &mut taken);
            all.served.insert(&gateway.meta.id, served);
        }
        all
    }

    fn serve(
        &mut self,
        gateway: &'a Gateway,
        (snapshot, certificates): (&'a Snapshot, &Certificates<'a>),
        taken: &mut Taken<'a>,
    ) -> Served<'a> {
        let served = |listener| ServedListener::new(gateway, listener, &snapshot.unbound, certificates);
        let mut listeners: Vec<ServedListener<'a>> = gateway.listeners.iter().map(served).collect();
        listeners::conflicts_within(&mut listeners);
        for served in listeners.iter_mut().filter(|served| served.is_valid()) {
            taken.claim(gateway, served);
        }
        for served in listeners.iter_mut().filter(|served| served.is_valid()) {
            let id = &gateway.meta.id;
            served.key = Some(self.builder.listener(ListenerSpec {
                sockets: served.sockets.clone(),
                name: format!("{}/{}/{}", id.namespace, id.name, served.listener.name).into(),
                port: served.listener.port,
                hostname: served.listener.hostname.clone(),
                tls: served.tls(),
            }));
        }
        Served { gateway, listeners }
    }

    pub(super) fn find(&self, id: &ResourceId) -> Option<&Served<'a>> {
        self.served.get(id)
    }

    /// The controller that this Gateway belongs to, if it is not Portolan.
    pub(super) fn controller_of(&self, id: &ResourceId) -> Option<&'a str> {
        self.foreign.get(id).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Served<'a>> {
        self.served.values()
    }

    /// Puts a route's rules behind the listeners at these positions of a Gateway.
    pub(super) fn attach(
        &mut self,
        gateway: &ResourceId,
        positions: &[usize],
        route: impl Fn(&'a Listener) -> Option<Attachment<'a>>,
    ) {
        let Some(served) = self.served.get_mut(gateway) else { return };
        for position in positions {
            let Some(listener) = served.listeners.get_mut(*position) else { continue };
            if let (Some(key), Some(attachment)) = (listener.key, route(listener.listener)) {
                self.builder.attach(key, &attachment);
            }
        }
    }

    /// Counts an accepted route at these listeners.
    pub(super) fn count(&mut self, gateway: &ResourceId, positions: &[usize]) {
        let Some(served) = self.served.get_mut(gateway) else { return };
        for position in positions {
            if let Some(listener) = served.listeners.get_mut(*position) {
                listener.attached += 1;
            }
        }
    }

    /// The compiled table, and the statuses of Gateways and classes.
    pub(super) fn finish(self) -> (Table, BTreeMap<ResourceId, Status>) {
        let mut statuses = self.statuses;
        for (id, served) in self.served {
            statuses.insert(id.clone(), served.status());
        }
        (self.builder.build(), statuses)
    }
}

/// The controller of a Gateway's class, if it is not Portolan. A class that nobody has written is Portolan's.
fn foreign_controller<'a>(snapshot: &'a Snapshot, gateway: &Gateway) -> Option<&'a str> {
    match snapshot.resources.get(&ResourceId::new(Kind::GatewayClass, "", &gateway.class))? {
        Resource::GatewayClass(class) if &*class.controller != CONTROLLER => Some(&class.controller),
        Resource::GatewayClass(_)
        | Resource::Gateway(_)
        | Resource::HttpRoute(_)
        | Resource::ReferenceGrant(_)
        | Resource::Service(_)
        | Resource::Backend(_)
        | Resource::Unserved(_)
        | Resource::Secret(_)
        | Resource::ConfigMap(_)
        | Resource::Certificate(_)
        | Resource::Passive(_) => None,
    }
}

fn class_status(controller: &str) -> Status {
    let condition = if controller == CONTROLLER {
        Condition::yes("Accepted", "Accepted", "Gateways of this class are served")
    } else {
        let message = format!(
            "Gateways of this class belong to the controller `{controller}`; `{CONTROLLER}` would make them Portolan's"
        );
        waiting("Accepted", message)
    };
    Status { conditions: vec![condition], ..Status::default() }
}

fn foreign_status(gateway: &Gateway, controller: &str) -> Status {
    let message = format!(
        "its GatewayClass `{}` names the controller `{controller}`, not `{CONTROLLER}`: Portolan leaves it alone",
        gateway.class
    );
    Status {
        conditions: vec![waiting("Accepted", message.clone()), waiting("Programmed", message)],
        ..Status::default()
    }
}

/// What another controller has to decide.
pub(super) fn waiting(kind: &'static str, message: String) -> Condition {
    Condition { kind, truth: Truth::Unknown, reason: "Pending", message }
}

// === impl Served ===

impl Served<'_> {
    fn status(&self) -> Status {
        let failing = self.listeners.iter().filter(|listener| !listener.is_served());
        let failing: Vec<&str> = failing.map(|served| &*served.listener.name).collect();
        let not_valid = format!("not served: listener {}", words::listed(&failing));
        let nothing = self.listeners.len() == failing.len();
        let accepted = if !self.gateway.unsupported.is_empty() {
            let fields = words::joined(words::fields(&self.gateway.unsupported));
            let rest = if failing.is_empty() { "the rest is served" } else { &not_valid };
            Condition::no("Accepted", "UnsupportedValue", format!("{fields}; {rest}"))
        } else if nothing {
            Condition::no("Accepted", "ListenersNotValid", &not_valid)
        } else if failing.is_empty() {
            Condition::yes("Accepted", "Accepted", "")
        } else {
            Condition::yes("Accepted", "ListenersNotValid", &not_valid)
        };
        let bound: BTreeSet<&SocketAddr> = self.listeners.iter().flat_map(ServedListener::bound).collect();
        let addresses: Vec<String> = bound.into_iter().map(ToString::to_string).collect();
        let unusable: Vec<String> = self.listeners.iter().filter_map(ServedListener::partly_bound).collect();
        let programmed = if nothing {
            Condition::no("Programmed", "Invalid", not_valid)
        } else if unusable.is_empty() {
            Condition::yes("Programmed", "Programmed", format!("listening on {}", addresses.join(", ")))
        } else {
            let message = format!("{}; the other addresses are served", words::joined(unusable));
            Condition::no("Programmed", "AddressNotUsable", message)
        };
        let mut conditions = vec![accepted, programmed];
        if self.gateway.frontend.is_insecure() {
            let message = "`mode: AllowInsecureFallback` lets clients in without a valid certificate";
            conditions.push(Condition::yes(
                "InsecureFrontendValidationMode",
                "ConfigurationChanged",
                message,
            ));
        }
        Status {
            conditions,
            addresses,
            listeners: self.listeners.iter().map(ServedListener::status).collect(),
            ..Status::default()
        }
    }
}
