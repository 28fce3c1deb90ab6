//! `Backend` and `Service`: where traffic goes.

use std::{path::Path, sync::Arc};

use super::{Notes, backend_tls, gateway::labels, policy::policy};
use crate::{
    api::{
        self, BackendEndpoint, BackendScheme, BackendSpec, IntOrString, ServiceProtocol, ServiceSpec,
        ServiceType, SessionAffinity,
    },
    config::rules::{self, At},
    model::{
        Backend, BackendPolicy, Balancing, Endpoint, EndpointTarget, HashKey, LabelSelector, Meta, Scheme,
        Service, ServiceKind, ServicePort,
    },
};

pub(super) fn backend(spec: &BackendSpec, meta: Meta, at: &At<'_>, notes: &mut Notes) -> Backend {
    let scheme = spec.scheme.map_or(Scheme::Http, scheme);
    let endpoints_at = at.key("endpoints");
    let endpoints = spec
        .endpoints
        .iter()
        .enumerate()
        .filter_map(|(index, written)| endpoint(written, scheme, &endpoints_at.index(index), notes))
        .collect();
    let policy = policy(spec, at, notes);
    let tls = spec.tls.as_ref().map(|tls| backend_tls::of_backend(tls, &meta, &at.key("tls"), notes));
    Backend { meta, endpoints, policy, tls: tls.unwrap_or_default(), unsupported: notes.take_unsupported() }
}

fn endpoint(
    written: &BackendEndpoint,
    inherited: Scheme,
    at: &At<'_>,
    notes: &mut Notes,
) -> Option<Endpoint> {
    let own = written.scheme.map(scheme);
    Some(Endpoint {
        target: target(written, at, notes)?,
        port: written.port,
        weight: written.weight.unwrap_or(1),
        scheme: own.unwrap_or(inherited),
    })
}

fn target(written: &BackendEndpoint, at: &At<'_>, notes: &mut Notes) -> Option<EndpointTarget> {
    if let Some(address) = &written.address {
        let address = notes.found.take(&at.key("address"), rules::ip_address(address));
        return address.map(EndpointTarget::Address);
    }
    if let Some(hostname) = &written.hostname {
        if let Some(resolve) = &written.resolve {
            let at = at.key("resolve");
            if resolve.record.is_some() {
                let why = "a choice of records is not served yet; all addresses are used";
                notes.unsupported(&at.key("record"), why);
            }
            if resolve.every.is_some() {
                notes.unsupported(&at.key("every"), "an interval of its own is not served yet");
            }
        }
        let hostname = notes.found.take(&at.key("hostname"), rules::host(hostname));
        return hostname.map(EndpointTarget::Hostname);
    }
    if let Some(path) = &written.unix {
        return Some(EndpointTarget::Unix(Arc::from(Path::new(path))));
    }
    let network = written.network.as_deref().map(Into::into);
    if let Some(docker) = &written.docker {
        return match (&docker.selector, &docker.container) {
            (Some(selector), _) => {
                let selector = LabelSelector { labels: labels(selector), requirements: Vec::new() };
                Some(EndpointTarget::Containers { selector, network })
            }
            (None, Some(name)) => {
                Some(EndpointTarget::ContainerNamed { name: name.as_str().into(), network })
            }
            (None, None) => None,
        };
    }
    if written.swarm.is_some() {
        notes.unsupported(&at.key("swarm"), "Swarm services are not served yet");
    }
    if written.consul.is_some() {
        notes.unsupported(&at.key("consul"), "Consul services are not served yet");
    }
    None
}

fn scheme(written: BackendScheme) -> Scheme {
    match written {
        BackendScheme::Http => Scheme::Http,
        BackendScheme::Https => Scheme::Https,
        BackendScheme::H2c => Scheme::H2c,
    }
}

pub(super) fn service(spec: &ServiceSpec, meta: Meta, at: &At<'_>, notes: &mut Notes) -> Service {
    let kind = match (spec.kind.unwrap_or_default(), &spec.external_name) {
        (ServiceType::ExternalName, Some(host)) => {
            notes.found.take(&at.key("externalName"), rules::host(host)).map(ServiceKind::ExternalName)
        }
        (
            ServiceType::ExternalName
            | ServiceType::ClusterIp
            | ServiceType::NodePort
            | ServiceType::LoadBalancer,
            _,
        ) => None,
    };
    let ports_at = at.key("ports");
    let ports = spec
        .ports
        .iter()
        .enumerate()
        .filter_map(|(index, port)| service_port(port, &ports_at.index(index), notes))
        .collect();
    // Hashing needs no memory, so there is nothing that `sessionAffinityConfig` could let end.
    let balancing = match spec.session_affinity {
        Some(SessionAffinity::ClientIp) => Balancing::Maglev(HashKey::ClientAddress),
        Some(SessionAffinity::None) | None => Balancing::RoundRobin,
    };
    if spec.publish_not_ready_addresses == Some(true) {
        let why = "containers that are not ready get no requests";
        notes.unsupported(&at.key("publishNotReadyAddresses"), why);
    }
    Service {
        meta,
        kind: kind.unwrap_or_else(|| ServiceKind::Selector(labels(&spec.selector))),
        ports,
        policy: Arc::new(BackendPolicy { balancing, ..BackendPolicy::default() }),
        unsupported: notes.take_unsupported(),
    }
}

fn service_port(written: &api::ServicePort, at: &At<'_>, notes: &mut Notes) -> Option<ServicePort> {
    if written.protocol.unwrap_or_default() != ServiceProtocol::Tcp {
        // Nothing that is served could refer to it.
        return None;
    }
    let target = match &written.target_port {
        None => written.port,
        Some(IntOrString::Int(port)) => *port,
        Some(IntOrString::String(name)) => {
            let why =
                format!("containers have no names for their ports: write the number instead of `{name}`");
            notes.unsupported(&at.key("targetPort"), &why);
            return None;
        }
    };
    let scheme = match written.app_protocol.as_deref() {
        Some("kubernetes.io/h2c" | "h2c") => Scheme::H2c,
        Some("https" | "kubernetes.io/wss") => Scheme::Https,
        Some(_) | None => Scheme::Http,
    };
    Some(ServicePort { name: written.name.as_deref().map(Into::into), port: written.port, target, scheme })
}
