//! How a backend's endpoints are chosen among, watched and limited.

use std::{num::NonZeroU32, time::Duration};

use super::backend;
use crate::model::{
    BackendPolicy, Balancing, Connections, Ejection, HashKey, HealthCheck, HealthUse, Probe, ProxyProtocol,
};

fn policy(spec: &str) -> BackendPolicy {
    let backend = backend(&format!("{{endpoints: [], {spec}}}"));
    assert_eq!(backend.unsupported, [], "all of it is served");
    (*backend.policy).clone()
}

fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

#[test]
fn a_backend_that_asks_for_nothing_is_watched_by_nobody() {
    let plain = policy("loadBalancing: {policy: RoundRobin}, connections: {connectTimeout: 1s}");
    assert!(!plain.is_watchful());
    assert_eq!(policy("scheme: http"), BackendPolicy::default());
}

#[test]
fn every_policy_of_balancing() {
    let balancing = |text: &str| policy(&format!("loadBalancing: {text}")).balancing;
    assert_eq!(balancing("{}"), Balancing::RoundRobin);
    assert_eq!(balancing("{policy: LeastRequest}"), Balancing::LeastRequest);
    assert_eq!(balancing("{policy: Random}"), Balancing::Random);
    assert_eq!(balancing("{policy: SourceIP}"), Balancing::Maglev(HashKey::ClientAddress));
    assert_eq!(balancing("{policy: RingHash}"), Balancing::RingHash(HashKey::ClientAddress));
    assert_eq!(
        balancing("{policy: RingHash, hashOn: {header: X-User}}"),
        Balancing::RingHash(HashKey::Header(http::HeaderName::from_static("x-user")))
    );
    assert_eq!(
        balancing("{policy: Maglev, hashOn: {cookie: Sid}}"),
        Balancing::Maglev(HashKey::Cookie("Sid".into()))
    );
    assert_eq!(
        balancing("{policy: Maglev, hashOn: {queryParam: user}}"),
        Balancing::Maglev(HashKey::QueryParam("user".into()))
    );
}

#[test]
fn a_health_check_has_the_defaults_of_its_schema() {
    let check = policy("healthCheck: {http: {}}").check.unwrap();
    let expected = HealthCheck {
        probe: Probe::Http { path: "/".into(), host: None, statuses: Vec::new() },
        port: None,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        unhealthy_after: count(2),
        healthy_after: count(1),
    };
    assert_eq!(check, expected);
    let check = policy(
        "healthCheck: {http: {path: /up, host: a.test, statuses: [204]}, port: 9, interval: 2s, timeout: 500ms,
                       unhealthyAfter: 3, healthyAfter: 4}",
    );
    let expected = HealthCheck {
        probe: Probe::Http { path: "/up".into(), host: Some("a.test".into()), statuses: vec![204] },
        port: std::num::NonZeroU16::new(9),
        interval: Duration::from_secs(2),
        timeout: Duration::from_millis(500),
        unhealthy_after: count(3),
        healthy_after: count(4),
    };
    assert_eq!(check.check, Some(expected));
    let probe = |text: &str| policy(&format!("healthCheck: {text}")).check.unwrap().probe;
    assert_eq!(probe("{tcp: {}}"), Probe::Tcp);
    assert_eq!(probe("{grpc: {}}"), Probe::Grpc { service: "".into() });
    assert_eq!(probe("{grpc: {service: a.B}}"), Probe::Grpc { service: "a.B".into() });
}

#[test]
fn health_is_required_unless_it_is_only_preferred() {
    assert_eq!(policy("health: require"), BackendPolicy::default());
    assert_eq!(policy("health: prefer").health, HealthUse::Prefer);
}

#[test]
fn ejection_and_limits() {
    let ejection = policy("outlierDetection: {}").ejection.unwrap();
    let expected =
        Ejection { consecutive_errors: count(5), eject_for: Duration::from_secs(30), max_percent: 50 };
    assert_eq!(ejection, expected);
    assert_eq!(policy("outlierDetection: {ejectFor: 0s}").ejection, None, "for no time is never");
    let limits = policy(
        "connections: {connectTimeout: 2s, idleTimeout: 0s, maxPerEndpoint: 7, maxPending: 0,
                       maxRequestsPerConnection: 9, proxyProtocol: v2}",
    );
    let expected = Connections {
        connect_timeout: Some(Duration::from_secs(2)),
        idle_timeout: Some(Duration::ZERO),
        max_per_endpoint: Some(count(7)),
        max_pending: Some(0),
        max_requests: Some(count(9)),
        proxy_protocol: Some(ProxyProtocol::V2),
    };
    assert_eq!(limits.connections, expected);
    assert_eq!(policy("loadBalancing: {slowStart: 10s}").slow_start, Some(Duration::from_secs(10)));
}
