//! Rules of Portolan's own kinds.

use super::{At, Found, policy, references, text};
use crate::api::{
    AcmeChallenge, BackendEndpoint, BackendSpec, BackendTls, CertificateSpec, ControllerConfigSpec,
    FilterSpec, HealthCheck, LoadBalancing, LoadBalancingPolicy, RolloutSpec,
};

pub(super) fn check_backend(spec: &BackendSpec, at: &At<'_>, found: &mut Found) {
    let endpoints = at.key("endpoints");
    for (index, endpoint) in spec.endpoints.iter().enumerate() {
        check_endpoint(endpoint, &endpoints.index(index), found);
    }
    if let Some(balancing) = &spec.load_balancing {
        check_balancing(balancing, &at.key("loadBalancing"), found);
    }
    if let Some(check) = &spec.health_check {
        check_health(check, &at.key("healthCheck"), found);
    }
    if let Some(detection) = &spec.outlier_detection {
        let at = at.key("outlierDetection");
        found.duration(&at.key("ejectFor"), detection.eject_for.as_deref());
    }
    if let Some(connections) = &spec.connections {
        let at = at.key("connections");
        positive("connectTimeout", connections.connect_timeout.as_deref(), &at, found);
        found.duration(&at.key("idleTimeout"), connections.idle_timeout.as_deref());
    }
    if let Some(tls) = &spec.tls {
        check_tls(tls, &at.key("tls"), found);
    }
}

fn check_endpoint(endpoint: &BackendEndpoint, at: &At<'_>, found: &mut Found) {
    found.exactly_one(
        at,
        &[
            ("address", endpoint.address.is_some()),
            ("hostname", endpoint.hostname.is_some()),
            ("unix", endpoint.unix.is_some()),
            ("docker", endpoint.docker.is_some()),
            ("swarm", endpoint.swarm.is_some()),
            ("consul", endpoint.consul.is_some()),
        ],
    );
    if let Some(address) = &endpoint.address {
        let at = at.key("address");
        if let Err(message) = text::ip_address(address) {
            found.expected(&at, message, "an IP address; a name goes under `hostname`");
        }
    }
    if let Some(hostname) = &endpoint.hostname {
        found.take(&at.key("hostname"), text::host(hostname));
    }
    if let Some(path) = &endpoint.unix {
        let at = at.key("unix");
        if !path.starts_with('/') || path.contains('\0') {
            found.expected(&at, format!("`{path}` is not a path of a socket"), "an absolute path");
        }
    }
    if let Some(docker) = &endpoint.docker {
        let at = at.key("docker");
        found.exactly_one(
            &at,
            &[("selector", docker.selector.is_some()), ("container", docker.container.is_some())],
        );
        if docker.selector.as_ref().is_some_and(std::collections::BTreeMap::is_empty) {
            found.add(&at.key("selector"), "a selector without labels would take every container");
        }
    }
    let only_for = [
        ("port", endpoint.port.is_some() && endpoint.unix.is_some(), "an endpoint with `unix` has no port"),
        (
            "network",
            endpoint.network.is_some() && endpoint.docker.is_none() && endpoint.swarm.is_none(),
            "`network` is for `docker` and `swarm`",
        ),
        ("resolve", endpoint.resolve.is_some() && endpoint.hostname.is_none(), "`resolve` is for `hostname`"),
    ];
    for (field, _, message) in only_for.into_iter().filter(|(_, is_wrong, _)| *is_wrong) {
        found.add(&at.key(field), message);
    }
    if let Some(resolve) = &endpoint.resolve {
        positive("every", resolve.every.as_deref(), &at.key("resolve"), found);
    }
}

fn check_balancing(balancing: &LoadBalancing, at: &At<'_>, found: &mut Found) {
    found.duration(&at.key("slowStart"), balancing.slow_start.as_deref());
    let Some(hash) = &balancing.hash_on else { return };
    let at = at.key("hashOn");
    let policy = balancing.policy.unwrap_or_default();
    if !matches!(policy, LoadBalancingPolicy::RingHash | LoadBalancingPolicy::Maglev) {
        found.add(&at, "`hashOn` is for the policies `RingHash` and `Maglev`");
    }
    found.exactly_one(
        &at,
        &[
            ("header", hash.header.is_some()),
            ("cookie", hash.cookie.is_some()),
            ("queryParam", hash.query_param.is_some()),
        ],
    );
}

fn check_health(check: &HealthCheck, at: &At<'_>, found: &mut Found) {
    found.exactly_one(
        at,
        &[("http", check.http.is_some()), ("tcp", check.tcp.is_some()), ("grpc", check.grpc.is_some())],
    );
    if let Some(http) = &check.http {
        let at = at.key("http");
        if let Some(path) = &http.path
            && path.parse::<http::uri::PathAndQuery>().is_err()
        {
            found.expected(
                &at.key("path"),
                format!("`{path}` cannot be asked for"),
                "a path as a client sends it, with `%20` for a space",
            );
        }
        if let Some(host) = &http.host {
            found.take(&at.key("host"), text::host(host));
        }
    }
    let interval = positive("interval", check.interval.as_deref().or(Some("5s")), at, found);
    let timeout = positive("timeout", check.timeout.as_deref().or(Some("1s")), at, found);
    if let (Some(interval), Some(timeout)) = (interval, timeout)
        && timeout > interval
    {
        found.add(&at.key("timeout"), "a check cannot take longer than the `interval` between two");
    }
}

fn check_tls(tls: &BackendTls, at: &At<'_>, found: &mut Found) {
    let refs = !tls.ca_certificate_refs.is_empty();
    if refs && tls.well_known_ca_certificates.is_some() {
        found.add(at, "`caCertificateRefs` and `wellKnownCACertificates` exclude each other");
    }
    policy::check_names(&tls.subject_alt_names, &at.key("subjectAltNames"), found);
}

pub(super) fn check_filter(spec: &FilterSpec, at: &At<'_>, found: &mut Found) {
    found.exactly_one(
        at,
        &[
            ("basicAuth", spec.basic_auth.is_some()),
            ("forwardAuth", spec.forward_auth.is_some()),
            ("jwt", spec.jwt.is_some()),
            ("ipAllow", spec.ip_allow.is_some()),
            ("rateLimit", spec.rate_limit.is_some()),
            ("compress", spec.compress.is_some()),
            ("buffer", spec.buffer.is_some()),
            ("sizeLimit", spec.size_limit.is_some()),
            ("errorPages", spec.error_pages.is_some()),
            ("inFlightLimit", spec.in_flight_limit.is_some()),
        ],
    );
    if let Some(auth) = &spec.forward_auth {
        let at = at.key("forwardAuth");
        found.exactly_one(&at, &[("url", auth.url.is_some()), ("backendRef", auth.backend_ref.is_some())]);
        if let Some(backend) = &auth.backend_ref {
            let target = (&backend.group, &backend.kind);
            references::check_port(target, backend.port, &at.key("backendRef"), found);
        } else if auth.path.is_some() {
            found.add(&at.key("path"), "`path` is for `backendRef`; a `url` has its own");
        }
        positive("timeout", auth.timeout.as_deref(), &at, found);
    }
    if let Some(jwt) = &spec.jwt {
        let at = at.key("jwt");
        found.exactly_one(
            &at,
            &[("jwksUrl", jwt.jwks_url.is_some()), ("secretRef", jwt.secret_ref.is_some())],
        );
    }
    if let Some(list) = &spec.ip_allow {
        let at = at.key("ipAllow");
        if list.allow.is_empty() && list.deny.is_empty() {
            found.add(&at, "`allow` or `deny` has to name an address");
        }
        check_networks(&list.allow, &at.key("allow"), found);
        check_networks(&list.deny, &at.key("deny"), found);
    }
    if let Some(limit) = &spec.rate_limit {
        positive("per", limit.per.as_deref(), &at.key("rateLimit"), found);
    }
    if let Some(pages) = &spec.error_pages {
        let at = at.key("errorPages");
        let backend = &pages.backend_ref;
        references::check_port((&backend.group, &backend.kind), backend.port, &at.key("backendRef"), found);
        let statuses = at.key("statuses");
        for (index, range) in pages.statuses.iter().enumerate() {
            if range.split_once('-').is_some_and(|(first, last)| first > last) {
                found.add(&statuses.index(index), format!("`{range}` ends before it begins"));
            }
        }
    }
}

pub(super) fn check_certificate(spec: &CertificateSpec, at: &At<'_>, found: &mut Found) {
    found.exactly_one(
        at,
        &[
            ("files", spec.files.is_some()),
            ("secretRef", spec.secret_ref.is_some()),
            ("acme", spec.acme.is_some()),
            ("selfSigned", spec.self_signed.is_some()),
        ],
    );
    if spec.hostnames.is_empty() && (spec.acme.is_some() || spec.self_signed.is_some()) {
        found.add(at, "a certificate that is made needs `hostnames`");
    }
    let hostnames = at.key("hostnames");
    for (index, hostname) in spec.hostnames.iter().enumerate() {
        found.take(&hostnames.index(index), text::host_pattern(hostname));
    }
    if let Some(acme) = &spec.acme {
        let at = at.key("acme");
        let challenge = acme.challenge.unwrap_or_default();
        match (challenge, &acme.dns) {
            (AcmeChallenge::Dns01, None) => found.add(&at, "the challenge `DNS-01` needs `dns`"),
            (AcmeChallenge::Http01 | AcmeChallenge::TlsAlpn01, Some(_)) => {
                found.add(&at.key("dns"), "`dns` is for the challenge `DNS-01`");
            }
            (AcmeChallenge::Dns01, Some(_)) | (AcmeChallenge::Http01 | AcmeChallenge::TlsAlpn01, None) => {}
        }
        let wildcard = spec.hostnames.iter().position(|hostname| hostname.starts_with("*."));
        if let Some(index) = wildcard.filter(|_| challenge != AcmeChallenge::Dns01) {
            found.add(&hostnames.index(index), "a wildcard needs the challenge `DNS-01`");
        }
        if acme.email.as_ref().is_some_and(|email| !email.contains('@')) {
            found.add(&at.key("email"), "an e-mail address has an `@`");
        }
        positive("renewBefore", acme.renew_before.as_deref(), &at, found);
    }
    if let Some(made) = &spec.self_signed {
        positive("validFor", made.valid_for.as_deref(), &at.key("selfSigned"), found);
    }
}

pub(super) fn check_rollout(spec: &RolloutSpec, at: &At<'_>, found: &mut Found) {
    let selector = &spec.selector;
    if selector.tag.is_none()
        && selector.labels.is_empty()
        && selector.compose_service.is_none()
        && selector.name_prefix.is_none()
    {
        let at = at.key("selector");
        found.expected(
            &at,
            "an empty selector would take every container",
            "`tag`, `labels`, `composeService` or `namePrefix`",
        );
    }
    found.duration(&at.key("gracePeriod"), spec.grace_period.as_deref());
    if let Some(readiness) = &spec.readiness {
        let at = at.key("readiness");
        if readiness.http.is_some() && readiness.tcp.is_some() {
            found.add(&at, "`http` and `tcp` exclude each other");
        }
        positive("timeout", readiness.timeout.as_deref(), &at, found);
        positive("interval", readiness.interval.as_deref(), &at, found);
    }
}

pub(super) fn check_controller_config(spec: &ControllerConfigSpec, at: &At<'_>, found: &mut Found) {
    for (field, value) in [("http", &spec.http), ("https", &spec.https)] {
        if let Some(value) = value {
            found.take(&at.key(field), text::listen_address(value));
        }
    }
    if let Some(admin) = spec.admin.as_ref().filter(|admin| !admin.starts_with("unix:")) {
        found.take(&at.key("admin"), text::listen_address(admin));
    }
    if let Some(docker) = &spec.docker {
        let is_known = docker == "off"
            || ["unix:", "tcp:", "http:", "https:", "npipe:"].iter().any(|scheme| docker.starts_with(scheme))
            || docker.starts_with('/');
        if !is_known {
            let message = format!("`{docker}` is not the address of an engine");
            let expected = "`unix:///var/run/docker.sock`, `tcp://host:2376` or `off`";
            found.expected(&at.key("docker"), message, expected);
        }
    }
    for (field, value) in [
        ("hold", &spec.hold),
        ("removalDelay", &spec.removal_delay),
        ("drainDelay", &spec.drain_delay),
        ("drainTimeout", &spec.drain_timeout),
    ] {
        found.duration(&at.key(field), value.as_deref());
    }
    positive("resync", spec.resync.as_deref(), at, found);
    check_networks(&spec.trusted_proxies, &at.key("trustedProxies"), found);
}

fn check_networks(networks: &[String], at: &At<'_>, found: &mut Found) {
    for (index, network) in networks.iter().enumerate() {
        found.take(&at.index(index), text::network(network));
    }
}

/// A duration that cannot be zero.
fn positive(field: &str, value: Option<&str>, at: &At<'_>, found: &mut Found) -> Option<std::time::Duration> {
    let at = at.key(field);
    let length = found.duration(&at, value)?;
    if length.is_zero() {
        found.add(&at, format!("`{field}` cannot be zero"));
        return None;
    }
    Some(length)
}
