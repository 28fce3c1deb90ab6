//! Turns checked documents into model values; the standard's defaults are filled in here.
//!
//! What is valid but not served yet becomes an [`Unsupported`] at the place where it was written, never nothing.

mod backend;
mod backend_tls;
mod certificate;
mod gateway;
mod grpc_route;
mod http_filter;
mod http_route;
mod policy;
mod session;
#[cfg(test)]
mod tests;
mod tls;

use std::sync::Arc;

pub(super) use http_route::HTTPS;

use super::rules::{At, Found, Violation};
use crate::{
    api::{self, Object},
    model::{
        self, Kind, Meta, Origin, ParentRef, PolicyTarget, Resource, ResourceId, UnservedRoute, Unsupported,
    },
};

/// The group of Gateways and routes.
const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
/// The namespace of an object that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// The model's value for a document that keeps the schema and the rules. Documents that do not are refused where they
/// cannot be understood; this is no replacement for [`super::rules::check`].
pub fn resource(object: &Object, origin: Origin, generation: u64) -> Result<Resource, Vec<Violation>> {
    let mut notes = Notes::default();
    let meta = meta(object, origin, generation, &mut notes);
    let spec = At::ROOT;
    let spec = spec.key("spec");
    let resource = match object {
        Object::GatewayClass(class) => Resource::GatewayClass(Arc::new(model::GatewayClass {
            meta,
            controller: (&*class.spec.controller_name).into(),
        })),
        Object::Gateway(gateway) => {
            Resource::Gateway(Arc::new(gateway::gateway(&gateway.spec, meta, &spec, &mut notes)))
        }
        Object::HttpRoute(route) => {
            let https = http_route::https(&route.metadata, &mut notes);
            let route = http_route::http_route(&route.spec, meta, &spec, &mut notes);
            Resource::HttpRoute(Arc::new(model::HttpRoute { https, ..route }))
        }
        Object::GrpcRoute(route) => {
            Resource::HttpRoute(Arc::new(grpc_route::grpc_route(&route.spec, meta, &spec, &mut notes)))
        }
        Object::ReferenceGrant(grant) => {
            Resource::ReferenceGrant(Arc::new(gateway::reference_grant(&grant.spec, meta)))
        }
        Object::Service(service) => {
            Resource::Service(Arc::new(backend::service(&service.spec, meta, &spec, &mut notes)))
        }
        Object::NamespaceObject(namespace) => {
            let labels = namespace.metadata.labels.iter();
            let labels = labels.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
            Resource::Namespace(Arc::new(model::Namespace { meta, labels }))
        }
        Object::Backend(backend) => {
            Resource::Backend(Arc::new(backend::backend(&backend.spec, meta, &spec, &mut notes)))
        }
        Object::TlsRoute(route) => unserved(meta, &route.spec.parent_refs),
        Object::TcpRoute(route) | Object::UdpRoute(route) => unserved(meta, &route.spec.parent_refs),
        Object::ListenerSet(set) => {
            Resource::ListenerSet(Arc::new(gateway::listener_set(&set.spec, meta, &spec, &mut notes)))
        }
        Object::BackendTlsPolicy(policy) => {
            let policy = backend_tls::policy(&policy.spec, meta, &spec, &mut notes);
            Resource::BackendTlsPolicy(Arc::new(policy))
        }
        Object::Filter(_) | Object::Rollout(_) => unserved(meta, &[]),
        Object::Certificate(certificate) => Resource::Certificate(Arc::new(certificate::certificate(
            &certificate.spec,
            meta,
            &spec,
            &mut notes,
        ))),
        Object::Secret(secret) => {
            Resource::Secret(Arc::new(certificate::secret(secret, meta, &mut notes.found)))
        }
        Object::ConfigMap(map) => Resource::ConfigMap(Arc::new(certificate::config_map(map, meta))),
        Object::ControllerConfig(_) => Resource::Passive(Arc::new(meta)),
    };
    let violations = notes.found.into_violations();
    if violations.is_empty() { Ok(resource) } else { Err(violations) }
}

/// What conversion finds on its way.
#[derive(Default)]
struct Notes {
    found: Found,
    unsupported: Vec<Unsupported>,
}

/// A written duration that means a limit: `0s` is none.
fn limit(text: Option<&api::Duration>, at: &At<'_>, notes: &mut Notes) -> Option<std::time::Duration> {
    let length = notes.found.take(at, super::rules::duration(text?))?;
    (!length.is_zero()).then_some(length)
}

fn meta(object: &Object, origin: Origin, generation: u64, notes: &mut Notes) -> Meta {
    let written = object.metadata();
    let namespace = written.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let id = ResourceId::new(kind(object), namespace, &written.name);
    let created = written.creation_timestamp.as_deref().and_then(|text| {
        let metadata = At::ROOT;
        let metadata = metadata.key("metadata");
        notes.found.take(&metadata.key("creationTimestamp"), super::rules::timestamp(text))
    });
    Meta { id, origin, created, generation }
}

/// The model's word for an object's kind.
pub fn kind(object: &Object) -> Kind {
    match object {
        Object::GatewayClass(_) => Kind::GatewayClass,
        Object::Gateway(_) => Kind::Gateway,
        Object::ListenerSet(_) => Kind::ListenerSet,
        Object::HttpRoute(_) => Kind::HttpRoute,
        Object::GrpcRoute(_) => Kind::GrpcRoute,
        Object::TlsRoute(_) => Kind::TlsRoute,
        Object::TcpRoute(_) => Kind::TcpRoute,
        Object::UdpRoute(_) => Kind::UdpRoute,
        Object::BackendTlsPolicy(_) => Kind::BackendTlsPolicy,
        Object::ReferenceGrant(_) => Kind::ReferenceGrant,
        Object::Secret(_) => Kind::Secret,
        Object::ConfigMap(_) => Kind::ConfigMap,
        Object::Service(_) => Kind::Service,
        Object::NamespaceObject(_) => Kind::Namespace,
        Object::Backend(_) => Kind::Backend,
        Object::Filter(_) => Kind::Filter,
        Object::Certificate(_) => Kind::Certificate,
        Object::Rollout(_) => Kind::Rollout,
        Object::ControllerConfig(_) => Kind::ControllerConfig,
    }
}

fn unserved(meta: Meta, written: &[api::ParentReference]) -> Resource {
    let parents = parents(written, &meta);
    Resource::Unserved(Arc::new(UnservedRoute { meta, parents }))
}

fn policy_target(written: &api::PolicyTargetReference) -> PolicyTarget {
    PolicyTarget {
        group: (&*written.group).into(),
        kind: (&*written.kind).into(),
        name: (&*written.name).into(),
        section: written.section_name.as_deref().map(Into::into),
    }
}

fn parents(written: &[api::ParentReference], meta: &Meta) -> Vec<ParentRef> {
    let parent = |written: &api::ParentReference| ParentRef {
        section: written.section_name.as_deref().map(Into::into),
        port: written.port,
        ..parent(
            (written.group.as_deref(), written.kind.as_deref()),
            written.namespace.as_deref(),
            &written.name,
            meta,
        )
    };
    written.iter().map(parent).collect()
}

fn parent(
    (group, kind): (Option<&str>, Option<&str>),
    namespace: Option<&str>,
    name: &str,
    meta: &Meta,
) -> ParentRef {
    ParentRef {
        group: text_or(group, GATEWAY_GROUP),
        kind: text_or(kind, "Gateway"),
        namespace: text_or(namespace, &meta.id.namespace),
        name: name.into(),
        section: None,
        port: None,
    }
}

fn text_or(text: Option<&str>, otherwise: &str) -> Arc<str> {
    text.unwrap_or(otherwise).into()
}

// === impl Notes ===

impl Notes {
    /// Takes note of a field that is valid but not served yet.
    fn unsupported(&mut self, at: &At<'_>, why: &str) {
        self.unsupported.push(Unsupported { field: at.dotted().into(), why: why.into() });
    }

    /// The fields noted since the last call.
    fn take_unsupported(&mut self) -> Vec<Unsupported> {
        std::mem::take(&mut self.unsupported)
    }
}
