//! What can be asked to be done: draining, and starting, stopping, restarting and removing containers.
//!
//! | request | does |
//! |---|---|
//! | `POST /api/v1/containers/{name}/drain` | no new requests; those under way finish; `?force=true` although it is the last endpoint |
//! | `DELETE …/drain` | takes that back |
//! | `GET …/drain` | how many requests are under way; changes nothing and needs no token |
//! | `POST …/probe` | connects to where requests are sent to it |
//! | `POST …/start`, `…/stop`, `…/restart`, `…/remove` | as `docker` does; needs `--allow-container-actions` too |

use axum::{
    extract::{Path, Query, State as Extract, rejection::QueryRejection},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::{
    Collection, TokenFile,
    respond::{self, Failure, Shared},
    view,
};
use crate::model::{Declined, DrainAsk, DrainState, Why};

/// A request to whoever acts.
#[derive(Debug)]
pub struct Action {
    /// A container's name, id, or beginning of an id.
    pub container: String,
    pub deed: Deed,
    pub answer: oneshot::Sender<Result<Done, Declined>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Drain(DrainAsk),
    Probe,
    Start,
    Stop,
    Restart,
    Remove,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// How it is, and how many requests are under way.
    Drain(DrainState, u64),
    /// Whether it can be reached, with what was found.
    Probe(Result<(), String>),
    /// In words.
    Container(String),
}

/// Where actions are asked for, and who may ask.
#[derive(Clone, Debug)]
pub struct Actions {
    pub token: Option<TokenFile>,
    pub asked: mpsc::Sender<Action>,
}

/// What may stand behind the `?`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DeedQuery {
    force: bool,
}

const VERBS: &str = "drain, probe, start, stop, restart, remove";

/// `{method} /api/v1/containers/{container}/{verb}`.
pub(super) async fn act(
    Extract(shared): Extract<Shared>,
    method: Method,
    Path((collection, container, verb)): Path<(String, String, String)>,
    query: Result<Query<DeedQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let actions = &shared.state.actions;
    let query = query.map_err(|error| Failure::new(StatusCode::BAD_REQUEST, "BadRequest", error.body_text()));
    let checked = async {
        let deed = deed(&method, (&collection, &verb), &query?.0)?;
        permit(actions, deed, &headers).await?;
        let (answer, done) = oneshot::channel();
        let stopping = || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "Stopping", STOPPING.to_owned());
        let action = Action { container, deed, answer };
        actions.asked.send(action).await.map_err(|_| stopping())?;
        let done = done.await.map_err(|_| stopping())?;
        Ok(respond::as_json(StatusCode::OK, &render(&done.map_err(declined)?)))
    };
    let failure: Failure = match checked.await {
        Ok(response) => return response,
        Err(failure) => failure,
    };
    let is_unauthorized = failure.status() == StatusCode::UNAUTHORIZED;
    let mut response = failure.into_response();
    if is_unauthorized {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Whether this path, read, tells of a drain and not of an object.
pub(super) fn is_look(Path((collection, _, verb)): &Path<(String, String, String)>) -> bool {
    verb == "drain" && Collection::parse(collection) == Some(Collection::Containers)
}

const STOPPING: &str = "the controller is stopping";

fn deed(method: &Method, (collection, verb): (&str, &str), query: &DeedQuery) -> Result<Deed, Failure> {
    if Collection::parse(collection) != Some(Collection::Containers) {
        let message = format!("`{collection}` can only be read: actions are for containers");
        return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message));
    }
    let found = match (method.as_str(), verb) {
        ("POST", "drain") => Deed::Drain(if query.force { DrainAsk::Force } else { DrainAsk::Begin }),
        ("DELETE", "drain") => Deed::Drain(DrainAsk::Cancel),
        ("GET" | "HEAD", "drain") => Deed::Drain(DrainAsk::Look),
        ("POST", "probe") => Deed::Probe,
        ("POST", "start") => Deed::Start,
        ("POST", "stop") => Deed::Stop,
        ("POST", "restart") => Deed::Restart,
        ("POST", "remove") => Deed::Remove,
        _ => {
            let message = format!("there is no action `{verb}` by {method}; there are {VERBS}");
            return Err(Failure::new(StatusCode::NOT_FOUND, "NotFound", message));
        }
    };
    Ok(found)
}

/// Whether whoever asks may have it done. Looking is for everybody, like everything that is read.
async fn permit(actions: &Actions, deed: Deed, headers: &HeaderMap) -> Result<(), Failure> {
    if deed == Deed::Drain(DrainAsk::Look) {
        return Ok(());
    }
    let Some(token) = &actions.token else {
        let message =
            "actions need a token, and the controller has none: start it with `--admin-token-file FILE`";
        return Err(Failure::new(StatusCode::FORBIDDEN, "Forbidden", message.to_owned()));
    };
    Ok(token.check(headers).await?)
}

fn declined(Declined { why, reason, message }: Declined) -> Failure {
    let status = match why {
        Why::Unknown => StatusCode::NOT_FOUND,
        Why::Conflict => StatusCode::CONFLICT,
        Why::Forbidden => StatusCode::FORBIDDEN,
        Why::Unready => StatusCode::SERVICE_UNAVAILABLE,
        Why::Engine => StatusCode::BAD_GATEWAY,
    };
    Failure::new(status, reason, message)
}

fn render(done: &Done) -> Value {
    match done {
        Done::Drain(state, in_flight) => json!({
            "apiVersion": "v1",
            "kind": "Drain",
            "container": state.name,
            "id": state.id.0,
            "phase": view::phase(state.phase),
            "health": view::health(state.health),
            "draining": state.is_draining,
            "inFlight": in_flight,
        }),
        Done::Probe(found) => json!({
            "apiVersion": "v1",
            "kind": "Probe",
            "reached": found.is_ok(),
            "message": found.as_ref().err(),
        }),
        Done::Container(words) => json!({
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Success",
            "message": words,
        }),
    }
}
