//! The checked vocabulary: a value that exists is valid. Pure: no clock, no I/O, no hashing whose order could show.
//!
//! [`crate::config`] makes these values from documents and labels, [`crate::discovery`] from what runs;
//! [`crate::plan`] reads them.

mod allowed;
mod backend;
mod backend_tls;
mod certificate;
mod cidr;
mod cors;
mod difference;
mod drain;
mod failure;
mod gateway;
mod host;
mod http_route;
mod id;
mod nearest;
mod policy;
mod report;
mod session;
mod side_by_side;
mod snapshot;
mod status;
mod workload;

pub use allowed::{Allowed, Oddity};
pub use backend::{Backend, Endpoint, EndpointTarget, Scheme, Service, ServiceKind, ServicePort};
pub use backend_tls::{Authorities, AuthorityRefs, BackendTls, BackendTlsPolicy, EndpointTls, SubjectName};
pub use certificate::{
    Certificate, CertificateOrders, CertificateRefs, CertificateSource, CertifiedKey, ClientValidation,
    ConfigMap, Der, FrontendTls, Issued, KeyForm, ListenerTls, ObjectRef, PrivateKey, Secret, TlsVersion,
    ValidationMode,
};
pub use cidr::{Cidr, InvalidCidr};
pub use cors::{Cors, CorsList, OriginHost, OriginPattern};
pub use difference::{Difference, DifferenceKind};
pub use drain::{Declined, DrainAsk, DrainState, Why};
pub use failure::{FailureReport, Fault, LastFailure};
pub use gateway::{
    Addresses, AllowedRoutes, FromNamespaces, Gateway, GatewayClass, GrantFrom, GrantTo, Listener,
    ListenerSet, ReferenceGrant,
};
pub use gateway::{LabelSelector, Namespace, Protocol, Requirement};
pub use host::{Host, HostPattern, InvalidHost};
pub use http_route::{
    AuthProtocol, BackendRef, ExternalAuth, HeaderEdit, HeaderMatch, HttpFilter, HttpMatch, HttpRoute,
    HttpRule, HttpsUse, ParentRef,
};
pub use http_route::{
    PathEdit, PathMatch, Pattern, QueryMatch, Redirect, Retry, Rewrite, Timeouts, Unsupported, ValueMatch,
};
pub use id::{Kind, Meta, Origin, Problem, ResourceId, Severity};
pub use nearest::nearest;
pub use policy::{
    BackendPolicy, Balancing, Connections, Ejection, HashKey, HealthCheck, HealthUse, Probe, ProxyProtocol,
};
pub use report::{BackendReport, ContainerReport, EndpointReport, EndpointState, EventReport, ObjectReport};
pub use report::{EndpointHealth, HealthReport, LeftAlone, Report, SourceReport};
pub use session::{Mirror, Session, SessionCarrier, Share};
pub use side_by_side::side_by_side;
pub use snapshot::{Placement, PolicyTarget, Resource, Settings, Snapshot, UnservedRoute};
pub use status::{CertificateStatus, Condition, ListenerStatus, ParentStatus, Status, Truth};
pub use workload::{
    Attachment, CheckTimes, Compose, Health, NetworkMode, Phase, Published, Transport, Workload, WorkloadId,
};
