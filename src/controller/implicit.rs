//! The Gateway that is there where the configuration has none: HTTP, and HTTPS where there are certificates.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    sync::Arc,
};

use crate::{
    config,
    model::{
        Addresses, AllowedRoutes, CertificateRefs, FromNamespaces, FrontendTls, Gateway, Kind, Listener,
        ListenerTls, Meta, Origin, Protocol, Resource, ResourceId,
    },
};

/// For every route of every namespace. A Gateway has its addresses for all its listeners, so two addresses need two.
pub(super) fn gateways(
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
) -> Vec<(ResourceId, Arc<config::Object>)> {
    let listener = |name: &str, protocol, address: Option<SocketAddr>| {
        let address = address?;
        Some((address.ip(), listener(name, protocol, NonZeroU16::new(address.port())?)))
    };
    let plain = listener("http", Protocol::Http, http);
    let secure = listener("https", Protocol::Https, https);
    match (plain, secure) {
        (Some((address, plain)), Some((other, secure))) if address == other => {
            vec![gateway("default", address, vec![plain, secure])]
        }
        (Some((address, plain)), Some((other, secure))) => {
            vec![gateway("default", address, vec![plain]), gateway("default-https", other, vec![secure])]
        }
        (Some((address, listener)), None) | (None, Some((address, listener))) => {
            vec![gateway("default", address, vec![listener])]
        }
        (None, None) => Vec::new(),
    }
}

fn listener(name: &str, protocol: Protocol, port: NonZeroU16) -> Listener {
    Listener {
        name: name.into(),
        hostname: None,
        port,
        protocol,
        allowed: AllowedRoutes { namespaces: FromNamespaces::All, kinds: None },
        tls: ListenerTls { certificates: CertificateRefs::Every, ..ListenerTls::default() },
        unsupported: Vec::new(),
    }
}

fn gateway(name: &str, address: IpAddr, listeners: Vec<Listener>) -> (ResourceId, Arc<config::Object>) {
    let manifest = serde_json::json!({
        "apiVersion": Kind::Gateway.api_version(),
        "kind": Kind::Gateway.as_str(),
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "gatewayClassName": "portolan",
            "defaultScope": "All",
            "addresses": [{"type": "IPAddress", "value": address.to_string()}],
            "listeners": listeners.iter().map(|listener| serde_json::json!({
                "name": listener.name,
                "port": listener.port,
                "protocol": listener.protocol.as_str(),
                "allowedRoutes": {"namespaces": {"from": "All"}},
            })).collect::<Vec<_>>(),
        },
    });
    let id = ResourceId::new(Kind::Gateway, "default", name);
    let gateway = Gateway {
        meta: Meta {
            id: id.clone(),
            origin: Origin::BuiltIn("the implicit Gateway: the configuration has none"),
            created: None,
            generation: 1,
        },
        class: "portolan".into(),
        addresses: Addresses::Only(vec![address]),
        listeners,
        allowed_listeners: FromNamespaces::None,
        is_default: true,
        frontend: FrontendTls::default(),
        client: None,
        unsupported_addresses: Vec::new(),
        unsupported_parameters: None,
    };
    let resource = Resource::Gateway(Arc::new(gateway));
    (id, Arc::new(config::Object { resource, manifest: manifest.to_string().into() }))
}
