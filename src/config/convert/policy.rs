//! What a `Backend` asks for beside its endpoints. The defaults are filled in here.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use super::{Notes, limit};
use crate::{
    api::{self, BackendSpec, HashOn, LoadBalancing, LoadBalancingPolicy},
    config::rules::{self, At},
    model::{
        BackendPolicy, Balancing, Connections, Ejection, HashKey, HealthCheck, HealthUse, Probe,
        ProxyProtocol,
    },
};

/// Between two checks of one endpoint.
const INTERVAL: Duration = Duration::from_secs(5);
/// For one check.
const TIMEOUT: Duration = Duration::from_secs(1);
const UNHEALTHY_AFTER: u32 = 2;
const HEALTHY_AFTER: u32 = 1;
const CONSECUTIVE_ERRORS: u32 = 5;
const EJECT_FOR: Duration = Duration::from_secs(30);
const MAX_EJECTED_PERCENT: u32 = 50;

pub(super) fn policy(spec: &BackendSpec, at: &At<'_>, notes: &mut Notes) -> Arc<BackendPolicy> {
    let mut policy = BackendPolicy::default();
    if let Some(written) = &spec.load_balancing {
        let at = at.key("loadBalancing");
        policy.balancing = balancing(written, &at, notes);
        policy.slow_start = limit(written.slow_start.as_ref(), &at.key("slowStart"), notes);
    }
    if let Some(check) = &spec.health_check {
        policy.check = Some(health_check(check, &at.key("healthCheck"), notes));
    }
    policy.health = match spec.health.unwrap_or_default() {
        api::HealthUse::Require => HealthUse::Require,
        api::HealthUse::Prefer => HealthUse::Prefer,
    };
    if let Some(detection) = &spec.outlier_detection {
        policy.ejection = ejection(detection, &at.key("outlierDetection"), notes);
    }
    if let Some(written) = &spec.connections {
        let at = at.key("connections");
        policy.connections = connections(written, &at, notes);
        let schemes = spec.endpoints.iter().map(|endpoint| endpoint.scheme).chain([spec.scheme]);
        let has_h2c = schemes.into_iter().any(|scheme| scheme == Some(api::BackendScheme::H2c));
        if has_h2c && policy.connections.proxy_protocol.take().is_some() {
            let why = "connections of `h2c` are shared by many clients, so no header can tell of one";
            notes.unsupported(&at.key("proxyProtocol"), why);
        }
    }
    Arc::new(policy)
}

fn balancing(written: &LoadBalancing, at: &At<'_>, notes: &mut Notes) -> Balancing {
    let key = |notes: &mut Notes| match &written.hash_on {
        Some(hash) => hash_key(hash, &at.key("hashOn"), notes),
        None => HashKey::ClientAddress,
    };
    match written.policy.unwrap_or_default() {
        LoadBalancingPolicy::RoundRobin => Balancing::RoundRobin,
        LoadBalancingPolicy::LeastRequest => Balancing::LeastRequest,
        LoadBalancingPolicy::Random => Balancing::Random,
        LoadBalancingPolicy::RingHash => Balancing::RingHash(key(notes)),
        LoadBalancingPolicy::Maglev => Balancing::Maglev(key(notes)),
        LoadBalancingPolicy::SourceIp => Balancing::Maglev(HashKey::ClientAddress),
    }
}

fn hash_key(hash: &HashOn, at: &At<'_>, notes: &mut Notes) -> HashKey {
    if let Some(header) = &hash.header {
        let name = notes.found.take(&at.key("header"), rules::header_name(header));
        return name.map_or(HashKey::ClientAddress, HashKey::Header);
    }
    if let Some(cookie) = &hash.cookie {
        return HashKey::Cookie(cookie.as_str().into());
    }
    let param = hash.query_param.as_deref();
    param.map_or(HashKey::ClientAddress, |param| HashKey::QueryParam(param.into()))
}

fn health_check(written: &api::HealthCheck, at: &At<'_>, notes: &mut Notes) -> HealthCheck {
    let probe = match (&written.http, &written.grpc) {
        (Some(http), _) => Probe::Http {
            path: http.path.as_deref().unwrap_or("/").into(),
            host: http.host.as_deref().map(Into::into),
            statuses: http.statuses.clone(),
        },
        (None, Some(grpc)) => Probe::Grpc { service: grpc.service.as_deref().unwrap_or_default().into() },
        (None, None) => Probe::Tcp,
    };
    HealthCheck {
        probe,
        port: written.port,
        interval: limit(written.interval.as_ref(), &at.key("interval"), notes).unwrap_or(INTERVAL),
        timeout: limit(written.timeout.as_ref(), &at.key("timeout"), notes).unwrap_or(TIMEOUT),
        unhealthy_after: count(written.unhealthy_after, UNHEALTHY_AFTER),
        healthy_after: count(written.healthy_after, HEALTHY_AFTER),
    }
}

fn ejection(written: &api::OutlierDetection, at: &At<'_>, notes: &mut Notes) -> Option<Ejection> {
    let eject_for = match &written.eject_for {
        // For no time at all is never.
        Some(text) => limit(Some(text), &at.key("ejectFor"), notes)?,
        None => EJECT_FOR,
    };
    Some(Ejection {
        consecutive_errors: count(written.consecutive_errors, CONSECUTIVE_ERRORS),
        eject_for,
        max_percent: written.max_ejected_percent.unwrap_or(MAX_EJECTED_PERCENT),
    })
}

fn connections(written: &api::Connections, at: &At<'_>, notes: &mut Notes) -> Connections {
    let idle = written.idle_timeout.as_ref();
    Connections {
        connect_timeout: limit(written.connect_timeout.as_ref(), &at.key("connectTimeout"), notes),
        idle_timeout: idle.and_then(|text| notes.found.take(&at.key("idleTimeout"), rules::duration(text))),
        max_per_endpoint: written.max_per_endpoint.and_then(NonZeroU32::new),
        max_pending: written.max_pending,
        max_requests: written.max_requests_per_connection.and_then(NonZeroU32::new),
        proxy_protocol: written.proxy_protocol.map(|version| match version {
            api::ProxyProtocol::V1 => ProxyProtocol::V1,
            api::ProxyProtocol::V2 => ProxyProtocol::V2,
        }),
    }
}

/// A written count; the schema keeps it above 0.
fn count(written: Option<u32>, otherwise: u32) -> NonZeroU32 {
    NonZeroU32::new(written.unwrap_or(otherwise)).unwrap_or(NonZeroU32::MIN)
}
