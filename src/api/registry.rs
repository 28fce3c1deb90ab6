//! Every kind in one table: its group, its versions, its type.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

/// A kind that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// As in a document's `kind`.
    pub kind: &'static str,
    /// The part of `apiVersion` before the slash; empty for core kinds.
    pub group: &'static str,
    /// What may stand after the slash, the one to write first.
    pub versions: &'static [&'static str],
    /// Objects of this kind have no namespace.
    pub is_cluster_scoped: bool,
    /// One sentence.
    pub about: &'static str,
}

/// What `apiVersion` and `kind` of a document stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognized {
    Known(&'static Definition),
    /// The group and kind are known, the version is not.
    OtherVersion(&'static Definition),
    /// A kind of another group: skipped. Says what to use instead, if there is something.
    Foreign(Option<&'static str>),
    /// The group is one of ours but has no such kind: probably a slip.
    UnknownKind,
}

/// Why a value is not an object of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {message}")]
pub struct InvalidObject {
    /// JSON pointer to the value.
    pub pointer: String,
    pub message: String,
}

/// The group of the Kubernetes Gateway API.
const GATEWAY: &str = "gateway.networking.k8s.io";
/// Portolan's own group.
const PORTOLAN: &str = "portolan.dev";
/// The group of the core kinds, whose `apiVersion` is a version alone.
const CORE: &str = "";

/// The scopes of the table below.
const NAMESPACED: bool = false;
const CLUSTER: bool = true;

/// What only an API server sets in `metadata`.
pub(super) const SERVER_SET: [&str; 10] = [
    "uid",
    "resourceVersion",
    "generation",
    "generateName",
    "managedFields",
    "ownerReferences",
    "finalizers",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// Holds the whole object as it was last applied, the texts of secrets included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Builds the registry, [`Object`] and what goes over all kinds from one table.
macro_rules! kinds {
    ($($variant:ident = $kind:literal in $group:ident [$($version:literal),+] $scope:ident: $about:literal;)+) => {
        /// Every kind that can be read.
        pub const KINDS: &[Definition] = &[$(Definition {
            kind: $kind,
            group: $group,
            versions: &[$($version),+],
            is_cluster_scoped: $scope,
            about: $about,
        }),+];

        /// A document of any kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Object {
            $($variant(Box<super::$variant>)),+
        }

        impl Object {
            /// Reads an object of this kind. `apiVersion`, `kind`, `status`, nulls and what only an API server sets
            /// are left aside.
            pub fn from_value(kind: &str, value: Value) -> Result<Self, InvalidObject> {
                match kind {
                    $($kind => read(value).map(|object| Self::$variant(Box::new(object))),)+
                    _ => Err(InvalidObject {
                        pointer: "/kind".to_owned(),
                        message: format!("`{kind}` is not a kind that Portolan reads"),
                    }),
                }
            }

            /// The word in a document's `kind`.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $kind),+
                }
            }

            pub fn metadata(&self) -> &super::ObjectMeta {
                match self {
                    $(Self::$variant(object) => &object.metadata),+
                }
            }

            pub fn metadata_mut(&mut self) -> &mut super::ObjectMeta {
                match self {
                    $(Self::$variant(object) => &mut object.metadata),+
                }
            }

            /// The document, with `apiVersion` and `kind`, without empty fields. Texts of secrets are hidden.
            pub fn to_value(&self) -> Value {
                let fields = match self {
                    $(Self::$variant(object) => write(object)),+
                };
                self.definition().document(fields)
            }
        }

        /// The schema of a kind's type, without `apiVersion` and `kind`.
        pub(super) fn fields_schema(kind: &str, generator: &mut SchemaGenerator) -> Option<Schema> {
            match kind {
                $($kind => Some(<super::$variant>::json_schema(generator)),)+
                _ => None,
            }
        }
    };
}

kinds! {
    GatewayClass = "GatewayClass" in GATEWAY ["v1", "v1beta1"] CLUSTER:
        "Names the controller that owns the Gateways of a class.";
    Gateway = "Gateway" in GATEWAY ["v1", "v1beta1"] NAMESPACED:
        "Where connections are accepted: listeners and addresses.";
    ListenerSet = "ListenerSet" in GATEWAY ["v1"] NAMESPACED:
        "Adds listeners to a Gateway that allows it.";
    HttpRoute = "HTTPRoute" in GATEWAY ["v1", "v1beta1", "v1alpha2"] NAMESPACED:
        "Which HTTP requests go where.";
    GrpcRoute = "GRPCRoute" in GATEWAY ["v1", "v1alpha2"] NAMESPACED:
        "Which gRPC calls go where.";
    TlsRoute = "TLSRoute" in GATEWAY ["v1", "v1alpha3", "v1alpha2"] NAMESPACED:
        "Which TLS connections go where.";
    TcpRoute = "TCPRoute" in GATEWAY ["v1", "v1alpha2"] NAMESPACED:
        "Where the TCP connections of a listener go.";
    UdpRoute = "UDPRoute" in GATEWAY ["v1", "v1alpha2"] NAMESPACED:
        "Where the datagrams of a listener go.";
    BackendTlsPolicy = "BackendTLSPolicy" in GATEWAY ["v1", "v1alpha3"] NAMESPACED:
        "Which backends speak TLS and how they are verified.";
    ReferenceGrant = "ReferenceGrant" in GATEWAY ["v1", "v1beta1", "v1alpha2"] NAMESPACED:
        "Lets objects of other namespaces refer to objects of this one.";
    Secret = "Secret" in CORE ["v1"] NAMESPACED:
        "Certificates, keys and passwords.";
    ConfigMap = "ConfigMap" in CORE ["v1"] NAMESPACED:
        "Texts and files, such as certificates of authorities.";
    Service = "Service" in CORE ["v1"] NAMESPACED:
        "Containers by their labels, or a name outside.";
    NamespaceObject = "Namespace" in CORE ["v1"] CLUSTER:
        "The labels of a namespace, for selectors of namespaces.";
    Backend = "Backend" in PORTOLAN ["v1alpha1"] NAMESPACED:
        "Where traffic goes when a name alone is not enough.";
    Filter = "Filter" in PORTOLAN ["v1alpha1"] NAMESPACED:
        "What the standard's filters lack.";
    Certificate = "Certificate" in PORTOLAN ["v1alpha1"] NAMESPACED:
        "A certificate from files, from an ACME server, or self-signed.";
    Rollout = "Rollout" in PORTOLAN ["v1alpha1"] NAMESPACED:
        "Replaces containers without losing a request.";
    ControllerConfig = "ControllerConfig" in PORTOLAN ["v1alpha1"] CLUSTER:
        "The settings that are also flags.";
}

/// What a document with this `apiVersion` and `kind` is.
pub fn recognize(api_version: &str, kind: &str) -> Recognized {
    let (group, version) = api_version.rsplit_once('/').unwrap_or((CORE, api_version));
    match KINDS.iter().find(|definition| definition.group == group && definition.kind == kind) {
        Some(definition) if definition.versions.contains(&version) => Recognized::Known(definition),
        Some(definition) => Recognized::OtherVersion(definition),
        None if group == GATEWAY || group == PORTOLAN => Recognized::UnknownKind,
        None => Recognized::Foreign(replacement(group, kind)),
    }
}

/// What to write instead of a kind that is skipped.
fn replacement(group: &str, kind: &str) -> Option<&'static str> {
    match (group, kind) {
        ("gateway.networking.x-k8s.io", "XListenerSet") => {
            Some("use `ListenerSet` of `gateway.networking.k8s.io/v1`")
        }
        ("gateway.networking.x-k8s.io", "XBackend") => Some("use `Backend` of `portolan.dev/v1alpha1`"),
        ("networking.k8s.io" | "extensions", "Ingress") => {
            Some("use `HTTPRoute` of `gateway.networking.k8s.io/v1`")
        }
        _ => None,
    }
}

/// Removes every entry of an object that is null, as an API server does: a key without a value is not set.
pub fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|_, entry| !entry.is_null());
            entries.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

// === impl Definition ===

impl Definition {
    /// The `apiVersion` to write.
    pub fn api_version(&self) -> String {
        self.api_versions().next().unwrap_or_default()
    }

    /// Every `apiVersion` that is read.
    pub fn api_versions(&self) -> impl Iterator<Item = String> {
        self.versions.iter().map(|version| match self.group {
            CORE => (*version).to_owned(),
            group => format!("{group}/{version}"),
        })
    }

    fn document(&self, mut fields: Map<String, Value>) -> Value {
        let mut document = Map::new();
        document.insert("apiVersion".to_owned(), self.api_version().into());
        document.insert("kind".to_owned(), self.kind.into());
        document.append(&mut fields);
        Value::Object(document)
    }
}

// === impl Object ===

impl Object {
    /// Its row in [`KINDS`].
    pub fn definition(&self) -> &'static Definition {
        KINDS.iter().find(|definition| definition.kind == self.kind()).unwrap_or(&KINDS[0])
    }
}

fn read<T: DeserializeOwned>(mut value: Value) -> Result<T, InvalidObject> {
    drop_nulls(&mut value);
    let Value::Object(document) = &mut value else {
        let message = "a document is an object with `apiVersion`, `kind` and `metadata`".to_owned();
        return Err(InvalidObject { pointer: String::new(), message });
    };
    for key in ["apiVersion", "kind", "status"] {
        document.remove(key);
    }
    if let Some(Value::Object(metadata)) = document.get_mut("metadata") {
        metadata.retain(|key, _| !SERVER_SET.contains(&key.as_str()));
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.remove(LAST_APPLIED);
        }
    }
    // Where an error is costs more than all else of reading, and few documents have one.
    T::deserialize(&value).or_else(|_| {
        serde_path_to_error::deserialize(value).map_err(|error| InvalidObject {
            pointer: pointer(error.path()),
            message: error.inner().to_string(),
        })
    })
}

fn write<T: Serialize>(object: &T) -> Map<String, Value> {
    match serde_json::to_value(object) {
        Ok(mut value) => {
            drop_nulls(&mut value);
            match value {
                Value::Object(fields) => fields,
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    Map::new()
                }
            }
        }
        // Every key is a text and every value is plain, so there is nothing that could not be written.
        Err(_) => Map::new(),
    }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}
