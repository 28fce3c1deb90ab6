//! Which Gateways are served, and what is said of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use super::{
    certificates::{Certificates, Unusable},
    listeners::{self, ServedListener, Taken},
    namespaces::Namespaces,
    overlaps::Overlaps,
    sets, words,
};
use crate::{
    model::{
        Addresses, CertifiedKey, Condition, Gateway, HostPattern, Kind, Listener, ListenerSet, Resource,
        ResourceId, Snapshot, Status, Truth,
    },
    route::{Attachment, ListenerKey, ListenerSpec, TableBuilder},
};

/// The controller name that Portolan answers to.
pub(super) const CONTROLLER: &str = "portolan.dev/controller";
pub(super) const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// All Gateways, and the table that grows as routes are attached to their listeners.
pub(super) struct Gateways<'a> {
    /// Where routes are attached.
    pub(super) builder: TableBuilder,
    served: BTreeMap<&'a ResourceId, Served<'a>>,
    /// Gateways of other controllers, with the name of the controller.
    foreign: BTreeMap<&'a ResourceId, &'a str>,
    /// Sets whose listeners are added, with the Gateway; or why they are not.
    sets: BTreeMap<&'a ResourceId, Result<&'a ResourceId, String>>,
    statuses: BTreeMap<ResourceId, Status>,
    pub(super) namespaces: Namespaces<'a>,
}

/// A Gateway of Portolan's.
pub(super) struct Served<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) listeners: Vec<ServedListener<'a>>,
    /// What backends are shown, if it names something; or why they are shown nothing.
    client: Option<Result<Arc<CertifiedKey>, Unusable>>,
}

// === impl Gateways ===

impl<'a> Gateways<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let mut all = Self {
            builder: TableBuilder::default(),
            served: BTreeMap::new(),
            foreign: BTreeMap::new(),
            sets: BTreeMap::new(),
            statuses: BTreeMap::new(),
            namespaces: Namespaces::new(snapshot),
        };
        let mut sets: Vec<&ListenerSet> = Vec::new();
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
                Resource::ListenerSet(set) => sets.push(set),
                Resource::HttpRoute(_)
                | Resource::ReferenceGrant(_)
                | Resource::BackendTlsPolicy(_)
                | Resource::Service(_)
                | Resource::Namespace(_)
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
        // After every Gateway's own: whoever may write a set must not take a host from a Gateway.
        sets.sort_by_key(|set| set.meta.age_order());
        for set in sets {
            all.join(set, (snapshot, &certificates), &mut taken);
        }
        all.note_overlaps();
        all.note_selectors();
        all
    }

    fn note_overlaps(&mut self) {
        let overlaps = Overlaps::among(self.served.values().flat_map(|served| &served.listeners));
        let notes: Vec<_> = self
            .served
            .values()
            .flat_map(|served| &served.listeners)
            .map(|served| overlaps.of(served.owner, &served.listener.name))
            .collect();
        let listeners = self.served.values_mut().flat_map(|served| &mut served.listeners);
        for (served, note) in listeners.zip(notes) {
            served.overlap = note;
        }
    }

    fn note_selectors(&mut self) {
        for listener in self.served.values_mut().flat_map(|served| &mut served.listeners) {
            listener.note_selector(&self.namespaces);
        }
    }

    /// Adds the listeners of a set to its Gateway, if that lets it.
    fn join(
        &mut self,
        set: &'a ListenerSet,
        (snapshot, certificates): (&'a Snapshot, &Certificates<'a>),
        taken: &mut Taken<'a>,
    ) {
        let id = &set.meta.id;
        let gateway = match sets::gateway_of(set, self) {
            Ok(gateway) => gateway,
            Err(refused) => {
                self.sets.insert(id, Err(refused.message.clone()));
                self.statuses.insert(id.clone(), refused.status());
                return;
            }
        };
        let served = |listener| ServedListener::new(gateway, (id, listener), &snapshot.unbound, certificates);
        let mut listeners: Vec<ServedListener<'a>> = set.listeners.iter().map(served).collect();
        let client = self.find(&gateway.meta.id).and_then(Served::client);
        self.enter(&mut listeners, client.as_ref(), taken);
        if let Some(served) = self.served.get_mut(&gateway.meta.id) {
            served.listeners.extend(listeners);
            self.sets.insert(id, Ok(&gateway.meta.id));
        }
    }

    /// Puts those into the table that are valid and whose places are free.
    fn enter(
        &mut self,
        listeners: &mut [ServedListener<'a>],
        client: Option<&Arc<CertifiedKey>>,
        taken: &mut Taken<'a>,
    ) {
        for served in listeners.iter_mut().filter(|served| served.is_valid()) {
            taken.claim(served);
        }
        for served in listeners.iter_mut().filter(|served| served.is_valid()) {
            let ResourceId { namespace, name, .. } = served.owner;
            served.key = Some(self.builder.listener(ListenerSpec {
                sockets: served.sockets.clone(),
                name: format!("{namespace}/{name}/{}", served.listener.name).into(),
                port: served.listener.port,
                hostname: served.listener.hostname.clone(),
                tls: served.tls(),
                client: client.cloned(),
            }));
        }
    }

    fn serve(
        &mut self,
        gateway: &'a Gateway,
        (snapshot, certificates): (&'a Snapshot, &Certificates<'a>),
        taken: &mut Taken<'a>,
    ) -> Served<'a> {
        let id = &gateway.meta.id;
        let served = |listener| ServedListener::new(gateway, (id, listener), &snapshot.unbound, certificates);
        let mut listeners: Vec<ServedListener<'a>> = gateway.listeners.iter().map(served).collect();
        listeners::conflicts_within(&mut listeners);
        let client = gateway.client.as_ref().map(|reference| certificates.certificate(id, reference));
        self.enter(&mut listeners, client.as_ref().and_then(|client| client.as_ref().ok()), taken);
        Served { gateway, listeners, client }
    }

    pub(super) fn find(&self, id: &ResourceId) -> Option<&Served<'a>> {
        self.served.get(id)
    }

    /// The Gateway that a set has joined, or why it has joined none; `None` if there is no such set.
    pub(super) fn of_set(&self, id: &ResourceId) -> Option<Result<&Served<'a>, &str>> {
        match self.sets.get(id)? {
            Ok(gateway) => self.served.get(gateway).map(Ok),
            Err(why) => Some(Err(why)),
        }
    }

    /// The controller that this Gateway belongs to, if it is not Portolan.
    pub(super) fn controller_of(&self, id: &ResourceId) -> Option<&'a str> {
        self.foreign.get(id).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Served<'a>> {
        self.served.values()
    }

    /// Puts a route's rules behind the listeners at these positions of a Gateway. Says behind which, for which hosts.
    pub(super) fn attach(
        &mut self,
        gateway: &ResourceId,
        positions: &[usize],
        route: impl Fn(&'a Listener) -> Option<Attachment<'a>>,
    ) -> Vec<(ListenerKey, Vec<HostPattern>)> {
        let Some(served) = self.served.get(gateway) else { return Vec::new() };
        let mut attached = Vec::new();
        for listener in positions.iter().filter_map(|position| served.listeners.get(*position)) {
            if let (Some(key), Some(attachment)) = (listener.key, route(listener.listener)) {
                self.builder.attach(key, &attachment);
                attached.push((key, attachment.hostnames.into_iter().cloned().collect()));
            }
        }
        attached
    }

    /// Takes note of how many accepted routes a listener has.
    pub(super) fn count(&mut self, gateway: &ResourceId, position: usize, attached: u32) {
        let served = self.served.get_mut(gateway);
        if let Some(listener) = served.and_then(|served| served.listeners.get_mut(position)) {
            listener.attached = attached;
        }
    }

    /// The statuses of Gateways and classes, and the table with all that is attached.
    pub(super) fn finish(self) -> (TableBuilder, BTreeMap<ResourceId, Status>) {
        let mut statuses = self.statuses;
        let mut attached: BTreeMap<&ResourceId, u32> = BTreeMap::new();
        for (set, gateway) in &self.sets {
            let Ok(gateway) = gateway else { continue };
            if let Some(served) = self.served.get(gateway) {
                let status = served.set_status(set);
                *attached.entry(gateway).or_default() += u32::from(status.is_accepted());
                statuses.insert((*set).clone(), status);
            }
        }
        for (id, served) in &self.served {
            let attached_sets = Some(attached.get(id).copied().unwrap_or_default());
            statuses.insert((*id).clone(), Status { attached_sets, ..served.status() });
        }
        (self.builder, statuses)
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
        | Resource::BackendTlsPolicy(_)
        | Resource::Service(_)
        | Resource::Namespace(_)
        | Resource::Backend(_)
        | Resource::ListenerSet(_)
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

impl<'a> Served<'a> {
    /// The certificate that backends are shown.
    fn client(&self) -> Option<Arc<CertifiedKey>> {
        self.client.as_ref()?.as_ref().ok().cloned()
    }

    fn of(&self, owner: &ResourceId) -> impl Iterator<Item = &ServedListener<'a>> {
        self.listeners.iter().filter(move |served| served.owner == owner)
    }

    fn status(&self) -> Status {
        let (mut status, not_valid) = self.summary(&self.gateway.meta.id);
        let rest = not_valid.as_deref().unwrap_or("the rest is served");
        self.judge_fields(&mut status.conditions, rest);
        status.conditions.extend(self.client.as_ref().map(|client| match client {
            Ok(_) => Condition::yes("ResolvedRefs", "ResolvedRefs", ""),
            Err(Unusable { reason, message }) => {
                let reason = match *reason {
                    "RefNotPermitted" => "RefNotPermitted",
                    _ => "InvalidClientCertificateRef",
                };
                let message = format!(
                    "spec.tls.backend.clientCertificateRef: {message}; backends are shown no certificate"
                );
                Condition::no("ResolvedRefs", reason, message)
            }
        }));
        if self.gateway.frontend.is_insecure() {
            let message = "`mode: AllowInsecureFallback` lets clients in without a valid certificate";
            status.conditions.push(Condition::yes(
                "InsecureFrontendValidationMode",
                "ConfigurationChanged",
                message,
            ));
        }
        let bound: BTreeSet<&SocketAddr> = self.listeners.iter().flat_map(ServedListener::bound).collect();
        status.addresses = bound.into_iter().map(ToString::to_string).collect();
        status
    }

    /// What fields outside of listeners do to `Accepted` and `Programmed`, which come first.
    fn judge_fields(&self, conditions: &mut [Condition], rest: &str) {
        let Gateway { addresses, unsupported_addresses, unsupported_parameters, .. } = self.gateway;
        let reason = match (&**unsupported_addresses, unsupported_parameters) {
            ([], None) => return,
            ([], Some(_)) => "InvalidParameters",
            ([_, ..], _) => "UnsupportedAddress",
        };
        let fields = words::fields(unsupported_addresses).chain(words::fields(unsupported_parameters));
        let message = format!("{}; {rest}", words::joined(fields));
        if matches!(addresses, Addresses::Only(addresses) if addresses.is_empty()) {
            conditions[1] = Condition::no("Programmed", "AddressNotUsable", &message);
        }
        conditions[0] = Condition::no("Accepted", reason, message);
    }

    fn set_status(&self, set: &ResourceId) -> Status {
        self.summary(set).0
    }

    /// `Accepted`, `Programmed` and the listeners of one owner, and which of them are not served.
    fn summary(&self, owner: &ResourceId) -> (Status, Option<String>) {
        let failing = self.of(owner).filter(|listener| !listener.is_served());
        let failing: Vec<&str> = failing.map(|served| &*served.listener.name).collect();
        let not_valid = format!("not served: {}", words::named("listener", &failing));
        let nothing = self.of(owner).count() == failing.len();
        let accepted = match (nothing, failing.is_empty()) {
            (true, _) => Condition::no("Accepted", "ListenersNotValid", &not_valid),
            (false, true) => Condition::yes("Accepted", "Accepted", ""),
            (false, false) => Condition::yes("Accepted", "ListenersNotValid", &not_valid),
        };
        let bound: BTreeSet<&SocketAddr> = self.of(owner).flat_map(ServedListener::bound).collect();
        let bound: Vec<String> = bound.into_iter().map(ToString::to_string).collect();
        let unusable: Vec<String> = self.of(owner).filter_map(ServedListener::partly_bound).collect();
        let programmed = if nothing {
            Condition::no("Programmed", "Invalid", &not_valid)
        } else if unusable.is_empty() {
            Condition::yes("Programmed", "Programmed", format!("listening on {}", bound.join(", ")))
        } else {
            let message = format!("{}; the other addresses are served", words::joined(unusable));
            Condition::no("Programmed", "AddressNotUsable", message)
        };
        let status = Status {
            conditions: vec![accepted, programmed],
            listeners: self.of(owner).map(ServedListener::status).collect(),
            ..Status::default()
        };
        (status, (!failing.is_empty()).then_some(not_valid))
    }
}
