//! The documents a person writes and the status written back: types and their schemas, no behaviour.
//!
//! Why own types: those of the Gateway API for Rust accept unknown fields and wrong ports, and their schemas have no
//! limits. Here every limit that a JSON Schema can say is on the type, so that editors know it too; what a schema
//! cannot say is in `config::rules`. `apiVersion`, `kind` and `status` are no fields: they are handled once, here.

mod backend;
mod backend_tls_policy;
mod certificate;
mod controller_config;
mod core;
mod filter;
mod gateway;
mod grpc_route;
mod http_filter;
mod http_route;
mod l4_route;
mod listener_set;
mod meta;
mod names;
mod reference_grant;
mod references;
mod registry;
mod rollout;
mod schema;
pub mod status;
#[cfg(test)]
mod tests;

pub use backend::{
    Backend, BackendEndpoint, BackendScheme, BackendSpec, BackendTls, Connections, ConsulEndpoint, DnsRecord,
    DockerEndpoint, GrpcHealthCheck, HashOn, HealthCheck, HealthUse, HttpHealthCheck, LoadBalancing,
    LoadBalancingPolicy, OutlierDetection, ProxyProtocol, Resolve, SwarmEndpoint, TcpHealthCheck,
};
pub use backend_tls_policy::{
    BackendTlsPolicy, BackendTlsPolicySpec, BackendTlsPolicyValidation, SubjectAltName, SubjectAltNameType,
};
pub use certificate::{
    Acme, AcmeChallenge, AcmeDns, Certificate, CertificateFiles, CertificateSpec, KeyType, SelfSigned,
};
pub use controller_config::{
    AccessLog, AccessLogFormat, ControllerConfig, ControllerConfigSpec, Dialect, LogFormat, Oddity,
};
pub use core::{
    ClientIpConfig, ConfigMap, IntOrString, NamespaceObject, NamespaceSpec, Secret, SecretText, Service,
    ServicePort, ServiceProtocol, ServiceSpec, ServiceType, SessionAffinity, SessionAffinityConfig,
};
pub use filter::{
    BasicAuth, Buffer, Compress, CompressAlgorithm, ErrorPages, Filter, FilterSpec, ForwardAuth,
    InFlightLimit, IpAllow, Jwt, RateLimit, SecretReference, SizeLimit,
};
pub use gateway::{
    AllowedListeners, AllowedRoutes, FrontendTls, FrontendTlsPerPort, FrontendTlsPort, FrontendTlsValidation,
    FrontendValidationMode, Gateway, GatewayAddress, GatewayBackendTls, GatewayClass, GatewayClassSpec,
    GatewayInfrastructure, GatewaySpec, GatewayTls, Listener, ListenerNamespaces, ListenerTls, ListenersFrom,
    Port, RouteGroupKind, RouteNamespaces, RoutesFrom, TlsMode,
};
pub use grpc_route::{
    GrpcBackendRef, GrpcHeaderMatch, GrpcMethodMatch, GrpcRoute, GrpcRouteFilter, GrpcRouteFilterType,
    GrpcRouteMatch, GrpcRouteRule, GrpcRouteSpec,
};
pub use http_filter::{
    CorsMethod, ExternalAuthProtocol, ForwardBodyConfig, Fraction, GrpcAuthConfig, HttpAuthConfig,
    HttpCorsFilter, HttpExternalAuthFilter, HttpHeader, HttpHeaderFilter, HttpPathModifier,
    HttpPathModifierType, HttpRequestMirrorFilter, HttpRequestRedirectFilter, HttpRouteFilter,
    HttpRouteFilterType, HttpUrlRewriteFilter, RedirectScheme,
};
pub use http_route::{
    CookieConfig, CookieLifetime, HttpBackendRef, HttpHeaderMatch, HttpMethod, HttpPathMatch,
    HttpQueryParamMatch, HttpRoute, HttpRouteMatch, HttpRouteRetry, HttpRouteRule, HttpRouteSpec,
    HttpRouteTimeouts, MatchType, PathMatchType, SessionCookie, SessionHeader, SessionPersistence,
    SessionPersistenceType,
};
pub use l4_route::{StreamRouteRule, StreamRouteSpec, TcpRoute, TlsRoute, TlsRouteSpec, UdpRoute};
pub use listener_set::{ListenerSet, ListenerSetSpec, ParentGatewayReference};
pub use meta::{Document, LabelSelector, LabelSelectorRequirement, ObjectMeta, Options, SelectorOperator};
pub use names::{
    AbsoluteUri, AddressType, AnnotationKey, AnnotationValue, ControllerName, CorsOrigin, DataKey, DnsName,
    Duration, Group, HeaderName, HeaderValue, Hostname, KindName, Name, Namespace, ObjectName,
    PreciseHostname, ProtocolType, QueryParamName, SectionName, WellKnownCaCertificates,
};
pub use reference_grant::{ReferenceGrant, ReferenceGrantFrom, ReferenceGrantSpec, ReferenceGrantTo};
pub use references::{
    BackendObjectReference, BackendRef, DefaultScope, LocalObjectReference, ObjectReference, ParentReference,
    PolicyTargetReference, SecretObjectReference,
};
pub use registry::{Definition, InvalidObject, KINDS, Object, Recognized, drop_nulls, recognize};
pub use rollout::{
    HttpReadiness, Readiness, Rollout, RolloutSelector, RolloutSpec, Superseded, TcpReadiness,
};
pub use schema::{schema, schema_all, schema_files};
