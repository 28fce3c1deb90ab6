//! The schemas as code, made by the compiler from the files in `schema/`.
//!
//! Why not from the types at run time, like those that explain an error: nearly all documents are valid, and to make and
//! compile schemas takes longer, and stays in memory, than everything else that a start does.

/// Makes a check of each kind's file.
macro_rules! kinds {
    ($($kind:literal: $variant:ident in $file:literal),+ $(,)?) => {
        $(
            #[jsonschema::validator(
                path = $file,
                pattern_options = { engine = regex },
                methods = { is_valid = true, validate = false, iter_errors = false }
            )]
            struct $variant;
        )+

        /// Whether a document is as the schema of its kind says; `None` for a kind that has none.
        pub(super) fn is_valid(kind: &str, document: &serde_json::Value) -> Option<bool> {
            match kind {
                $($kind => Some($variant::is_valid(document)),)+
                _ => None,
            }
        }
    };
}

kinds! {
    "GatewayClass": GatewayClass in "schema/gatewayclass.json",
    "Gateway": Gateway in "schema/gateway.json",
    "ListenerSet": ListenerSet in "schema/listenerset.json",
    "HTTPRoute": HttpRoute in "schema/httproute.json",
    "GRPCRoute": GrpcRoute in "schema/grpcroute.json",
    "TLSRoute": TlsRoute in "schema/tlsroute.json",
    "TCPRoute": TcpRoute in "schema/tcproute.json",
    "UDPRoute": UdpRoute in "schema/udproute.json",
    "BackendTLSPolicy": BackendTlsPolicy in "schema/backendtlspolicy.json",
    "ReferenceGrant": ReferenceGrant in "schema/referencegrant.json",
    "Secret": Secret in "schema/secret.json",
    "ConfigMap": ConfigMap in "schema/configmap.json",
    "Service": Service in "schema/service.json",
    "Namespace": Namespace in "schema/namespace.json",
    "Backend": Backend in "schema/backend.json",
    "Filter": Filter in "schema/filter.json",
    "Certificate": Certificate in "schema/certificate.json",
    "Rollout": Rollout in "schema/rollout.json",
    "ControllerConfig": ControllerConfig in "schema/controllerconfig.json",
}
