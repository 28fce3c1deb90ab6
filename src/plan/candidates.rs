//! The possible endpoints of one backend, and how they are sorted into those that serve and those that do not.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU16, sync::Arc};

use super::{
    backend_tls,
    backends::{Failure, Resolved},
    endpoints::{self, Refusal, Wish},
    names::Names,
};
use crate::{
    model::{
        Backend, BackendPolicy, BackendReport, CheckTimes, EndpointHealth, EndpointReport, EndpointState,
        EndpointTarget, EndpointTls, HealthUse, LabelSelector, Origin, Problem, Scheme, Service, ServiceKind,
        ServicePort, Severity, Snapshot, Workload, WorkloadId,
    },
    route::{self, Address},
};

/// One possible endpoint.
struct Candidate {
    name: Arc<str>,
    workload: Option<WorkloadId>,
    terms: Terms,
    found: Result<Address, Refusal>,
    /// Where it is, if nothing but its health speaks against it.
    despite: Option<Address>,
    /// How TLS is spoken to it; plaintext where absent.
    tls: Option<Arc<EndpointTls>>,
    /// What the data plane knows of it, if it is watched.
    health: Option<EndpointHealth>,
    /// When the check of its container asks that keeps requests from it.
    checks: Option<CheckTimes>,
    /// What is odd about it although it gets requests.
    note: Option<Problem>,
}

/// A container behind a backend.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: WorkloadId,
    /// Why it gets no requests.
    pub(super) problem: Option<Problem>,
    /// What is odd about it although it gets some.
    pub(super) note: Option<Problem>,
    /// Where it gets them.
    pub(super) address: Option<SocketAddr>,
}

/// Which endpoints are spoken to by TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    All,
    /// Those whose scheme is `https`.
    AsWritten,
}

/// How much traffic, and how it is spoken to.
#[derive(Clone, Copy)]
struct Terms {
    weight: u32,
    scheme: Scheme,
}

/// What is collected for one backend.
pub(super) struct Gathered {
    /// What the name resolved to, in words.
    resolved: String,
    candidates: Vec<Candidate>,
    policy: Arc<BackendPolicy>,
    /// Why none of it may be spoken to the way it asks for.
    unspoken: Option<String>,
}

/// Collects candidates.
#[derive(Clone, Copy)]
pub(super) struct Gatherer<'g, 'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) names: &'g Names<'a>,
}

// === impl Gatherer ===

impl<'a> Gatherer<'_, 'a> {
    /// The containers that a name means.
    pub(super) fn of_workloads(
        self,
        words: &str,
        workloads: Vec<&'a Workload>,
        port: Option<NonZeroU16>,
    ) -> Gathered {
        let wish = Wish { port, network: None };
        let candidates = workloads.into_iter().map(|workload| self.container(workload, wish, Terms::PLAIN));
        Gathered::new(words.into(), candidates.collect())
    }

    pub(super) fn of_backend(self, backend: &Backend, port: Option<NonZeroU16>) -> Gathered {
        let mut candidates = Vec::new();
        for endpoint in backend.endpoints.iter().filter(|endpoint| endpoint.weight > 0) {
            let terms = Terms { weight: endpoint.weight, scheme: endpoint.scheme };
            let port = endpoint.port.or(port);
            match &endpoint.target {
                EndpointTarget::Address(address) => {
                    let found = port
                        .map(|port| Address::Tcp(SocketAddr::new(*address, port.get())))
                        .ok_or_else(|| no_port(&address.to_string()));
                    candidates.push(Candidate::plain(address.to_string().into(), terms, found));
                }
                EndpointTarget::Unix(path) => {
                    let name = format!("unix:{}", path.display());
                    candidates.push(Candidate::plain(name.into(), terms, Ok(Address::Unix(path.clone()))));
                }
                EndpointTarget::Hostname(host) => {
                    candidates.extend(self.hostname(host.as_str(), port, terms));
                }
                EndpointTarget::Containers { selector, network } => {
                    let wish = Wish { port, network: network.as_deref() };
                    let fitting = self.names.selected(selector).into_iter();
                    candidates.extend(fitting.map(|workload| self.container(workload, wish, terms)));
                }
                EndpointTarget::Container { id, network } => {
                    let wish = Wish { port, network: network.as_deref() };
                    candidates.push(match self.snapshot.workloads.get(id) {
                        Some(workload) => self.container(workload, wish, terms),
                        None => Candidate::plain(id.0.clone(), terms, Err(no_container(&id.0, None))),
                    });
                }
                EndpointTarget::ContainerNamed { name, network } => {
                    let wish = Wish { port, network: network.as_deref() };
                    candidates.push(if let Some(workload) = self.names.container(name) {
                        self.container(workload, wish, terms)
                    } else {
                        let hint = format!("`docker run --name {name} …` makes one");
                        Candidate::plain(name.clone(), terms, Err(no_container(name, Some(hint))))
                    });
                }
            }
        }
        if backend.policy.health == HealthUse::Prefer {
            use_unhealthy(&mut candidates);
        }
        let gathered = Gathered::new(backend.meta.id.to_string(), candidates);
        Gathered { policy: backend.policy.clone(), ..gathered }
    }

    pub(super) fn of_service(self, service: &Service, port: &ServicePort) -> Gathered {
        let terms = Terms { weight: 1, scheme: port.scheme };
        let candidates = match &service.kind {
            ServiceKind::ExternalName(host) => self.hostname(host.as_str(), Some(port.port), terms),
            // A Service without a selector has endpoints that somebody else writes: here nobody does.
            ServiceKind::Selector(labels) if labels.is_empty() => Vec::new(),
            ServiceKind::Selector(labels) => {
                let wish = Wish { port: Some(port.target), network: None };
                let selector = LabelSelector { labels: labels.clone(), requirements: Vec::new() };
                let fitting = self.names.selected(&selector).into_iter();
                fitting.map(|workload| self.container(workload, wish, terms)).collect()
            }
        };
        let gathered = Gathered::new(service.meta.id.to_string(), candidates);
        Gathered { policy: service.policy.clone(), ..gathered }
    }

    fn container(self, workload: &Workload, wish: Wish<'_>, terms: Terms) -> Candidate {
        let found = endpoints::locate(self.snapshot, workload, wish).map(Address::Tcp);
        let despite = match &found {
            Err(Refusal { state: EndpointState::Unhealthy | EndpointState::Starting, .. }) => {
                endpoints::address(self.snapshot, workload, wish).ok().map(Address::Tcp)
            }
            Ok(_) | Err(_) => None,
        };
        let note = match &found {
            Ok(Address::Tcp(address)) => endpoints::bypass(workload, *address),
            Ok(Address::Unix(_)) | Err(_) => None,
        };
        let (name, checks) = (workload.name.clone(), workload.checks);
        let workload = Some(workload.id.clone());
        Candidate { name, workload, terms, found, despite, tls: None, health: None, checks, note }
    }

    fn hostname(self, host: &str, port: Option<NonZeroU16>, terms: Terms) -> Vec<Candidate> {
        let Some(port) = port else {
            return vec![Candidate::plain(host.into(), terms, Err(no_port(host)))];
        };
        let refused = |state, reason, message: String, hint: &str| {
            let refusal = Refusal { state, reason, message, hint: Some(hint.into()) };
            vec![Candidate::plain(host.into(), terms, Err(refusal))]
        };
        let check = "check the spelling and the name server that Portolan uses";
        match self.snapshot.names.get(host) {
            Some(Ok(addresses)) if !addresses.is_empty() => addresses
                .iter()
                .map(|address| {
                    let found = Address::Tcp(SocketAddr::new(*address, port.get()));
                    Candidate::plain(host.into(), terms, Ok(found))
                })
                .collect(),
            Some(Ok(_)) => {
                refused(EndpointState::Down, "NoAddress", format!("`{host}` resolves to no address"), check)
            }
            Some(Err(why)) => {
                let message = format!("`{host}` does not resolve: {why}");
                refused(EndpointState::Down, "NameNotResolved", message, check)
            }
            None => {
                let refusal = Refusal {
                    state: EndpointState::Starting,
                    reason: "Resolving",
                    message: format!("`{host}` is being resolved"),
                    hint: None,
                };
                vec![Candidate::plain(host.into(), terms, Err(refusal))]
            }
        }
    }
}

/// Where none is healthy, all are used as if they were; people are told what they are.
fn use_unhealthy(candidates: &mut [Candidate]) {
    if candidates.iter().any(|candidate| candidate.found.is_ok()) {
        return;
    }
    for candidate in candidates {
        let Some(address) = candidate.despite.clone() else { continue };
        if let Err(refusal) = std::mem::replace(&mut candidate.found, Ok(address)) {
            candidate.health = Some(EndpointHealth {
                state: refusal.state,
                reason: refusal.reason,
                message: "is not healthy by its HEALTHCHECK and is used all the same (`health: prefer`)"
                    .into(),
            });
        }
    }
}

fn no_port(name: &str) -> Refusal {
    Refusal {
        state: EndpointState::Unreachable,
        reason: "NoPort",
        message: format!("endpoint `{name}` has no port, and the reference to the backend names none"),
        hint: Some("write `port:` at the endpoint".into()),
    }
}

fn no_container(name: &str, hint: Option<String>) -> Refusal {
    let message = format!("there is no container `{name}`");
    Refusal { state: EndpointState::Down, reason: "NoSuchContainer", message, hint }
}

// === impl Terms ===

impl Terms {
    const PLAIN: Self = Self { weight: 1, scheme: Scheme::Http };
}

// === impl Gathered ===

impl Gathered {
    fn new(resolved: String, candidates: Vec<Candidate>) -> Self {
        Self { resolved, candidates, policy: Arc::default(), unspoken: None }
    }

    /// What is not said to speak anything in particular speaks HTTP/2: over TLS where it is spoken to by that.
    pub(super) fn prefer_http2(&mut self) {
        for candidate in &mut self.candidates {
            candidate.terms.scheme = Scheme::H2c;
        }
    }

    /// How endpoints that want TLS are spoken to. Where that cannot be they are not spoken to at all.
    pub(super) fn secure(&mut self, terms: &Result<backend_tls::Terms, String>, demand: Demand) {
        let mut plain = 0;
        for candidate in &mut self.candidates {
            if demand == Demand::AsWritten && candidate.terms.scheme != Scheme::Https {
                plain += 1;
                continue;
            }
            match terms {
                Ok(terms) => candidate.tls = Some(Arc::new(terms.of_endpoint(&candidate.name))),
                Err(why) => {
                    candidate.despite = None;
                    if candidate.found.is_ok() {
                        candidate.found = Err(unspoken(why.clone()));
                    }
                }
            }
        }
        if let Err(why) = terms
            && plain == 0
            && !self.candidates.is_empty()
        {
            self.unspoken = Some(format!("wants TLS and is not spoken to: {why}"));
        }
    }

    /// Takes note of what the data plane has found out about its endpoints. It tells people; requests are sent by what
    /// the data plane itself knows at that moment.
    pub(super) fn watched(&mut self, health: Option<&BTreeMap<String, EndpointHealth>>) {
        for candidate in &mut self.candidates {
            let Ok(address) = &candidate.found else { continue };
            if candidate.despite.is_some() {
                continue;
            }
            let known = health.and_then(|health| health.get(&address.to_string()));
            candidate.health = match (known, &self.policy.check) {
                (Some(known), _) => Some(known.clone()),
                (None, Some(check)) => Some(EndpointHealth {
                    state: EndpointState::Starting,
                    reason: "NotChecked",
                    message: format!("has not been asked for {} yet", check.probe),
                }),
                (None, None) => None,
            };
        }
    }

    pub(super) fn report(&self, name: Arc<str>) -> BackendReport {
        let mut endpoints: Vec<EndpointReport> = self.candidates.iter().map(Candidate::report).collect();
        endpoints.sort();
        BackendReport { name, resolved: self.resolved.clone(), endpoints }
    }

    pub(super) fn finish(self, name: Arc<str>) -> Resolved {
        let report = Arc::new(self.report(name.clone()));
        let failure = self.unspoken.map(|why| Failure {
            reason: "UnsupportedProtocol",
            message: format!("backend `{name}` {why}: requests for it are answered 500"),
        });
        // Two endpoints at one address would be told apart by nothing that a request could see; the heavier one counts.
        let mut endpoints: BTreeMap<Address, route::Endpoint> = BTreeMap::new();
        let mut members = Vec::new();
        for candidate in self.candidates {
            if let Some(id) = &candidate.workload {
                let problem =
                    candidate.problem().filter(|_| candidate.despite.is_none() || candidate.found.is_err());
                let address = match &candidate.found {
                    Ok(Address::Tcp(address)) => Some(*address),
                    Ok(Address::Unix(_)) | Err(_) => None,
                };
                members.push(Member { id: id.clone(), problem, note: candidate.note, address });
            }
            let Terms { weight, scheme } = candidate.terms;
            let Ok(address) = candidate.found else { continue };
            let tls = candidate.tls;
            // HTTP/2 is chosen by ALPN then; everything else is HTTP/1.
            let scheme = if tls.is_some() && scheme == Scheme::Http { Scheme::Https } else { scheme };
            let found =
                route::Endpoint { address: address.clone(), scheme, weight, name: candidate.name, tls };
            let known = endpoints.entry(address).or_insert_with(|| found.clone());
            if (found.weight, &known.name) > (known.weight, &found.name) {
                *known = found;
            }
        }
        let endpoints: Vec<route::Endpoint> = endpoints.into_values().collect();
        let reason = if endpoints.is_empty() { report.why_empty() } else { String::new() };
        let policy = self.policy;
        let backend = Arc::new(route::Backend { name, endpoints, policy, reason: reason.into() });
        Resolved { backend, report, members, failure }
    }
}

fn unspoken(message: String) -> Refusal {
    Refusal { state: EndpointState::Unreachable, reason: "UnsupportedProtocol", message, hint: None }
}

// === impl Candidate ===

impl Candidate {
    fn plain(name: Arc<str>, terms: Terms, found: Result<Address, Refusal>) -> Self {
        let (despite, tls, health) = (None, None, None);
        Self { name, workload: None, terms, found, despite, tls, health, checks: None, note: None }
    }

    fn report(&self) -> EndpointReport {
        let (address, state, message) = match &self.found {
            Ok(address) => {
                let (state, message) = match &self.health {
                    Some(health) if health.state != EndpointState::Ready => {
                        (health.state, format!("{}: {}", health.reason, self.says(health)))
                    }
                    Some(_) | None => (EndpointState::Ready, String::new()),
                };
                (Some(address.to_string()), state, message)
            }
            Err(refusal) => (None, refusal.state, refusal.to_string()),
        };
        let (name, weight) = (self.name.clone(), self.terms.weight);
        let is_waited_for = matches!(state, EndpointState::Starting | EndpointState::Unhealthy);
        let checks = self.checks.filter(|_| is_waited_for);
        EndpointReport { name, address, state, message, weight, checks, last_failure: None }
    }

    /// A sentence about its health.
    fn says(&self, health: &EndpointHealth) -> String {
        let what = if self.workload.is_some() { "container" } else { "endpoint" };
        format!("{what} `{}` {}", self.name, health.message)
    }

    /// What its container's status says, if it gets no traffic.
    fn problem(&self) -> Option<Problem> {
        let refusal = match (&self.found, &self.health) {
            (Err(refusal), _) => refusal,
            (Ok(_), Some(health)) if health.state != EndpointState::Ready => &Refusal {
                state: health.state,
                reason: health.reason,
                message: self.says(health),
                hint: None,
            },
            (Ok(_), Some(_) | None) => return None,
        };
        let severity = match refusal.state {
            EndpointState::Unreachable => Severity::Error,
            EndpointState::Ready
            | EndpointState::Starting
            | EndpointState::Unhealthy
            | EndpointState::Ejected
            | EndpointState::Paused
            | EndpointState::Draining
            | EndpointState::Terminating
            | EndpointState::Down => Severity::Warning,
        };
        let id = self.workload.as_ref()?.0.clone();
        Some(Problem {
            severity,
            reason: refusal.reason,
            message: refusal.message.clone(),
            hint: refusal.hint.clone(),
            origin: Origin::Container { id, name: self.name.clone(), label: None },
        })
    }
}
