//! Documents that many tests write, as text.

use std::net::SocketAddr;

/// A `Backend` at an address that something listens on.
pub fn backend(name: &str, address: SocketAddr) -> String {
    format!(
        "apiVersion: portolan.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}}}\nspec:\n  endpoints: [{{address: {}, port: {}}}]\n---\n",
        address.ip(),
        address.port()
    )
}

/// An `HTTPRoute` for one host; `rules` is YAML in flow style: `[{backendRefs: [{name: a, port: 80}]}]`.
pub fn route(name: &str, host: &str, rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  hostnames: [\"{host}\"]\n  rules: {rules}\n---\n"
    )
}

/// An `HTTPRoute` that sends everything for a host to one backend.
pub fn simple(name: &str, host: &str, backend: &str) -> String {
    route(name, host, &format!("[{{backendRefs: [{{name: {backend}, port: 80}}]}}]"))
}

/// A `Gateway` with one HTTP listener for the routes of all namespaces, and the default for routes without a parent.
pub fn gateway(name: &str, address: SocketAddr) -> String {
    gateway_with(
        name,
        address,
        &format!(
            "[{{name: web, protocol: HTTP, port: {}, allowedRoutes: {{namespaces: {{from: All}}}}}}]",
            address.port()
        ),
    )
}

/// The same with these listeners.
pub fn gateway_with(name: &str, address: SocketAddr, listeners: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\nspec:\n  gatewayClassName: portolan\n  defaultScope: All\n  addresses: [{{type: IPAddress, value: {}}}]\n  listeners: {listeners}\n---\n",
        address.ip()
    )
}
