//! The text of plain documents, as `api::Object::to_value` gives it, without building a value first.
//!
//! Why: when one container changes, the documents of all are written anew, and nearly all are alike. A test holds the
//! two texts together.

use serde::Serialize;

use super::claims::Strip;
use crate::api::{BackendEndpoint, Hostname, ObjectMeta};

const STRIP: [Filter; 1] = [Filter {
    kind: "URLRewrite",
    url_rewrite: UrlRewrite { path: PathModifier { replace_prefix_match: "/", kind: "ReplacePrefixMatch" } },
}];

/// An `HTTPRoute` with one path and one backend.
pub(super) fn path_route(
    metadata: &ObjectMeta,
    hostnames: &[Hostname],
    (path, strip): (&str, Strip),
    backend: &str,
) -> String {
    let rule = Rule {
        backend_refs: [BackendRef { group: "portolan.dev", kind: "Backend", name: backend }],
        filters: match strip {
            Strip::Keep => &[],
            Strip::Strip => &STRIP,
        },
        matches: [Match { path: Path { kind: "PathPrefix", value: path } }],
    };
    write(&Manifest {
        api_version: "gateway.networking.k8s.io/v1",
        kind: "HTTPRoute",
        metadata: Metadata::new(metadata),
        spec: RouteSpec { hostnames, rules: [rule] },
    })
}

/// A `Backend` of containers.
pub(super) fn backend(metadata: &ObjectMeta, endpoints: &[BackendEndpoint]) -> String {
    let endpoints = endpoints
        .iter()
        .map(|endpoint| Endpoint {
            docker: Docker {
                container: endpoint.docker.as_ref().and_then(|docker| docker.container.as_deref()),
            },
            network: endpoint.network.as_deref(),
            port: endpoint.port,
            scheme: endpoint.scheme,
            weight: endpoint.weight,
        })
        .collect();
    write(&Manifest {
        api_version: "portolan.dev/v1alpha1",
        kind: "Backend",
        metadata: Metadata::new(metadata),
        spec: BackendSpec { endpoints },
    })
}

/// Every key is a text, so there is nothing that could not be written.
fn write<S: Serialize>(manifest: &Manifest<'_, S>) -> String {
    serde_json::to_string(manifest).unwrap_or_default()
}

// Fields stand in the order of the alphabet, as in a `Value`.

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a, S> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    spec: S,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_timestamp: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
}

#[derive(Serialize)]
struct RouteSpec<'a> {
    hostnames: &'a [Hostname],
    rules: [Rule<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule<'a> {
    backend_refs: [BackendRef<'a>; 1],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    filters: &'a [Filter],
    matches: [Match<'a>; 1],
}

#[derive(Serialize)]
struct BackendRef<'a> {
    group: &'a str,
    kind: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Match<'a> {
    path: Path<'a>,
}

#[derive(Serialize)]
struct Path<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    #[serde(rename = "type")]
    kind: &'static str,
    url_rewrite: UrlRewrite,
}

#[derive(Serialize)]
struct UrlRewrite {
    path: PathModifier,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PathModifier {
    replace_prefix_match: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct BackendSpec<'a> {
    endpoints: Vec<Endpoint<'a>>,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    docker: Docker<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<std::num::NonZeroU16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<crate::api::BackendScheme>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
}

#[derive(Serialize)]
struct Docker<'a> {
    container: Option<&'a str>,
}

// === impl Metadata ===

impl<'a> Metadata<'a> {
    fn new(metadata: &'a ObjectMeta) -> Self {
        Self {
            creation_timestamp: metadata.creation_timestamp.as_deref(),
            name: &metadata.name,
            namespace: metadata.namespace.as_deref(),
        }
    }
}
