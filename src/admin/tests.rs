//! The API as a client sees it: over a socket, with a report made by hand.

mod actions;

use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::*;
use crate::{
    model::{
        Allowed, BackendReport, Condition, ContainerReport, EndpointReport, EndpointState, EventReport,
        Health, Kind, ListenerStatus, Meta, NetworkMode, ObjectReport, Origin, ParentRef, ParentStatus,
        Phase, Problem, ResourceId, Severity, SourceReport, Status, Workload, WorkloadId,
    },
    runtime::{
        drain::{self, Outcome, Trigger},
        live::{Publisher, live},
    },
};

struct Running {
    address: std::net::SocketAddr,
    publisher: Publisher<Report>,
    ready: Ready,
    stop: Trigger,
    server: Option<futures::future::BoxFuture<'static, ()>>,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

async fn start(report: Report) -> Running {
    let actions = Actions { token: None, asked: tokio::sync::mpsc::channel(1).0 };
    start_with(report, actions).await
}

async fn start_with(report: Report, actions: Actions) -> Running {
    let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.tcp_address().unwrap();
    let (publisher, reports) = live(report);
    let table = live(Table::default()).1;
    let ready = Ready::new();
    let metrics = Metrics::new();
    metrics.set_config_valid(1);
    let state = State {
        report: reports,
        table,
        ready: ready.clone(),
        metrics,
        allowed: Allowed::NOTHING,
        actions,
        previews: tokio::sync::mpsc::channel(1).0,
    };
    let (stop, watch) = drain::channel();
    let server: futures::future::BoxFuture<'static, ()> = Box::pin(serve(listener, state, watch));
    Running { address, publisher, ready, stop, server: Some(server) }
}

impl Running {
    /// Runs `client` beside the server, for a while at most.
    async fn with<T>(&mut self, client: impl Future<Output = T>) -> T {
        let server = self.server.as_mut().unwrap();
        let client = tokio::time::timeout(Duration::from_secs(20), client);
        tokio::select! {
            result = client => result.expect("no answer"),
            () = server => panic!("the server ended"),
        }
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
    }

    async fn json(&mut self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&unchunked(&answer)).unwrap()
    }

    async fn ask(&mut self, request: &str) -> Answer {
        let address = self.address;
        self.with(async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
        })
        .await
    }
}

fn unchunked(answer: &Answer) -> String {
    if !answer.head.contains("transfer-encoding: chunked") {
        return answer.body.clone();
    }
    let (mut rest, mut out) = (answer.body.as_str(), String::new());
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        out.push_str(&behind[..size]);
        rest = &behind[size + 2..];
    }
    out
}

fn object(kind: Kind, name: &str, manifest: &Value, status: Status) -> (ResourceId, Arc<ObjectReport>) {
    let id = ResourceId::new(kind, "shop", name);
    let origin = Origin::File { path: "shop.yaml".into(), line: 3, column: 1 };
    let meta = Meta { id: id.clone(), origin, created: None, generation: 2 };
    let since = BTreeMap::from([
        (("parent 0".to_owned(), "Accepted"), 1_700_000_000),
        (("listener http".to_owned(), "Programmed"), 1_700_000_001),
        ((String::new(), "Accepted"), 1_700_000_002),
    ]);
    let (manifest, status) = (manifest.to_string().into(), status.into());
    (id, Arc::new(ObjectReport { meta, manifest, status, since, stale: false }))
}

fn route(name: &str) -> (ResourceId, Arc<ObjectReport>) {
    let manifest = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "shop", "annotations": {"team": "books"}},
        "spec": {"hostnames": ["books.example.com"]},
    });
    let parent = ParentRef {
        group: "gateway.networking.k8s.io".into(),
        kind: "Gateway".into(),
        namespace: "shop".into(),
        name: "edge".into(),
        section: Some("http".into()),
        port: NonZeroU16::new(80),
    };
    let conditions = vec![Condition::yes("Accepted", "Accepted", "the route is served")];
    object(
        Kind::HttpRoute,
        name,
        &manifest,
        Status { parents: vec![ParentStatus { parent, conditions }], ..Status::default() },
    )
}

fn gateway() -> (ResourceId, Arc<ObjectReport>) {
    let listener = ListenerStatus {
        name: "http".into(),
        attached_routes: 1,
        supported_kinds: vec![("gateway.networking.k8s.io".into(), "HTTPRoute".into())],
        conditions: vec![Condition::yes("Programmed", "Programmed", "bound")],
    };
    let status = Status {
        conditions: vec![Condition::no("Accepted", "ListenersNotValid", "listener `tls` is not served yet")],
        listeners: vec![listener],
        addresses: vec!["0.0.0.0:80".into(), "0.0.0.0:8080".into(), "[::]:80".into()],
        ..Status::default()
    };
    object(Kind::Gateway, "edge", &json!({"spec": {}}), status)
}

fn container() -> Arc<ContainerReport> {
    let labels = [("portolan.port", "80"), ("traefik.http.middlewares.auth.basicauth.users", "ada:secret")];
    let workload = Workload {
        id: WorkloadId("c0ffee".into()),
        name: "web".into(),
        hostname: "web".into(),
        image: "acme/web:1".into(),
        created: 1_700_000_000,
        phase: Phase::Running,
        health: Health::Unchecked,
        is_crash_looping: false,
        checks: None,
        labels: labels.map(|(key, value)| (key.into(), value.into())).into(),
        exposed: Vec::new(),
        published: Vec::new(),
        network_mode: NetworkMode::Networks,
        networks: Vec::new(),
    };
    let problem = Problem {
        severity: Severity::Error,
        reason: "NoPort",
        message: "container `web` exposes no port".into(),
        hint: Some("set `portolan.port`".into()),
        origin: Origin::Container { id: "c0ffee".into(), name: "web".into(), label: None },
    };
    Arc::new(ContainerReport {
        workload: Arc::new(workload),
        routed: false,
        urls: vec!["http://web.docker.localhost".into()],
        resources: vec![ResourceId::new(Kind::HttpRoute, "default", "web")],
        problems: vec![problem],
        left_alone: None,
    })
}

fn report() -> Report {
    let endpoint = EndpointReport {
        name: "web".into(),
        address: Some("10.0.0.7:8080".into()),
        state: EndpointState::Ready,
        message: String::new(),
        weight: 1,
        checks: None,
        last_failure: None,
    };
    let backend = BackendReport {
        name: "shop/web:8080".into(),
        resolved: "Compose service".into(),
        endpoints: vec![endpoint],
    };
    Report {
        generation: 1,
        config_valid: true,
        objects: BTreeMap::from([route("books"), gateway()]),
        containers: BTreeMap::from([(WorkloadId("c0ffee".into()), container())]),
        backends: BTreeMap::from([(backend.name.clone(), Arc::new(backend))]),
        sources: vec![SourceReport {
            name: "docker".into(),
            connected: true,
            since: 1_700_000_000,
            message: "unix:///var/run/docker.sock".into(),
        }],
        problems: Vec::new(),
        events: vec![Arc::new(EventReport {
            time: 1_700_000_000,
            number: 1,
            object: Some(ResourceId::new(Kind::HttpRoute, "shop", "books")),
            reason: "Accepted",
            message: "the route is served".into(),
        })],
    }
}

#[tokio::test]
async fn a_route_is_shown_as_written_with_origin_and_the_standards_status() {
    let mut running = start(report()).await;
    let expected = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": "books",
            "namespace": "shop",
            "generation": 2,
            "annotations": {"team": "books", "portolan.dev/origin": "shop.yaml:3:1"},
        },
        "spec": {"hostnames": ["books.example.com"]},
        "status": {"parents": [{
            "parentRef": {
                "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "shop", "name": "edge",
                "sectionName": "http", "port": 80,
            },
            "controllerName": "portolan.dev/controller",
            "conditions": [{
                "type": "Accepted", "status": "True", "reason": "Accepted", "message": "the route is served",
                "lastTransitionTime": "2023-11-14T22:13:20Z", "observedGeneration": 2,
            }],
        }]},
    });
    for path in ["/api/v1/routes/shop/books", "/api/v1/httproutes/shop/books", "/api/v1/routes/books"] {
        assert_eq!(running.json(path).await, expected, "{path}");
    }
    let list = running.json("/api/v1/routes").await;
    assert_eq!(list, json!({"apiVersion": "v1", "kind": "List", "items": [expected]}));
}

#[tokio::test]
async fn a_gateway_has_addresses_without_ports_and_listeners() {
    let status = start(report()).await.json("/api/v1/gateways/shop/edge").await["status"].take();
    assert_eq!(
        status["addresses"],
        json!([{"type": "IPAddress", "value": "0.0.0.0"}, {"type": "IPAddress", "value": "::"}])
    );
    assert_eq!(status["listeners"][0]["attachedRoutes"], 1);
    assert_eq!(status["listeners"][0]["conditions"][0]["lastTransitionTime"], "2023-11-14T22:13:21Z");
    assert_eq!(status["conditions"][0]["lastTransitionTime"], "2023-11-14T22:13:22Z");
}

#[tokio::test]
async fn backends_and_endpoints_go_by_name_with_or_without_port() {
    let mut running = start(report()).await;
    for path in ["/api/v1/backends/shop/web:8080", "/api/v1/backends/shop/web", "/api/v1/backends/web"] {
        let backend = running.json(path).await;
        assert_eq!((&backend["kind"], &backend["metadata"]["name"]), (&json!("Backend"), &json!("web:8080")));
        assert_eq!((&backend["status"]["ready"], &backend["status"]["total"]), (&json!(1), &json!(1)));
        assert_eq!(backend["status"]["resolved"], "Compose service");
    }
    let endpoints = running.json("/api/v1/endpoints/shop/web").await;
    assert_eq!(endpoints["items"][0]["status"]["address"], "10.0.0.7:8080");
    assert_eq!(endpoints["items"][0]["metadata"]["name"], "web");
}

#[tokio::test]
async fn a_container_says_why_it_gets_no_traffic_and_keeps_labels_of_others_secret() {
    let mut running = start(report()).await;
    let text = running.get("/api/v1/containers").await.body;
    assert!(!text.contains("ada:secret"), "{text}");
    let container = running.json("/api/v1/containers/default/web").await;
    assert_eq!(container["spec"]["labels"], json!({"portolan.port": "80"}));
    assert_eq!(container["status"]["problems"][0]["reason"], "NoPort");
    assert_eq!(container["status"]["problems"][0]["hint"], "set `portolan.port`");
    assert_eq!(container["status"]["urls"], json!(["http://web.docker.localhost"]));
    assert_eq!(running.json("/api/v1/containers/c0ffee").await, container);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_words() {
    let mut running = start(report()).await;
    for (path, status, message) in [
        ("/api/v1/routes/shop/bocks", 404, "there is no `shop/bocks` in routes"),
        (
            "/api/v1/pods",
            404,
            "there is no collection `pods`; there are gateways, routes, backends, endpoints, certificates, containers, events",
        ),
        ("/nope", 404, "there is nothing at `/nope`; `/` lists what there is"),
        (
            "/api/v1/routes?wach=true",
            400,
            "Failed to deserialize query string: wach: unknown field `wach`, expected one of `namespace`, `name`, `watch`",
        ),
    ] {
        let answer = running.get(path).await;
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, body["message"].as_str().unwrap()), (status, message), "{path}");
    }
}

#[tokio::test]
async fn a_list_is_narrowed_by_namespace_and_name() {
    let mut report = report();
    report.objects.extend((0..300).map(|number| route(&format!("r{number}"))));
    let mut running = start(report).await;
    let mut count = async |path: &str| running.json(path).await["items"].as_array().unwrap().len();
    assert_eq!(count("/api/v1/routes").await, 301);
    assert_eq!(count("/api/v1/routes?namespace=shop&name=r7").await, 1);
    assert_eq!(count("/api/v1/routes?namespace=other").await, 0);
    assert_eq!(count("/api/v1/events?name=books").await, 1);
}

#[tokio::test]
async fn nothing_can_be_changed() {
    let mut running = start(report()).await;
    let mut status = async |request: &str| {
        let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        running.ask(&request).await.status
    };
    assert_eq!(status("POST /api/v1/containers/c0ffee/stop").await, 403);
    assert_eq!(status("POST /api/v1/routes").await, 405);
    assert_eq!(status("DELETE /api/v1/routes/shop/books").await, 405);
    assert_eq!(status("PUT /healthz").await, 405);
    assert_eq!(status("POST /nope").await, 405);
    assert_eq!(status("HEAD /api/v1/routes").await, 200);
}

#[tokio::test]
async fn only_our_own_names_are_answered() {
    let mut running = start(report()).await;
    let answer =
        running.ask("GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
    assert_eq!(answer.status, 421, "{}", answer.body);
    let foreign = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(running.ask(foreign).await.status, 403);
}

#[tokio::test]
async fn readiness_waits_for_the_first_table_and_ends_with_the_drain() {
    let mut running = start(Report { generation: 0, ..report() }).await;
    let answer = running.get("/readyz").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (503, "not ready\nwaiting for the first route table\n")
    );
    assert_eq!(running.get("/healthz").await.status, 200);

    running.publisher.publish(report());
    let answer = running.get("/readyz").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));

    let _draining = running.ready.register("the drain to end");
    let answer = running.get("/readyz").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "not ready\nwaiting for the drain to end\n"));
    assert_eq!(running.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn an_invalid_document_and_a_lost_source_are_told_but_do_not_take_it_out_of_service() {
    let mut report = Report { config_valid: false, ..report() };
    report.sources[0].connected = false;
    report.sources[0].message = "connection refused".into();
    let answer = start(report).await.get("/readyz").await;
    assert_eq!(answer.status, 200);
    insta::assert_snapshot!(answer.body, @r###"
    ok
    warning: the configuration is not valid everywhere; see /api/v1/status
    warning: source `docker` is lost since 2023-11-14T22:13:20Z: connection refused
    "###);
}

#[tokio::test]
async fn the_summary_names_sources_and_counts() {
    let status = start(report()).await.json("/api/v1/status").await;
    assert_eq!(
        (&status["ready"], &status["configValid"], &status["generation"]),
        (&json!(true), &json!(true), &json!(1))
    );
    assert_eq!(status["resources"], json!({"Gateway": 1, "HTTPRoute": 1}));
    assert_eq!(status["sources"][0]["name"], "docker");
}

#[tokio::test]
async fn metrics_are_in_the_text_format() {
    let answer = start(report()).await.get("/metrics").await;
    assert!(answer.body.lines().any(|line| line == "portolan_config_valid 1"), "{}", answer.body);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
}

#[tokio::test]
async fn a_watch_tells_what_is_there_and_then_each_change() {
    let mut running = start(report()).await;
    let mut stream = BufReader::new(TcpStream::connect(running.address).await.unwrap());
    let request = "GET /api/v1/routes?watch=true HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.get_mut().write_all(request.as_bytes()).await.unwrap();
    let line = running.with(next_change(&mut stream)).await;
    assert_eq!((&line["type"], &line["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("books")));
    assert_eq!(running.with(next_change(&mut stream)).await, json!({"type": "BOOKMARK"}));

    let mut changed = report();
    changed.objects.insert(route("books").0, route("books").1);
    changed.objects.extend([route("papers")]);
    running.publisher.publish(changed);
    let line = running.with(next_change(&mut stream)).await;
    assert_eq!((&line["type"], &line["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("papers")));

    running.publisher.publish(Report { objects: BTreeMap::from([route("papers")]), ..report() });
    let line = running.with(next_change(&mut stream)).await;
    assert_eq!((&line["type"], &line["object"]["metadata"]["name"]), (&json!("DELETED"), &json!("books")));
    assert!(line["object"].get("spec").is_none());
}

async fn next_change(stream: &mut BufReader<TcpStream>) -> Value {
    loop {
        let mut line = String::new();
        assert_ne!(stream.read_line(&mut line).await.unwrap(), 0, "the stream ended");
        // Everything else is the head of the answer and the sizes of chunks.
        if line.starts_with('{') {
            return serde_json::from_str(&line).unwrap();
        }
    }
}

#[tokio::test]
async fn a_drain_ends_streams_and_idle_connections() {
    let mut running = start(report()).await;
    let mut stream = BufReader::new(TcpStream::connect(running.address).await.unwrap());
    let request = "GET /api/v1/routes?watch=true HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.get_mut().write_all(request.as_bytes()).await.unwrap();
    running.with(next_change(&mut stream)).await;
    let idle = TcpStream::connect(running.address).await.unwrap();
    running.with(tokio::task::yield_now()).await;
    let server = running.server.take().unwrap();
    let (outcome, ()) = tokio::join!(running.stop.drain(Duration::from_secs(20)), server);
    assert_eq!(outcome, Outcome::Finished);
    drop(idle);
}
