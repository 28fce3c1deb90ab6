//! Rules of the core kinds: `Secret`, `ConfigMap`, `Service`, `Namespace`.

use super::{At, Found, text};
use crate::api::{ConfigMap, IntOrString, ObjectMeta, Secret, ServicePort, ServiceSpec, ServiceType};

/// The most bytes that the values of a `Secret` or `ConfigMap` may have together.
const MAX_BYTES: usize = 1024 * 1024;

/// Never names a value: it is secret.
pub(super) fn check_secret(secret: &Secret, at: &At<'_>, found: &mut Found) {
    let data = at.key("data");
    for (key, value) in &secret.data {
        if !text::is_base64(value.expose()) {
            found.expected(
                &data.key(key),
                "the value is not Base64",
                "Base64, or the plain text under `stringData`",
            );
        }
    }
    let values = secret.data.values().chain(secret.string_data.values());
    check_size(values.map(|value| value.expose().len()), at, found);
    if secret.kind.as_deref() == Some("kubernetes.io/tls") {
        for wanted in ["tls.crt", "tls.key"] {
            let mut keys = secret.data.keys().chain(secret.string_data.keys());
            if !keys.any(|key| &**key == wanted) {
                let message = format!("a `Secret` of the type `kubernetes.io/tls` needs the key `{wanted}`");
                found.add(at, message);
            }
        }
    }
}

pub(super) fn check_config_map(map: &ConfigMap, at: &At<'_>, found: &mut Found) {
    let binary = at.key("binaryData");
    for (key, value) in &map.binary_data {
        let at = binary.key(key);
        if !text::is_base64(value) {
            found.expected(&at, "the value is not Base64", "Base64, or the plain text under `data`");
        }
        if map.data.contains_key(key) {
            found.add(&at, format!("the key `{key}` is under `data` too"));
        }
    }
    check_size(map.data.values().chain(map.binary_data.values()).map(String::len), at, found);
}

/// Its name is written in the namespaces of others.
pub(super) fn check_namespace(metadata: &ObjectMeta, at: &At<'_>, found: &mut Found) {
    const LONGEST: usize = 63;
    let name = &*metadata.name;
    if name.len() > LONGEST || name.contains('.') {
        let message = format!("`{name}` is not the name of a namespace");
        let expected = format!("up to {LONGEST} lower-case letters, digits and `-`");
        found.expected(&at.key("name"), message, expected);
    }
}

fn check_size(lengths: impl Iterator<Item = usize>, at: &At<'_>, found: &mut Found) {
    let sum: usize = lengths.sum();
    // Base64 makes four bytes of three.
    if sum > MAX_BYTES / 3 * 4 {
        found.add(at, format!("the values have {sum} bytes together; the most is 1 MiB"));
    }
}

pub(super) fn check_service(spec: &ServiceSpec, at: &At<'_>, found: &mut Found) {
    let kind = spec.kind.unwrap_or_default();
    let name = at.key("externalName");
    match (&spec.external_name, kind) {
        (Some(host), ServiceType::ExternalName) => {
            found.take(&name, text::host(host));
        }
        (None, ServiceType::ExternalName) => found.add(at, "`type: ExternalName` needs `externalName`"),
        (_, ServiceType::ClusterIp | ServiceType::NodePort | ServiceType::LoadBalancer) => {}
    }
    let is_headless = spec.cluster_ip.as_deref() == Some("None");
    if spec.ports.is_empty() && kind != ServiceType::ExternalName && !is_headless {
        found.add(at, "a service needs `ports`");
    }
    check_ports(&spec.ports, &at.key("ports"), found);
}

fn check_ports(ports: &[ServicePort], at: &At<'_>, found: &mut Found) {
    let mut names = std::collections::BTreeSet::new();
    let mut numbers = std::collections::BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let at = at.index(index);
        match &port.name {
            Some(name) if !names.insert(name) => {
                found.add(&at.key("name"), format!("the port name `{name}` is there twice"));
            }
            None if ports.len() > 1 => found.add(&at, "where there are several ports each needs a `name`"),
            Some(_) | None => {}
        }
        let protocol = format!("{:?}", port.protocol.unwrap_or_default());
        if !numbers.insert((port.port, protocol)) {
            found.add(&at.key("port"), format!("port {} is there twice", port.port));
        }
        if let Some(IntOrString::String(name)) = &port.target_port
            && !is_port_name(name)
        {
            let message = format!("`{name}` is neither a port nor the name of one");
            found.add(&at.key("targetPort"), message);
        }
    }
}

/// As Kubernetes has it (RFC 6335): up to 15 lower-case letters, digits and `-`, at least one letter.
fn is_port_name(name: &str) -> bool {
    name.len() <= 15
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}
