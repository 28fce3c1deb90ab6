//! HTTP/2 chosen by ALPN.

use http::{Method, Request, Version};

use super::{super::http2::Multi, *};

/// Asks for `h2`, then for what else there is.
fn modern(authority: &Authority) -> ClientConfig {
    let mut client = authority.client();
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    client
}

fn get(host: &str) -> Request<()> {
    let request = Request::builder().method(Method::GET).version(Version::HTTP_2);
    request.uri(format!("https://{host}/x")).body(()).unwrap()
}

#[tokio::test]
async fn a_client_that_offers_h2_gets_it_and_takes_the_same_way() {
    let authority = Authority::new();
    let key = authority.certify(&["a.test"]);
    let (proxy, server) = start(&[(None, tls(&[&key]))]).await;
    let client = proxy.shake(&modern(&authority), "a.test").await.unwrap();
    assert_eq!(client.stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = Multi::over(client.stream).await;
    for _ in 0..3 {
        assert_eq!(client.ask(get("a.test")).await.status, 200);
    }
    let heard = &server.heard()[0];
    assert!(heard.starts_with("GET /x HTTP/1.1\r\n"), "{heard}");
    assert_eq!((field(heard, "host"), field(heard, "x-forwarded-proto")), (Some("a.test"), Some("https")));
}

#[tokio::test]
async fn a_request_for_a_host_of_another_listener_is_misdirected() {
    let authority = Authority::new();
    let (a, b) = (authority.certify(&["a.test"]), authority.certify(&["b.test"]));
    let (proxy, server) = start(&[(Some("a.test"), tls(&[&a])), (Some("b.test"), tls(&[&b]))]).await;
    let client = proxy.shake(&modern(&authority), "a.test").await.unwrap();
    let mut client = Multi::over(client.stream).await;
    assert_eq!(client.ask(get("b.test")).await.status, 421);
    assert_eq!(client.ask(get("a.test")).await.status, 200);
    assert_eq!(server.heard().len(), 1);
}
