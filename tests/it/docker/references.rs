//! Routes in files that lead to containers by name.

use super::{NO_HOLD, has};
use crate::support::{
    engine::Engine,
    portolan::{Documents, Portolan},
    unique, wait,
};

fn harbour(documents: &Documents) -> Option<(Engine, Portolan)> {
    let engine = Engine::local()?;
    let portolan = Portolan::builder().docker(engine.url()).config(documents.path()).arguments(NO_HOLD);
    let portolan = portolan.start();
    Some((engine, portolan))
}

/// An HTTPRoute of that name and host to one backendRef.
fn route(name: &str, namespace: &str, reference: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  hostnames: [{name}.example.com]\n  rules:\n  - backendRefs: [{{{reference}}}]\n"
    )
}

/// The condition of the route at its first parent, once it has that reason.
#[track_caller]
fn condition(portolan: &Portolan, route: &str, kind: &str, reason: &str) -> String {
    wait::eventually(wait::SOON, &format!("route `{route}` has {kind} {reason}"), || {
        let answer = portolan.admin(&format!("/api/v1/routes?name={route}")).map_err(|e| e.to_string())?;
        let list = answer.json();
        let conditions = &list["items"][0]["status"]["parents"][0]["conditions"];
        let found = conditions.as_array().into_iter().flatten();
        let mut found = found.filter(|one| one["type"] == kind && one["reason"] == reason);
        found.next().map(|one| one["message"].as_str().unwrap_or_default().to_owned()).ok_or(list.to_string())
    })
}

#[test]
fn docker_a_route_file_leads_to_a_container_by_its_name() {
    let documents = Documents::new();
    let Some((engine, portolan)) = harbour(&documents) else { return };
    let web = engine.container("web").arguments(["9000"]).start();
    let name = unique("books");
    documents.write("a.yaml", &route(&name, "default", &format!("name: {}, port: 9000", web.name)));
    portolan.reaches(&format!("{name}.example.com"), "/", &web.name);
    condition(&portolan, &name, "ResolvedRefs", "ResolvedRefs");
}

#[test]
fn docker_a_route_file_leads_to_a_compose_service_of_its_namespace() {
    let documents = Documents::new();
    let Some((engine, portolan)) = harbour(&documents) else { return };
    let project = unique("shop");
    let make = || {
        let web = engine.container("web").port(8080).label("com.docker.compose.project", &project);
        web.label("com.docker.compose.service", "cart").start()
    };
    let (one, two) = (make(), make());
    let name = unique("cart");
    documents.write("a.yaml", &route(&name, &project, "name: cart, port: 8080"));
    super::all_answer(&portolan, &format!("{name}.example.com"), &[&one.name, &two.name]);
}

#[test]
fn docker_another_namespace_needs_a_grant() {
    let documents = Documents::new();
    let Some((engine, portolan)) = harbour(&documents) else { return };
    let project = unique("shop");
    let web = engine.container("web").port(8080).label("com.docker.compose.project", &project);
    let web = web.label("com.docker.compose.service", "cart").start();
    let name = unique("cart");
    let address = format!("{name}.example.com");
    let reference = format!("name: cart, namespace: {project}, port: 8080");
    documents.write("a.yaml", &route(&name, "default", &reference));
    portolan.says(&address, "/", 500);
    let words = condition(&portolan, &name, "ResolvedRefs", "RefNotPermitted");
    has(&words, &[&format!("`{project}/cart`"), "another namespace", "no ReferenceGrant", "write one there"]);
    let page = portolan.client(&["describe", "route", &name]).unwrap();
    has(&page, &[&words]);

    let grant = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {{name: in, namespace: {project}}}\n\
         spec:\n  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}}]\n  to: [{{group: \
         '', kind: Service}}]\n"
    );
    documents.write("b.yaml", &grant);
    portolan.reaches(&address, "/", &web.name);
    documents.remove("b.yaml");
    portolan.says(&address, "/", 500);
}

#[test]
fn docker_a_name_that_is_not_there_is_a_500_until_it_is() {
    let documents = Documents::new();
    let Some((engine, portolan)) = harbour(&documents) else { return };
    let (name, target) = (unique("books"), unique("later"));
    documents.write("a.yaml", &route(&name, "default", &format!("name: {target}, port: 8080")));
    portolan.says(&format!("{name}.example.com"), "/", 500);
    let words = condition(&portolan, &name, "ResolvedRefs", "BackendNotFound");
    has(&words, &[&format!("backendRef `{target}`"), "Compose service, container or network alias"]);
    let web = engine.container("web").named(&target).port(8080).start();
    portolan.reaches(&format!("{name}.example.com"), "/", &web.name);
    web.docker("stop --time 5");
    portolan.says(&format!("{name}.example.com"), "/", 503);
}

#[test]
fn docker_a_backend_selects_containers_by_their_labels() {
    let documents = Documents::new();
    let Some((engine, portolan)) = harbour(&documents) else { return };
    let (name, app) = (unique("legacy"), unique("app"));
    let make = || engine.container("web").arguments(["9000"]).label("app", &app).start();
    let (one, two) = (make(), make());
    let backend = format!(
        "---\napiVersion: portolan.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}}}\nspec:\n  endpoints:\n  - \
         docker: {{selector: {{app: {app}}}}}\n    port: 9000\n"
    );
    documents.write("a.yaml", &(route(&name, "default", &format!("name: {name}, port: 80")) + &backend));
    super::all_answer(&portolan, &format!("{name}.example.com"), &[&one.name, &two.name]);
}
