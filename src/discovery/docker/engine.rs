//! A real engine, by bollard.
//!
//! bollard 0.21 parses the API version and then never sends it, so the path is prefixed here; its pool keeps no idle
//! connection, so each request opens the socket anew.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bollard::{
    API_DEFAULT_VERSION, BollardRequest, Docker,
    errors::Error as BollardError,
    models::{EventMessage, EventMessageTypeEnum},
    query_parameters::{EventsOptions, InspectContainerOptions, ListContainersOptions},
};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::BoxStream};
use http::uri::PathAndQuery;

use super::{
    act::Act,
    api::{Action, Api, Error, Happening, Version},
    endpoint::Endpoint,
    inspect::{self, Inspected, Sighting},
    signal::Signal,
};
use crate::model::WorkloadId;

/// An engine behind an [`Endpoint`].
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    /// `major << 16 | minor`; 0 while no version is settled.
    pinned: Arc<AtomicU32>,
    client: Mutex<Option<Docker>>,
}

const VERSION: &str = "GET /version";
const LIST: &str = "GET /containers/json";
const INSPECT: &str = "GET /containers/{id}/json";
const EVENTS: &str = "GET /events";

/// Tried in this order where a socket proxy wants a version in every path.
const GUESSES: [Version; 3] =
    [Version { major: 1, minor: 44 }, Version { major: 1, minor: 40 }, Version { major: 1, minor: 24 }];

// === impl Engine ===

impl Engine {
    /// No answer takes this long from an engine that is well.
    const TIMEOUT: Duration = Duration::from_secs(10);
    /// A single container can be stuck in an engine that is well; the first list waits for it this long.
    const INSPECT_TIMEOUT: Duration = Duration::from_secs(5);

    pub fn new(endpoint: Endpoint) -> Self {
        let pinned = Arc::new(AtomicU32::new(0));
        Self { shared: Arc::new(Shared { endpoint, pinned, client: Mutex::new(None) }) }
    }

    /// The client, made at the first use: bollard refuses to make one for a socket that is not there.
    fn client(&self) -> Result<Docker, Error> {
        let mut kept = self.shared.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*kept {
            return Ok(client.clone());
        }
        let client =
            connect(&self.shared.endpoint, Self::TIMEOUT).map_err(|error| self.error(VERSION, error))?;
        let pinned = self.shared.pinned.clone();
        let client = client.with_request_modifier(move |request| prefixed(request, &pinned));
        Ok(kept.insert(client).clone())
    }

    /// Certificates may have changed, or the socket its kind.
    fn forget(&self) {
        *self.shared.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.pin(None);
    }

    fn pin(&self, version: Option<Version>) {
        let packed = version.map_or(0, |version| u32::from(version.major) << 16 | u32::from(version.minor));
        self.shared.pinned.store(packed, Ordering::Release);
    }

    pub(super) async fn call<T>(
        &self,
        request: &'static str,
        ask: impl AsyncFnOnce(Docker) -> Result<T, BollardError>,
    ) -> Result<T, Error> {
        let client = self.client()?;
        let limit = match request {
            INSPECT => Self::INSPECT_TIMEOUT,
            act if Act::remedy(act).is_some() => Self::ACT_TIMEOUT,
            _ => Self::TIMEOUT,
        };
        // bollard's own limit covers the head of an answer only.
        match tokio::time::timeout(limit, ask(client)).await {
            Ok(answer) => answer.map_err(|error| self.error(request, error)),
            Err(_) => Err(Error::Timeout { request, seconds: limit.as_secs() }),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "bollard's own, and any other is a failed connection")]
    fn error(&self, request: &'static str, error: BollardError) -> Error {
        match error {
            BollardError::DockerResponseServerError { status_code: 403, .. } => {
                Error::Refused { request, allow: remedy(request) }
            }
            BollardError::DockerResponseServerError { status_code, message } => {
                Error::Status { request, status: status_code, message: message.trim().into() }
            }
            BollardError::JsonDataError { message, .. } => {
                Error::Unreadable { request, message: message.into() }
            }
            BollardError::JsonSerdeError { err } => {
                Error::Unreadable { request, message: err.to_string().into() }
            }
            // A body that breaks off; only this one is read piece by piece.
            BollardError::IOError { .. } if request == EVENTS => Error::Ended,
            BollardError::RequestTimeoutError => Error::Timeout { request, seconds: Self::TIMEOUT.as_secs() },
            source => Error::Unreachable {
                endpoint: self.shared.endpoint.to_string().into(),
                source: Arc::new(source),
            },
        }
    }

    async fn settle(self) -> Result<Version, Error> {
        let pinned = self.shared.pinned.load(Ordering::Acquire);
        let mut asked = self.offered().await;
        if pinned != 0 && asked.as_ref().is_err_and(Error::is_local) {
            // Another engine, or another version of it, may listen here now.
            self.forget();
            asked = self.offered().await;
        }
        for guess in GUESSES {
            if !asked.as_ref().is_err_and(Error::is_local) {
                break;
            }
            self.pin(Some(guess));
            let guessed = self.offered().await;
            asked = guessed.or(asked);
        }
        match asked {
            Ok(version) => {
                self.pin(Some(version));
                Ok(version)
            }
            Err(error) => {
                self.forget();
                Err(error)
            }
        }
    }

    /// What to speak, by `ApiVersion` and `MinAPIVersion` (API 1.24).
    async fn offered(&self) -> Result<Version, Error> {
        let offered = self.call(VERSION, async |client| client.version().await).await?;
        let read = |text: Option<String>| text.as_deref().map(str::parse::<Version>).and_then(Result::ok);
        let Some(newest) = read(offered.api_version) else {
            return Err(Error::Unreadable { request: VERSION, message: "it has no `ApiVersion`".into() });
        };
        Ok(Version::settle(read(offered.min_api_version), newest))
    }
}

impl Api for Engine {
    fn version(&self) -> BoxFuture<'static, Result<Version, Error>> {
        self.clone().settle().boxed()
    }

    fn list(&self) -> BoxFuture<'static, Result<Vec<Sighting>, Error>> {
        let engine = self.clone();
        async move {
            let options = ListContainersOptions { all: true, ..ListContainersOptions::default() };
            let list = engine.call(LIST, async |client| client.list_containers(Some(options)).await).await?;
            Ok(list.into_iter().filter_map(inspect::sighting).collect())
        }
        .boxed()
    }

    fn inspect(&self, id: &WorkloadId) -> BoxFuture<'static, Result<Option<Inspected>, Error>> {
        let (engine, id) = (self.clone(), id.clone());
        async move {
            let ask =
                async |client: Docker| client.inspect_container(&id.0, None::<InspectContainerOptions>).await;
            match engine.call(INSPECT, ask).await {
                Ok(container) => Ok(inspect::inspected(container)),
                Err(Error::Status { status: 404, .. }) => Ok(None),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn events(&self, since: i128) -> BoxStream<'static, Result<Happening, Error>> {
        let engine = self.clone();
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => return futures::stream::iter([Err(error)]).boxed(),
        };
        let events = client.events(Some(options(since)));
        events
            .filter_map(move |event| {
                let event = match event {
                    Ok(event) => happening(event).map(Ok),
                    Err(error) => Some(Err(engine.error(EVENTS, error))),
                };
                std::future::ready(event)
            })
            .boxed()
    }
}

fn connect(endpoint: &Endpoint, timeout: Duration) -> Result<Docker, BollardError> {
    let seconds = timeout.as_secs();
    match endpoint {
        Endpoint::Unix(path) => {
            Docker::connect_with_unix(&path.to_string_lossy(), seconds, API_DEFAULT_VERSION)
        }
        Endpoint::Tcp(address) => Docker::connect_with_http(address, seconds, API_DEFAULT_VERSION),
        Endpoint::Tls { address, certificates } => {
            let file = |name: &str| -> std::path::PathBuf { Path::new(certificates).join(name) };
            let (key, certificate, ca) = (file("key.pem"), file("cert.pem"), file("ca.pem"));
            Docker::connect_with_ssl(address, &key, &certificate, &ca, seconds, API_DEFAULT_VERSION)
        }
    }
}

/// Puts `/v1.41` before the path, unless a later bollard has done so.
fn prefixed(mut request: BollardRequest, pinned: &AtomicU32) -> BollardRequest {
    let packed = pinned.load(Ordering::Acquire);
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    if packed == 0 || path.starts_with("/v1.") {
        return request;
    }
    let path = format!("/v{}.{}{path}", packed >> 16, packed & 0xffff);
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(path).ok();
    if let Ok(uri) = http::Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

/// The switch of the usual socket proxies.
fn remedy(request: &str) -> &'static str {
    match request {
        EVENTS => "EVENTS=1",
        VERSION => "VERSION=1",
        _ => Act::remedy(request).unwrap_or("CONTAINERS=1"),
    }
}

/// Only what can change a workload, in Docker's words and, where they differ, Podman's.
fn options(since: i128) -> EventsOptions {
    let actions = [
        "create",
        "start",
        "die",
        "died",
        "kill",
        "pause",
        "unpause",
        "health_status",
        "rename",
        "destroy",
        "remove",
        "restart",
        "update",
        "connect",
        "disconnect",
    ];
    let list = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let filters = HashMap::from([
        ("type".to_owned(), list(&["container", "network"])),
        ("event".to_owned(), list(&actions)),
    ]);
    let since = since.max(0);
    let since = format!("{}.{:09}", since / 1_000_000_000, since % 1_000_000_000);
    EventsOptions { since: Some(since), until: None, filters: Some(filters) }
}

/// Reads a message of `GET /events` (API 1.24). `None` if it concerns no container.
fn happening(event: EventMessage) -> Option<Happening> {
    let actor = event.actor.unwrap_or_default();
    let mut attributes = actor.attributes.unwrap_or_default();
    let action = event.action.unwrap_or_default();
    let (id, action) = if event.typ == Some(EventMessageTypeEnum::NETWORK) {
        (attributes.remove("container")?, Action::Other)
    } else {
        let action = match action.split(':').next().unwrap_or_default() {
            "kill" => Action::Kill(attributes.get("signal").and_then(|signal| Signal::parse(signal))),
            "die" | "died" => Action::Die,
            "pause" => Action::Pause,
            "destroy" | "remove" => Action::Destroy,
            _ => Action::Other,
        };
        (actor.id?, action)
    };
    let seconds = event.time.map_or(0, |time| i128::from(time) * 1_000_000_000);
    let time = event.time_nano.map_or(seconds, i128::from);
    (!id.is_empty()).then(|| Happening { id: WorkloadId(id.into()), action, time })
}

#[cfg(test)]
mod tests;
