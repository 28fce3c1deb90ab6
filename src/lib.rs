//! Portolan: an ingress controller for Docker. Files and labels say what should be served, Docker says what is
//! running; one loop compares the two and swaps the route table of an embedded proxy.
//!
//! # Modules, from the top down
//!
//! | level | module | the one sentence |
//! |--:|---|---|
//! | 5 | [`cli`] | Arguments, exit codes, printing. |
//! | 4 | [`app`] | Builds the parts, binds sockets, joins the two sides. |
//! | 3 | [`controller`] | The one loop: stores → snapshot → plan → publish → report. |
//! | 3 | [`admin`] | Health, readiness, metrics, the API that tells, and the few actions. |
//! | 2 | [`plan`] | `plan(&Snapshot) -> Plan`: decides what is served and explains what is not. Pure. |
//! | 2 | [`proxy`] | The data plane: reads the table, never writes it. |
//! | 1 | [`config`] | Reads and watches documents; turns documents and labels into `model` values. |
//! | 1 | [`discovery`] | Watches Docker; each source is a function to a stream of events. |
//! | 1 | [`route`] | The compiled, immutable table and the questions asked of it per request. Pure. |
//! | 0 | [`api`] | The documents a person writes and the status written back. |
//! | 0 | [`model`] | The checked vocabulary: a value that exists is valid. Pure. |
//! | 0 | [`runtime`] | Small generic futures that know nothing of proxies. |
//! | 0 | [`telemetry`] | Log set-up, metric families, the access-log record. |
//!
//! # Reading paths
//!
//! - *A route appears:* `discovery/docker.rs` → `runtime/reflect.rs` → `controller.rs` → `plan.rs` →
//!   `runtime/live.rs` → `proxy/listen.rs`.
//! - *A request:* `proxy/listen.rs` → `proxy/http.rs` → `proxy/upstream.rs`.
//! - *A mistake:* `config/check.rs` or `plan.rs` → `Problem` → `cli`, `admin`.

pub mod admin;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod controller;
pub mod discovery;
pub mod model;
pub mod plan;
pub mod proxy;
pub mod route;
pub mod runtime;
pub mod telemetry;
