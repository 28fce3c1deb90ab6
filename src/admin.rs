//! Health, readiness, metrics, the API that tells, and the few actions of [`action`].
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200 while the process lives |
//! | `/readyz` | 503 until the first table is live and while draining, with the reasons; else 200, with warnings if a document is invalid or a source is lost |
//! | `/metrics` | the metrics in Prometheus' text format |
//! | `/api/v1/status` | version, generation, sources, problems |
//! | `/api/v1/explain?url=` | what becomes of a request and why; `&method=`, `&headers=` with a header a line |
//! | `POST /api/v1/plan` | what would differ with the documents of the body, `{"files": [[path, text], …]}` |
//! | `…/api/v1/containers/{name}/{action}` | see [`action`] |
//! | `/api/v1/{collection}` | `{"apiVersion": "v1", "kind": "List", "items": […]}`; `?namespace=` and `?name=` narrow it, `?watch=true` streams changes as JSON lines |
//! | `/api/v1/{collection}/{namespace}/{name}` | one object (`/{name}` alone where the kind has no namespace) |
//!
//! Objects have the shape of Kubernetes: `apiVersion`, `kind`, `metadata`, `spec`, `status`. See [`view`] for the
//! fields, [`Collection`] for the names. Errors are `{"kind": "Status", "code", "reason", "message"}`.
//!
//! Why so careful on a loopback port: any page in a browser of this machine can send requests here. A request is
//! answered only if its `Host` is one that such a page cannot have ([`guard`]), and an action only if it shows the token
//! ([`token`]).

pub mod action;
pub mod collection;
pub mod explain;
pub mod guard;
pub mod listener;
mod preview;
mod respond;
mod server;
#[cfg(test)]
mod tests;
pub mod token;
pub mod view;
mod watch;

pub use action::{Action, Actions, Deed, Done};
pub use collection::Collection;
pub use listener::Listener;
pub use preview::Preview;
pub use server::serve;
pub use token::TokenFile;

use crate::{
    model::{Allowed, Report},
    route::Table,
    runtime::{live::Live, ready::Ready},
    telemetry::Metrics,
};

/// What the admin API tells of. Cheap to clone.
#[derive(Clone)]
pub struct State {
    pub report: Live<Report>,
    /// What is served now.
    pub table: Live<Table>,
    /// While someone holds a guard of it, `/readyz` answers 503 and names it: `app` registers one for a
    /// drain too.
    pub ready: Ready,
    pub metrics: Metrics,
    /// What requests may hold that is refused, or left out, otherwise.
    pub allowed: Allowed,
    pub actions: Actions,
    /// Where it is asked what other documents would change.
    pub previews: tokio::sync::mpsc::Sender<Preview>,
}
