//! Requests through the running program: what a client and a backend see on the wire, and what an operator sees of it.

mod answers;
mod auth;
mod backend_tls;
mod bombs;
mod failures;
mod filters;
mod greed;
mod health;
pub(crate) mod life;
mod policies;
mod rest;
mod seen;
mod slow;
mod tls;
mod wire;

use crate::support::{
    backend::Backend,
    manifest,
    portolan::{Builder, Documents, Portolan},
};

/// One Portolan, one backend `a`, and documents that can still be changed.
struct World {
    portolan: Portolan,
    documents: Documents,
    a: Backend,
}

// === impl World ===

impl World {
    /// `rules` are those of the route of `shop.test`.
    #[track_caller]
    fn new(rules: &str) -> Self {
        Self::with(rules, |builder| builder)
    }

    #[track_caller]
    fn with(rules: &str, settings: impl FnOnce(Builder) -> Builder) -> Self {
        let (a, documents) = (Backend::start("a"), Documents::new());
        let text = manifest::backend("a", a.address) + &manifest::route("shop", "shop.test", rules);
        documents.write("shop.yaml", &text);
        let portolan = settings(Portolan::builder().config(documents.path())).start();
        Self { portolan, documents, a }
    }
}

/// Everything to backend `a`.
pub(crate) const TO_A: &str = "[{backendRefs: [{name: a, port: 80}]}]";
