//! gRPC and HTTP/2 through the running program, by the documents that a person writes.

mod backend;

use std::net::SocketAddr;

use backend::{Answer, Client, GrpcBackend};

use crate::support::{
    manifest,
    portolan::{Documents, Portolan},
    wait,
};

struct World {
    portolan: Portolan,
    documents: Documents,
    runtime: tokio::runtime::Runtime,
    backends: Vec<GrpcBackend>,
}

// === impl World ===

impl World {
    /// Backends `a` and `b` that speak h2c, and these documents.
    #[track_caller]
    fn new(text: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let backends: Vec<GrpcBackend> = ["a", "b"].map(GrpcBackend::start).into();
        let documents = Documents::new();
        let text: String = backends
            .iter()
            .map(|backend| manifest::backend(backend.name, backend.address))
            .chain([text.to_owned()])
            .collect();
        documents.write("grpc.yaml", &text);
        let portolan = Portolan::builder().config(documents.path()).start();
        Self { portolan, documents, runtime, backends }
    }

    fn http(&self) -> SocketAddr {
        self.portolan.http
    }

    /// Calls `/service/method` until the answer is as wanted.
    #[track_caller]
    fn calls(&self, host: &str, path: &str, headers: &[(&str, &str)], wanted: &str) -> Answer {
        wait::eventually(wait::SOON, &format!("a call of {path} at {host} answers {wanted}"), || {
            let asking = async {
                let mut client = Client::connect(self.http()).await?;
                client.call(host, path, headers).await
            };
            let answer = self.runtime.block_on(asking).map_err(|error| error.to_string())?;
            wait::check(answer, |answer| answer.shown() == wanted, Answer::shown)
        })
    }
}

fn grpc_route(name: &str, host: &str, rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {{name: {name}}}\nspec:\n  \
         hostnames: [\"{host}\"]\n  rules: {rules}\n---\n"
    )
}

fn to(backend: &str) -> String {
    format!("backendRefs: [{{group: portolan.dev, kind: Backend, name: {backend}}}]")
}

#[test]
fn calls_follow_service_method_and_metadata() {
    let (a, b) = (to("a"), to("b"));
    let rules = format!(
        "[{{matches: [{{method: {{service: shop.Books, method: Add}}}}], {b}}},
          {{matches: [{{method: {{service: shop.Books}}}}], {a}}},
          {{matches: [{{method: {{type: RegularExpression, service: 'shop[.]P.*', method: 'G.t'}}}}], {a}}},
          {{matches: [{{method: {{method: Ping}}}}], {b}}},
          {{matches: [{{headers: [{{name: version, value: two}}]}}], {b}}}]"
    );
    let world = World::new(&grpc_route("books", "books.test", &rules));
    for (path, headers, wanted) in [
        ("/shop.Books/Add", &[][..], "b 0"),
        ("/shop.Books/List", &[], "a 0"),
        ("/shop.Pens/Get", &[], "a 0"),
        ("/shop.Pens/Gets", &[], "12"),
        ("/any.Thing/Ping", &[], "b 0"),
        ("/any.Thing/Pong", &[("version", "two")], "b 0"),
        ("/any.Thing/Pong", &[("version", "one")], "12"),
    ] {
        world.calls("books.test", path, headers, wanted);
    }
    world.calls("other.test", "/shop.Books/Add", &[], "12");
    let routes = world.portolan.client(&["get", "routes", "-o", "wide"]).unwrap();
    assert!(routes.contains("books") && routes.contains("GRPCRoute"), "{routes}");
    let described = world.portolan.client(&["describe", "grpcroute", "books"]).unwrap();
    assert!(described.contains("Accepted") && described.contains("shop.Books"), "{described}");
}

#[test]
fn filters_change_metadata_both_ways() {
    let rules = format!(
        "[{{filters: [
            {{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: x-a, value: b}}], remove: [x-c]}}}},
            {{type: ResponseHeaderModifier, responseHeaderModifier: {{add: [{{name: x-d, value: e}}]}}}}],
          {}}}]",
        to("a")
    );
    let world = World::new(&grpc_route("books", "books.test", &rules));
    let answer = world.calls("books.test", "/a.B/C", &[("x-a", "own"), ("x-c", "own")], "a 0");
    assert_eq!(answer.headers["x-d"], "e");
    assert_eq!((answer.heard("x-a"), answer.heard("x-c")), (Some("b"), None));
}

#[test]
fn one_host_serves_calls_and_other_requests() {
    let world = World::new(
        &(grpc_route("calls", "both.test", &format!("[{{{}}}]", to("a")))
            + &manifest::route("pages", "both.test", "[{backendRefs: [{name: b, port: 80}]}]")),
    );
    world.calls("both.test", "/a.B/C", &[], "a 0");
    // Backend `b` speaks HTTP/2 only, which this route does not ask for.
    world.portolan.says("both.test", "/page", 502);
    world.documents.write(
        "grpc.yaml",
        &manifest::route(
            "pages",
            "both.test",
            "[{filters: [{type: RequestRedirect, requestRedirect: {port: 1}}]}]",
        ),
    );
    world.calls("both.test", "/a.B/C", &[], "302");
}

#[test]
fn what_cannot_be_served_is_said_in_codes_of_grpc() {
    let world = World::new(
        &(grpc_route("gone", "gone.test", &format!("[{{{}}}]", to("nobody")))
            + &grpc_route("empty", "empty.test", "[{}]")
            + &grpc_route(
                "half",
                "half.test",
                &format!(
                    "[{{filters: [{{type: ExtensionRef, extensionRef: {{group: portolan.dev, kind: Filter, name: x}}}}], {}}}]",
                    to("a")
                ),
            )),
    );
    world.calls("gone.test", "/a.B/C", &[], "14");
    world.calls("empty.test", "/a.B/C", &[], "14");
    world.calls("half.test", "/a.B/C", &[], "13");
}

#[test]
fn a_backend_that_asks_for_h2c_gets_it_from_an_http_route() {
    let world = World::new("");
    let address = world.backends[0].address;
    let text = format!(
        "apiVersion: portolan.dev/v1alpha1\nkind: Backend\nmetadata: {{name: h2c}}\nspec:\n  scheme: h2c\n  \
         endpoints: [{{address: {}, port: {}}}]\n---\n{}",
        address.ip(),
        address.port(),
        manifest::simple("h2c", "h2c.test", "h2c")
    );
    world.documents.write("h2c.yaml", &text);
    let answer = world.portolan.says("h2c.test", "/", 200);
    assert_eq!(answer.header("x-backend"), Some("a"));
}
