//! External authorization, as a client, the service that is asked, and a backend see it.

mod grpc;

use http::HeaderName;

use super::*;
use crate::{
    model::{AuthProtocol, BackendRef, ExternalAuth},
    route::Auth,
};

fn names(names: &[&'static str]) -> Vec<HeaderName> {
    names.iter().map(|name| HeaderName::from_static(name)).collect()
}

fn auth(endpoints: Vec<Endpoint>) -> Auth {
    let (path, told, passed) = ("/check".into(), names(&["cookie"]), names(&["x-user", "x-group"]));
    auth_by(AuthProtocol::Http { path, told, passed }, 0, endpoints)
}

fn auth_by(protocol: AuthProtocol, body: u32, endpoints: Vec<Endpoint>) -> Auth {
    let (name, reason, policy) = ("default/auth".into(), "`auth` is not running".into(), Arc::default());
    let backend = BackendRef {
        group: "".into(),
        kind: "Service".into(),
        namespace: "default".into(),
        name: "auth".into(),
        port: None,
        weight: 1,
        filters: Vec::new(),
    };
    Auth {
        target: Target::Backend(Arc::new(Backend { name, endpoints, policy, reason })),
        spec: Arc::new(ExternalAuth { backend, protocol, body }),
    }
}

/// Everything to `server`, if these let it pass.
fn guarded(auths: Vec<Auth>, server: &Server) -> Rule {
    Rule { auths, ..rule(backend(vec![endpoint(server.address)])) }
}

fn proxy(rule: Rule) -> Proxy {
    Proxy::start(config(), table(vec![("/", rule)]))
}

/// Says yes, and who it is, to whoever shows the cookie.
async fn doorkeeper() -> Server {
    Server::answering(|request| {
        if field(request, "cookie") == Some("good") {
            "HTTP/1.1 200 OK\r\nX-User: ann\r\nX-Other: no\r\nContent-Length: 2\r\n\r\nok".into()
        } else {
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nX-Why: cookie\r\nContent-Length: 3\r\n\r\nwho"
                .into()
        }
    })
    .await
}

#[tokio::test]
async fn who_is_let_in_is_named_by_the_service_and_not_by_itself() {
    let (server, keeper) = (Server::echo().await, doorkeeper().await);
    let proxy = proxy(guarded(vec![auth(vec![endpoint(keeper.address)])], &server));
    let reply = proxy
        .request(
            "POST /a/../b?c=d HTTP/1.1\r\nHost: a.test\r\nCookie: good\r\nAuthorization: mine\r\nX-User: root\r\n\
             X_User: root\r\nX-Group: wheel\r\nX-Secret: s\r\nX-Forwarded-For: 192.0.2.1\r\nContent-Length: 4\r\n\r\nbody",
        )
        .await;
    let got = String::from_utf8(reply.body).unwrap();
    assert_eq!(reply.status, 200, "{got}");
    assert!(got.starts_with("POST /b?c=d HTTP/1.1\r\n") && got.ends_with("\r\n\r\nbody"), "{got}");
    assert_eq!((field(&got, "x-user"), field(&got, "x-secret")), (Some("ann"), Some("s")));
    for absent in ["x_user", "x-group", "x-other"] {
        assert_eq!(field(&got, absent), None, "{got}");
    }
    let asked = keeper.heard().remove(0);
    assert!(asked.starts_with("POST /check/b?c=d HTTP/1.1\r\n"), "the path that the backend gets: {asked}");
    assert_eq!((field(&asked, "host"), field(&asked, "authorization")), (Some("a.test"), Some("mine")));
    assert_eq!(field(&asked, "x-forwarded-for"), Some("127.0.0.1"));
    for absent in ["x-user", "x_user", "x-secret", "content-type"] {
        assert_eq!(field(&asked, absent), None, "{asked}");
    }
    assert!(asked.ends_with("\r\n\r\n"), "without the body: {asked}");
}

#[tokio::test]
async fn nobody_names_itself_after_the_body() {
    let (old, (new, noted)) = (trailers::noting().await, trailers::noting2().await);
    let keeper = doorkeeper().await;
    let auths = || vec![auth(vec![endpoint(keeper.address)])];
    let request = trailers::posting(
        "Cookie: good\r\n",
        &["X-User: root", "X_User: root", "X-Group: wheel", "X_Group: wheel", "X-Sum: 7"],
    );
    assert_eq!(proxy(guarded(auths(), &old)).request(&request).await.status, 200);
    assert_eq!(old.heard(), ["3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n"]);
    let by_http2 = Endpoint { scheme: Scheme::H2c, ..endpoint(new.address) };
    let by_http2 = Rule { auths: auths(), ..rule(backend(vec![by_http2])) };
    assert_eq!(proxy(by_http2).request(&request).await.status, 200);
    let trailers = noted.lock().unwrap().pop().unwrap().unwrap();
    assert_eq!(trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
}

#[tokio::test]
async fn who_is_not_let_in_gets_the_answer_of_the_service_and_reaches_nothing() {
    let (server, keeper) = (Server::echo().await, doorkeeper().await);
    let proxy = proxy(guarded(vec![auth(vec![endpoint(keeper.address)])], &server));
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client.send(get("/")).await;
        let reply = client.reply().await;
        assert_eq!((reply.status, &*reply.body), (401, &b"who"[..]));
        assert_eq!(field(&reply.head, "www-authenticate"), Some("Basic"));
    }
    // A body that nobody has read is never taken for a request.
    let inner = get("/smuggled");
    let length = inner.len();
    client.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n{inner}")).await;
    assert_eq!(client.reply().await.status, 401);
    assert!(keeper.heard().iter().all(|asked| !asked.contains("smuggled")), "{:?}", keeper.heard());
    assert_eq!(server.connections(), 0);
    assert_eq!(keeper.connections(), 1, "its connection is used again");
}

#[tokio::test]
async fn nobody_is_let_in_when_nobody_can_be_asked() {
    let server = Server::echo().await;
    let gone = TcpListener::bind(asked()).await.unwrap().local_addr().unwrap();
    let silent = Server::start(|mut client, _, _| async move { drop(client.rest().await) }).await;
    let answering = |answer: &'static str| Server::answering(move |_| answer.to_owned());
    let broken = answering("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n").await;
    let garbage = answering("yes\r\n\r\n").await;
    let empty = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let nowhere = Auth { target: Target::Invalid("there is no `auth`".into()), ..auth(Vec::new()) };
    let one = |address: SocketAddr| auth(vec![endpoint(address)]);
    for (auth, status) in [
        (one(gone), 503),
        // The time that the rule has for all of it.
        (one(silent.address), 504),
        (one(broken.address), 503),
        (one(garbage.address), 503),
        (auth(Vec::new()), 503),
        (nowhere, 500),
        // Success of another kind is no yes.
        (one(empty.address), 204),
    ] {
        let timeouts = Timeouts { request: Some(Duration::from_millis(300)), ..Timeouts::default() };
        let said = format!("{:?}", auth.target);
        let proxy = proxy(Rule { timeouts, ..guarded(vec![auth], &server) });
        assert_eq!(proxy.status("/").await, status, "{said}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn all_of_them_have_to_say_yes_and_each_is_asked_once() {
    let (server, first, second) = (Server::echo().await, doorkeeper().await, doorkeeper().await);
    let gone = TcpListener::bind(asked()).await.unwrap().local_addr().unwrap();
    let both = [auth(vec![endpoint(first.address)]), auth(vec![endpoint(gone), endpoint(second.address)])];
    let two = backend(vec![endpoint(gone), endpoint(server.address)]);
    let mut choice = Choice::new(1, two, Vec::new());
    choice.auths = vec![both[1].clone()];
    let proxy = proxy(Rule {
        auths: vec![both[0].clone()],
        backends: Weighted::new(vec![choice]),
        ..rule(backend(Vec::new()))
    });
    for tries in 1..=4 {
        let ask = "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: good\r\n\r\n";
        assert_eq!(proxy.request(ask).await.status, 200);
        // The backend's first endpoint fails every other time: another try asks nobody again.
        assert_eq!((first.heard().len(), second.heard().len()), (tries, tries));
    }
    assert_eq!(proxy.status("/").await, 401);
    assert_eq!((first.heard().len(), second.heard().len()), (5, 4), "the first no is the last word");
}

#[tokio::test]
async fn a_redirect_is_for_those_who_may_pass_and_a_preflight_for_all() {
    let (server, keeper) = (Server::echo().await, doorkeeper().await);
    let redirect = HttpFilter::Redirect(crate::model::Redirect {
        scheme: Some("https"),
        hostname: None,
        path: None,
        port: None,
        status: http::StatusCode::FOUND,
    });
    let auths = || vec![auth(vec![endpoint(keeper.address)])];
    let redirecting = proxy(Rule { filters: vec![redirect], ..guarded(auths(), &server) });
    assert_eq!(redirecting.status("/").await, 401);
    let known = redirecting.request("GET / HTTP/1.1\r\nHost: a.test\r\nCookie: good\r\n\r\n").await;
    assert_eq!(known.status, 302);
    // Browsers show no credentials with it.
    let open = proxy(Rule { filters: vec![cors::cors("https://a.test")], ..guarded(auths(), &server) });
    assert_eq!(open.request(cors::PREFLIGHT).await.status, 204);
    let refused = open.request("GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\n\r\n").await;
    assert_eq!(refused.status, 401);
    assert_eq!(field(&refused.head, "access-control-allow-origin"), Some("https://a.test"));
}

#[tokio::test]
async fn a_websocket_opens_for_those_who_may_pass() {
    let (server, keeper) = (upgrades::websocket(b"").await, doorkeeper().await);
    let proxy = proxy(guarded(vec![auth(vec![endpoint(keeper.address)])], &server));
    assert_eq!(proxy.request(upgrades::ASK).await.status, 401);
    assert_eq!(server.connections(), 0);
    let mut client = proxy.connect().await;
    client.send(upgrades::ASK.replace("Host: a\r\n", "Host: a\r\nCookie: good\r\n")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    client.send("ping").await;
    assert_eq!(client.bytes(4).await, b"ping");
    let asked = keeper.heard().remove(1);
    assert_eq!((field(&asked, "upgrade"), field(&asked, "connection")), (None, None), "{asked}");
}

#[tokio::test]
async fn by_http_a_body_is_sent_along_where_that_is_wanted() {
    let (server, keeper) = (Server::echo().await, doorkeeper().await);
    let protocol = AuthProtocol::Http { path: "".into(), told: names(&["cookie"]), passed: Vec::new() };
    let proxy = proxy(guarded(vec![auth_by(protocol, 8, vec![endpoint(keeper.address)])], &server));
    for (body, status) in [("eight by", 200), ("nine byte", 413), ("", 200)] {
        let length = body.len();
        let ask = format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nCookie: good\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        assert_eq!(proxy.request(&ask).await.status, status, "{body}");
    }
    let [first, second] = <[String; 2]>::try_from(keeper.heard()).unwrap();
    assert!(first.ends_with("\r\n\r\neight by") && field(&first, "content-length") == Some("8"), "{first}");
    assert!(second.ends_with("\r\n\r\n"), "{second}");
    assert_eq!(server.heard().len(), 2);
}

#[tokio::test]
async fn nobody_is_asked_before_the_body_is_there_which_has_the_time_of_the_request() {
    let (server, keeper) = (Server::echo().await, doorkeeper().await);
    let protocol = AuthProtocol::Http { path: "".into(), told: names(&["cookie"]), passed: Vec::new() };
    let timeouts = Timeouts { request: Some(Duration::from_millis(300)), ..Timeouts::default() };
    let auths = vec![auth_by(protocol, 8, vec![endpoint(keeper.address)])];
    let proxy = proxy(Rule { timeouts, ..guarded(auths, &server) });
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nCookie: good\r\nContent-Length: 8\r\n\r\nhalf").await;
    assert!(client.head().await.starts_with("HTTP/1.1 504 "));
    assert_eq!((keeper.connections(), server.connections()), (0, 0));
    // One that is broken off is nobody's question either.
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nCookie: good\r\nContent-Length: 8\r\n\r\nhalf").await;
    client.stream.shutdown().await.unwrap();
    let _ = client.rest().await;
    assert_eq!((keeper.connections(), server.connections()), (0, 0));
}
