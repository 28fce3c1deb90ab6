//! The harness itself: what the other tests rely on must be so.

use std::time::Duration;

use crate::support::{
    backend::Backend,
    engine::Engine,
    http::{self, Connection},
    private_engine::PrivateEngine,
    socket_proxy::{Mode, SocketProxy},
    wait,
};

#[test]
fn waiting_in_vain_names_what_was_seen_last() {
    let panic = std::panic::catch_unwind(|| {
        wait::eventually(Duration::from_millis(20), "the moon", || Err::<(), _>("a cloud"));
    });
    let said = panic.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(*said, "not within 20ms: the moon; last seen: a cloud");
}

#[test]
fn a_backend_tells_what_reached_it() {
    let backend = Backend::start("a");
    let mut connection = Connection::open(backend.address).unwrap();
    let first = connection
        .ask("POST /x?y=1 HTTP/1.1\r\nHost: h\r\nA: 1\r\na: 2\r\nContent-Length: 3\r\n\r\nabc")
        .unwrap();
    assert_eq!((first.status, first.backend()), (200, Some("a")));
    assert_eq!(first.received("a"), ["1", "2"]);
    assert_eq!(first.json()["body_bytes"], 3);
    let second = connection.get("h", "/interim").unwrap();
    assert_eq!((second.interim.as_slice(), &second.json()["served"]), ([103].as_slice(), &2.into()));
    assert_eq!(connection.get("h", "/bytes?n=100000&chunked=1").unwrap().body.len(), 100_000);
    assert_eq!(backend.count(), 3);
}

#[test]
fn a_backend_finishes_what_it_has_begun_when_told_to_stop() {
    let mut backend = Backend::start("a");
    let mut connection = Connection::open(backend.address).unwrap();
    connection.send("GET /slow?ms=300 HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    wait::eventually(wait::SOON, "the request has begun", || {
        wait::check(backend.count(), |n| *n == 1, u64::to_string)
    });
    backend.process.signal("TERM");
    let answer = connection.response("GET").unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, None));
    assert!(backend.process.wait(wait::SOON).success());
    assert!(http::get(backend.address, "h", "/").is_err());
}

#[test]
fn a_container_answers_and_its_health_can_be_turned() {
    let Some(engine) = Engine::local() else { return };
    let container = engine.container("web").with_health().port(8080).label("a.b", "c d").start();
    container.health(8080, "on");
    assert_eq!(container.get(8080, "/").backend(), Some(&*container.name));
    assert_eq!(container.inspect("{{index .Config.Labels \"a.b\"}}"), "c d");
    container.health(8080, "off");
    container.docker("stop --time 10");
    assert_eq!(container.inspect("{{.State.ExitCode}}"), "0", "SIGTERM ends it well");
}

#[test]
fn nothing_is_left_of_a_test_that_fails() {
    let Some(engine) = Engine::local() else { return };
    let network = engine.network("left");
    let name = std::panic::catch_unwind(|| {
        let container = engine.container("left").network(&network).start();
        let _ = container.address(8080);
        std::panic::panic_any(container.name.clone());
    });
    let name = name.unwrap_err().downcast::<String>().unwrap();
    assert!(engine.docker(["inspect", &name]).is_err(), "the container is gone");
    let id = network.id.clone();
    drop(network);
    assert!(engine.docker(["network", "inspect", &id]).is_err(), "the network is gone");
}

#[test]
fn a_socket_proxy_passes_cuts_refuses_filters_and_stalls() {
    let Some(engine) = Engine::local() else { return };
    let proxy = SocketProxy::start(&engine);
    let through = proxy.engine();
    through.must(["ps"]);
    assert!(
        proxy.requests().iter().any(|seen| seen.starts_with("GET /containers/json")),
        "{:?}",
        proxy.requests()
    );

    proxy.deny("/networks");
    assert!(through.docker(["network", "ls"]).unwrap_err().contains("administrative rules"));
    through.must(["ps"]);

    let mut open = Connection::open_unix(through.socket()).unwrap();
    assert_eq!(open.get("docker", "/_ping").unwrap().text(), "OK");
    proxy.mode(Mode::Stall);
    open.send("GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n").unwrap();
    open.stream().set_read_timeout(Duration::from_millis(100)).unwrap();
    assert_eq!(open.some().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "open, and silent");
    proxy.mode(Mode::Pass);
    open.stream().set_read_timeout(wait::SOON).unwrap();
    assert_eq!(open.response("GET").unwrap().text(), "OK");
    proxy.cut();
    assert_eq!(open.some().unwrap(), b"");

    proxy.mode(Mode::Refuse);
    assert!(!through.answers());
}

#[test]
fn a_socket_proxy_loses_events_and_nothing_else() {
    let Some(engine) = Engine::local() else { return };
    let proxy = SocketProxy::start(&engine);
    let through = proxy.engine();
    let mut events = Connection::open_unix(through.socket()).unwrap();
    let filter = "%7B%22type%22%3A%5B%22network%22%5D%7D";
    events.send(format!("GET /v1.41/events?filters={filter} HTTP/1.1\r\nHost: docker\r\n\r\n")).unwrap();
    assert_eq!(events.head().unwrap().status, 200);
    proxy.mode(Mode::LoseEvents);
    let gone = engine.network("lost");
    let mut list = Connection::open_unix(through.socket()).unwrap();
    assert!(list.get("docker", "/networks").unwrap().text().contains(&gone.name));
    proxy.mode(Mode::Pass);
    let seen = engine.network("seen");
    let event = wait::eventually(wait::SOON, "an event", || {
        let piece = events.chunk().map_err(|error| error.to_string())?.unwrap_or_default();
        let text = String::from_utf8_lossy(&piece).into_owned();
        assert!(!text.contains(&gone.name), "{text}");
        wait::check(text, |text| text.contains(&seen.name), String::clone)
    });
    assert!(event.contains("create"), "{event}");
}

#[test]
fn a_private_engine_comes_back_with_its_containers() {
    let Some(private) = PrivateEngine::start() else { return };
    let container = private.engine.container("web").start();
    container.listens(8080);
    let address = container.address(8080);
    for signal in ["TERM", "KILL"] {
        private.end(signal);
        assert!(!private.engine.answers());
        assert_eq!(
            http::get(address, "h", "/").unwrap().status,
            200,
            "the container outlives the engine ({signal})"
        );
        private.resume();
        assert_eq!(container.inspect("{{.State.Status}}"), "running", "after {signal}");
    }
    drop(container);
    let folder = private.engine.socket().parent().unwrap().to_owned();
    drop(private);
    assert!(!folder.exists(), "its folders are gone");
}
