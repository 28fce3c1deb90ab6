//! Calls of gRPC: streams and trailers of theirs pass, and what Portolan itself says is said in their way.

use http::{Method, Request, Response};

use super::{
    h2c::{Backend2, Call, serving_h2c},
    http2::{Multi, answer, request},
    *,
};

fn call() -> Request<()> {
    let call = request(Method::POST, "/shop.Books/List");
    call.header("content-type", "application/grpc").header("te", "trailers").body(()).unwrap()
}

/// Code and message of a call that Portolan itself answers.
async fn refused(config: Config, table: Table) -> (String, String) {
    let proxy = Proxy::start(config, table);
    let mut client = Multi::connect(proxy.address).await;
    let answer = client.ask(call()).await;
    assert_eq!((answer.status, &answer.headers["content-type"]), (200, &"application/grpc".parse().unwrap()));
    assert!(answer.body.is_empty() && answer.trailers.is_none());
    assert_eq!(answer.headers["x-request-id"].len(), 32);
    let text = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
    (text("grpc-status"), text("grpc-message"))
}

#[tokio::test]
async fn what_portolan_answers_itself_has_a_code_of_grpc() {
    let silent = Backend2::start(async |_call: Call| std::future::pending::<()>().await).await;
    let dead = TcpListener::bind(asked()).await.unwrap().local_addr().unwrap();
    let invalid = Rule { invalid: Some("`x` is not served".into()), ..rule(backend(Vec::new())) };
    let limited = |address| Rule {
        timeouts: Timeouts { request: Some(Duration::from_millis(50)), backend_request: None },
        ..rule(backend(vec![Endpoint { scheme: Scheme::H2c, ..endpoint(address) }]))
    };
    let none = Rule { backends: Weighted::new(Vec::new()), ..rule(backend(Vec::new())) };
    for (what, table, code) in [
        ("nothing matches", table(Vec::new()), "12"),
        ("the reference leads nowhere", table(vec![("/", rule(Target::Invalid("no `x`".into())))]), "14"),
        ("there is no reference", table(vec![("/", none)]), "14"),
        ("nothing runs", table(vec![("/", rule(backend(Vec::new())))]), "14"),
        ("nothing listens", serving_h2c(&[dead]), "14"),
        ("it takes too long", table(vec![("/", limited(silent.address))]), "4"),
        ("the rule is not served", table(vec![("/", invalid)]), "13"),
    ] {
        let (found, message) = refused(config(), table).await;
        assert_eq!(found, code, "{what}");
        assert!(message.ends_with('.') && !message.contains(['`', '%']), "{what}: {message}");
    }
}

#[tokio::test]
async fn other_requests_to_the_same_place_get_a_page() {
    let proxy = Proxy::start(config(), table(Vec::new()));
    let mut client = Multi::connect(proxy.address).await;
    let other = request(Method::POST, "/shop.Books/List").header("content-type", "application/grpc-web");
    let answer = client.ask(other.body(()).unwrap()).await;
    assert_eq!((answer.status, answer.headers.get("grpc-status")), (404, None));
}

#[tokio::test]
async fn a_backends_own_errors_pass_as_they_are() {
    let server = Backend2::start(async |mut call: Call| {
        let response =
            Response::builder().header("content-type", "application/grpc").header("grpc-status", "5");
        call.reply.send_response(response.body(()).unwrap(), true).unwrap();
    })
    .await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    let answer = client.ask(call()).await;
    assert_eq!((answer.status, &answer.headers["grpc-status"]), (200, &"5".parse().unwrap()));
}

#[tokio::test]
async fn a_stream_of_messages_goes_both_ways_until_either_side_is_done() {
    let server = Backend2::echo().await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    let (response, mut up) = client.open(call(), false).await;
    let mut down = soon(response).await.unwrap();
    for number in 0..10_u8 {
        let message = [0, 0, 0, 0, 1, number];
        up.send_data(message.to_vec().into(), number == 9).unwrap();
        assert_eq!(soon(down.body_mut().data()).await.unwrap().unwrap(), message[..]);
    }
    assert!(answer(down).await.trailers.is_some());
    let sent = &server.heard.lock().unwrap()[0];
    assert_eq!(
        (&sent.headers()["te"], sent.uri().path()),
        (&"trailers".parse().unwrap(), "/shop.Books/List")
    );
}
