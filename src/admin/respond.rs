//! What each path answers.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{
        DefaultBodyLimit, Path, Query, State as Extract,
        rejection::{BytesRejection, QueryRejection},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    Collection, State, action,
    collection::{Filter, Item},
    explain,
    guard::Refusal,
    preview, view,
    watch::{self, Watcher},
};
use crate::{
    model::{Report, Severity},
    runtime::drain::Watch,
};

/// At most this many streams of changes at once.
const MAX_WATCHERS: usize = 64;

/// `/readyz` tells this many mistakes of documents in words; the rest is in the status.
const MAX_SENTENCES: usize = 20;

/// Objects of a list that are rendered at once.
const BATCH: usize = 128;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// An answer that says no, in the shape of Kubernetes' `Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    status: StatusCode,
    reason: &'static str,
    message: String,
}

#[derive(Clone)]
pub(super) struct Shared {
    pub(super) state: State,
    watchers: Arc<Semaphore>,
    stop: Watch,
}

/// What may stand behind the `?` of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ListQuery {
    namespace: Option<String>,
    name: Option<String>,
    watch: Option<bool>,
}

pub(super) fn router(state: State, stop: Watch) -> Router {
    let shared = Shared { state, watchers: Arc::new(Semaphore::new(MAX_WATCHERS)), stop };
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(async || plain(StatusCode::OK, "ok\n".to_owned())))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1", get(collections))
        .route("/api/v1/status", get(status))
        .route("/api/v1/explain", get(explained))
        .route("/api/v1/plan", post(plan).layer(DefaultBodyLimit::max(preview::MAX_BODY)))
        .route("/api/v1/{collection}", get(list))
        .route("/api/v1/{collection}/{name}", get(one_without_namespace))
        .route("/api/v1/{collection}/{namespace}/{name}", get(one).post(action::act).delete(action::act))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(shared)
}

async fn index() -> Response {
    let mut text = format!("Portolan {}\n\n", env!("CARGO_PKG_VERSION"));
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/explain?url="] {
        let _ = writeln!(text, "{path}");
    }
    for collection in Collection::LISTED {
        let _ = writeln!(text, "/api/v1/{}", collection.plural());
    }
    plain(StatusCode::OK, text)
}

/// 503 with what is missing, or 200 with what is odd: an invalid document must not take a proxy out of service that
/// serves everything else.
async fn readyz(Extract(shared): Extract<Shared>) -> Response {
    let report = shared.state.report.load();
    let waiting = waiting_for(&shared.state, &report);
    if !waiting.is_empty() {
        let mut text = "not ready\n".to_owned();
        for name in waiting {
            let _ = writeln!(text, "waiting for {name}");
        }
        return plain(StatusCode::SERVICE_UNAVAILABLE, text);
    }
    let mut text = "ok\n".to_owned();
    if !report.config_valid {
        text.push_str("warning: the configuration is not valid everywhere; see /api/v1/status\n");
        let errors = report.problems.iter().filter(|problem| problem.severity == Severity::Error);
        for problem in errors.take(MAX_SENTENCES) {
            let _ = writeln!(text, "warning: {}: {}", problem.origin, problem.message);
        }
    }
    for source in report.sources.iter().filter(|source| !source.connected) {
        let since = view::time(source.since);
        let since = since.as_str().unwrap_or("its start");
        let _ = writeln!(text, "warning: source `{}` is lost since {since}: {}", source.name, source.message);
    }
    plain(StatusCode::OK, text)
}

fn waiting_for(state: &State, report: &Report) -> Vec<Arc<str>> {
    let mut waiting = state.ready.waiting_for();
    if report.generation == 0 && waiting.is_empty() {
        waiting.push("the first route table".into());
    }
    waiting
}

async fn metrics(Extract(shared): Extract<Shared>) -> Response {
    respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", shared.state.metrics.render())
}

async fn status(Extract(shared): Extract<Shared>) -> Response {
    let report = shared.state.report.load();
    let waiting = waiting_for(&shared.state, &report);
    as_json(StatusCode::OK, &view::render_status(&report, &waiting))
}

async fn explained(
    Extract(shared): Extract<Shared>,
    query: Result<Query<explain::Query>, QueryRejection>,
) -> Result<Response, Failure> {
    let bad = |message| Failure::new(StatusCode::BAD_REQUEST, "BadRequest", message);
    let Query(query) = query.map_err(|error| bad(error.body_text()))?;
    let (table, report) = (shared.state.table.load(), shared.state.report.load());
    let now = jiff::Timestamp::now().as_second();
    let explanation = explain::explain(&table, shared.state.allowed, (&report, now), &query).map_err(bad)?;
    Ok(as_json(StatusCode::OK, &explanation))
}

/// No action: it only asks. A page of another site cannot get here, as everywhere ([`super::guard`]).
async fn plan(
    Extract(shared): Extract<Shared>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let bad = |message| Failure::new(StatusCode::BAD_REQUEST, "BadRequest", message);
    let body = body.map_err(|error| Failure::new(error.status(), "BadRequest", error.body_text()))?;
    let asked =
        serde_json::from_slice(&body).map_err(|error| bad(format!("the body is not understood: {error}")))?;
    let answer = preview::ask(&shared.state.previews, asked).await;
    let answer = answer.ok_or_else(|| {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "Stopping", "the controller is stopping".to_owned())
    })?;
    Ok(as_json(StatusCode::OK, &answer))
}

async fn collections() -> Response {
    let names = Collection::LISTED.map(Collection::plural);
    as_json(StatusCode::OK, &json!({"kind": "APIResourceList", "resources": names}))
}

async fn list(
    Extract(shared): Extract<Shared>,
    Path(name): Path<String>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    let collection = collection(&name)?;
    let Query(query) =
        query.map_err(|error| Failure::new(StatusCode::BAD_REQUEST, "BadRequest", error.body_text()))?;
    let filter = Filter { namespace: query.namespace, name: query.name };
    if query.watch == Some(true) {
        return watch(&shared, collection, filter);
    }
    let items = collection.items(&shared.state.report.load(), &filter);
    Ok(respond(StatusCode::OK, JSON, Body::from_stream(list_body(items.into_values().collect()))))
}

/// A list is made while it is read: it is never in memory as a whole, and the loop on this thread gets its turns.
fn list_body(items: Vec<Item>) -> impl futures::Stream<Item = Result<Bytes, std::convert::Infallible>> {
    let count = items.len();
    futures::stream::unfold((items, 0), move |(items, start)| async move {
        if start > count {
            return None;
        }
        tokio::task::yield_now().await;
        let end = (start + BATCH).min(count);
        let mut text = if start == 0 {
            r#"{"apiVersion":"v1","kind":"List","items":["#.to_owned()
        } else {
            String::new()
        };
        for (index, item) in items[start..end].iter().enumerate() {
            if start + index > 0 {
                text.push(',');
            }
            let _ = write!(text, "{}", view::render(item));
        }
        let next = if end == count {
            text.push_str("]}\n");
            count + 1
        } else {
            end
        };
        Some((Ok(Bytes::from(text)), (items, next)))
    })
}

fn watch(shared: &Shared, collection: Collection, filter: Filter) -> Result<Response, Failure> {
    let permit = shared.watchers.clone().try_acquire_owned().map_err(|_| {
        let message = format!("{MAX_WATCHERS} streams of changes are open, which is the most");
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "TooManyWatchers", message)
    })?;
    let (report, stop) = (shared.state.report.clone(), shared.stop.clone());
    let lines = watch::lines(Watcher { collection, filter, report, stop, _permit: permit });
    let lines = futures::StreamExt::map(lines, Ok::<_, std::convert::Infallible>);
    Ok(respond(StatusCode::OK, "application/x-ndjson", Body::from_stream(lines)))
}

async fn one(
    Extract(shared): Extract<Shared>,
    path: Path<(String, String, String)>,
    query: Result<Query<action::DeedQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    if action::is_look(&path) {
        return Ok(action::act(Extract(shared), Method::GET, path, query, HeaderMap::new()).await);
    }
    let Path((collection, namespace, name)) = path;
    find(&shared, &collection, Filter { namespace: Some(namespace), name: Some(name) })
}

/// For kinds that have no namespace, and for names that are in one namespace only.
async fn one_without_namespace(
    Extract(shared): Extract<Shared>,
    Path((collection, name)): Path<(String, String)>,
) -> Result<Response, Failure> {
    find(&shared, &collection, Filter { namespace: None, name: Some(name) })
}

fn find(shared: &Shared, word: &str, filter: Filter) -> Result<Response, Failure> {
    let collection = collection(word)?;
    let mut items = collection.items(&shared.state.report.load(), &filter);
    if collection == Collection::Endpoints && !items.is_empty() {
        let items = items.into_values().collect();
        return Ok(respond(StatusCode::OK, JSON, Body::from_stream(list_body(items))));
    }
    // A backend goes by its name without the port too; the exact name wins.
    let name = filter.name.unwrap_or_default();
    if items.keys().any(|key| *key.name == *name) {
        items.retain(|key, _| *key.name == *name);
    }
    let plural = collection.plural();
    match items.values().next() {
        Some(item) if items.len() == 1 => Ok(as_json(StatusCode::OK, &view::render(item))),
        Some(_) => {
            let names: Vec<_> = items.keys().map(|key| format!("`{}/{}`", key.namespace, key.name)).collect();
            let message =
                format!("`{name}` is not one of {plural} but {}: {}", names.len(), names.join(", "));
            Err(Failure::new(StatusCode::CONFLICT, "Ambiguous", message))
        }
        None => {
            let namespace = filter.namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
            let message = format!("there is no `{namespace}{name}` in {plural}");
            Err(Failure::new(StatusCode::NOT_FOUND, "NotFound", message))
        }
    }
}

fn collection(word: &str) -> Result<Collection, Failure> {
    Collection::parse(word).ok_or_else(|| {
        let known = Collection::LISTED.map(Collection::plural).join(", ");
        let message = format!("there is no collection `{word}`; there are {known}");
        Failure::new(StatusCode::NOT_FOUND, "NotFound", message)
    })
}

async fn method_not_allowed(method: Method) -> Response {
    let message = format!("what is asked for is read only: `{method}` is not for it");
    let failure = Failure::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
    let mut response = failure.into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

async fn not_found(method: Method, uri: Uri) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return method_not_allowed(method).await;
    }
    let message = format!("there is nothing at `{}`; `/` lists what there is", uri.path());
    Failure::new(StatusCode::NOT_FOUND, "NotFound", message).into_response()
}

fn plain(status: StatusCode, text: String) -> Response {
    respond(status, TEXT, text)
}

pub(super) fn as_json(status: StatusCode, value: &Value) -> Response {
    respond(status, JSON, format!("{value}\n"))
}

fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

// === impl Failure ===

impl Failure {
    pub(super) fn new(status: StatusCode, reason: &'static str, message: String) -> Self {
        Self { status, reason, message }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        as_json(
            self.status,
            &json!({
                "apiVersion": "v1",
                "kind": "Status",
                "status": "Failure",
                "code": self.status.as_u16(),
                "reason": self.reason,
                "message": self.message,
            }),
        )
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { status: refusal.status, reason: refusal.reason, message: refusal.message }
    }
}
