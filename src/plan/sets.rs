//! Which Gateway a ListenerSet may add its listeners to.

use super::{
    gateways::{GATEWAY_GROUP, Gateways, waiting},
    words,
};
use crate::model::{Condition, FromNamespaces, Gateway, Kind, ListenerSet, ResourceId, Status, Truth};

/// Why a set adds nothing.
pub(super) struct Refused {
    reason: &'static str,
    pub(super) message: String,
    /// `Unknown` where another controller decides.
    truth: Truth,
}

/// The Gateway of a set, if that takes it.
pub(super) fn gateway_of<'a>(set: &ListenerSet, gateways: &Gateways<'a>) -> Result<&'a Gateway, Refused> {
    let parent = &set.parent;
    let refused = |reason, message| Refused { reason, message, truth: Truth::False };
    if (&*parent.group, &*parent.kind) != (GATEWAY_GROUP, "Gateway") {
        let message = format!(
            "parentRef `{}` has kind `{}` of group `{}`; listeners can only be added to a Gateway",
            parent.name,
            parent.kind,
            words::group(&parent.group)
        );
        return Err(refused("Invalid", message));
    }
    let id =
        ResourceId { kind: Kind::Gateway, namespace: parent.namespace.clone(), name: parent.name.clone() };
    if let Some(controller) = gateways.controller_of(&id) {
        let message = format!("{id} belongs to the controller `{controller}`: Portolan leaves it alone");
        return Err(Refused { reason: "Pending", message, truth: Truth::Unknown });
    }
    let Some(served) = gateways.find(&id) else {
        let known = gateways.iter().map(|served| {
            let id = &served.gateway.meta.id;
            format!("{}/{}", id.namespace, id.name)
        });
        let message =
            format!("there is no Gateway `{}/{}`; there is {}", id.namespace, id.name, words::listed(known));
        return Err(refused("ParentNotAccepted", message));
    };
    let namespace = &set.meta.id.namespace;
    let (from, is_allowed) = match &served.gateway.allowed_listeners {
        FromNamespaces::All => ("All", true),
        FromNamespaces::Same => ("Same", *namespace == id.namespace),
        FromNamespaces::Selector(selector) => ("Selector", gateways.namespaces.fits(namespace, selector)),
        FromNamespaces::None => ("None", false),
    };
    if is_allowed {
        return Ok(served.gateway);
    }
    let remedy =
        if *namespace == id.namespace { "`Same` or `All`" } else { "`All`, or a `Selector` that fits," };
    let message = format!(
        "{id} takes no ListenerSets of namespace `{namespace}`: its `spec.allowedListeners.namespaces.from` is `{from}`; \
         {remedy} there lets them in"
    );
    Err(refused("NotAllowed", message))
}

// === impl Refused ===

impl Refused {
    pub(super) fn status(self) -> Status {
        let conditions = match self.truth {
            Truth::Unknown => {
                vec![waiting("Accepted", self.message.clone()), waiting("Programmed", self.message)]
            }
            Truth::True | Truth::False => vec![
                Condition::no("Accepted", self.reason, &self.message),
                Condition::no("Programmed", "Invalid", self.message),
            ],
        };
        Status { conditions, ..Status::default() }
    }
}
