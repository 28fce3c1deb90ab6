//! External authorization through the program: the test backend's `/status/401` says no, anything else yes.

use super::{TO_A, World};
use crate::support::{backend::Backend, manifest, wait};

/// A route of `guarded.test` to `a`, if the backend `auth` says 200 to what is asked under `path`.
fn route(path: &str) -> String {
    let auth = format!(
        "{{type: ExternalAuth, externalAuth: {{protocol: HTTP, backendRef: {{name: auth, port: 80}}, http: {{path: {path}, allowedResponseHeaders: [x-backend]}}}}}}"
    );
    let rules = format!("[{{filters: [{auth}], backendRefs: [{{name: a, port: 80}}]}}]");
    manifest::route("guarded", "guarded.test", &rules)
}

#[test]
fn a_service_decides_who_passes_and_nobody_does_without_it() {
    let (world, mut auth) = (World::new(TO_A), Backend::start("auth"));
    world.documents.write("auth.yaml", &manifest::backend("auth", auth.address));
    world.documents.write("guarded.yaml", &route("/yes"));
    let answer = world.portolan.reaches("guarded.test", "/x?y", "a");
    assert_eq!(answer.json()["target"].as_str().unwrap_or_default(), "/x?y");
    assert_eq!(answer.received("x-backend"), ["auth"], "who has let it pass is told");
    // The status of the path that is asked: `/status/401/…` is not one, so the whole of it is the prefix.
    world.documents.write("guarded.yaml", &route("/status"));
    let answer = world.portolan.says("guarded.test", "/401", 401);
    assert_eq!(answer.backend(), Some("auth"), "{answer}");
    // Until the new filter was there, requests have reached the backend.
    let before = world.a.count();
    assert_eq!(world.portolan.get("guarded.test", "/403").unwrap().status, 403);
    assert_eq!(world.a.count(), before, "the backend has heard of none of them");
    auth.process.signal("KILL");
    auth.process.wait(wait::SOON);
    assert_eq!(world.portolan.get("guarded.test", "/200").unwrap().status, 503);
    assert_eq!(world.a.count(), before);
    world.documents.remove("auth.yaml");
    world.portolan.says("guarded.test", "/200", 500);
    let said = world.portolan.client(&["describe", "route", "guarded"]).unwrap();
    assert!(said.contains("BackendNotFound") && said.contains("auth"), "{said}");
}
