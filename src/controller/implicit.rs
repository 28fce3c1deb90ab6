//! The Gateway that is there where the configuration has none.

use std::{net::SocketAddr, num::NonZeroU16, sync::Arc};

use crate::{
    config,
    model::{
        AllowedRoutes, FromNamespaces, Gateway, Kind, Listener, Meta, Origin, Protocol, Resource, ResourceId,
    },
};

/// HTTP on one address, for every route of every namespace.
pub(super) fn gateway(address: SocketAddr) -> (ResourceId, Arc<config::Object>) {
    let manifest = serde_json::json!({
        "apiVersion": Kind::Gateway.api_version(),
        "kind": Kind::Gateway.as_str(),
        "metadata": {"name": "default", "namespace": "default"},
        "spec": {
            "gatewayClassName": "portolan",
            "defaultScope": "All",
            "addresses": [{"type": "IPAddress", "value": address.ip().to_string()}],
            "listeners": [{
                "name": "http",
                "port": address.port(),
                "protocol": "HTTP",
                "allowedRoutes": {"namespaces": {"from": "All"}},
            }],
        },
    });
    let id = ResourceId::new(Kind::Gateway, "default", "default");
    let listener = NonZeroU16::new(address.port()).map(|port| Listener {
        name: "http".into(),
        hostname: None,
        port,
        protocol: Protocol::Http,
        allowed: AllowedRoutes { namespaces: FromNamespaces::All, kinds: None },
        unsupported: Vec::new(),
    });
    let gateway = Gateway {
        meta: Meta {
            id: id.clone(),
            origin: Origin::BuiltIn("the implicit Gateway: the configuration has none"),
            created: None,
            generation: 1,
        },
        class: "portolan".into(),
        addresses: vec![address.ip()],
        listeners: listener.into_iter().collect(),
        is_default: true,
        unsupported: Vec::new(),
    };
    (
        id,
        Arc::new(config::Object {
            resource: Resource::Gateway(Arc::new(gateway)),
            manifest: manifest.to_string().into(),
        }),
    )
}
