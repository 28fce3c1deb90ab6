//! A request is read once: routes, filters and the backend see the same host, path and fields.

use http::{HeaderName, HeaderValue};

use super::*;
use crate::model::{HeaderEdit, HeaderMatch, Oddity, PathEdit, Rewrite, ValueMatch};

fn looking_at(name: &'static str, value: &str) -> HttpMatch {
    let header = HeaderMatch { name: HeaderName::from_static(name), value: ValueMatch::Exact(value.into()) };
    HttpMatch { headers: vec![header], ..prefix_match("/") }
}

/// Two routes: those whose match is this, and the rest.
fn choosing(one: HttpMatch, addresses: [SocketAddr; 2]) -> Table {
    let rules = addresses.map(|address| Arc::new(rule(backend(vec![endpoint(address)]))));
    let [special, rest] = rules;
    table_of(vec![(&[one][..], special), (&[prefix_match("/")][..], rest)])
}

#[tokio::test]
async fn what_strangers_say_of_themselves_chooses_no_route() {
    let (special, rest) = (Server::echo().await, Server::echo().await);
    let addresses = [special.address, rest.address];
    for (name, value, forged, is_true) in [
        ("x-real-ip", "10.0.0.5", "X-Real-IP: 10.0.0.5", false),
        ("x-real-ip", "127.0.0.1", "X-Real-IP: 10.0.0.5", true),
        ("x-real-ip", "127.0.0.1", "X-A: b", true),
        ("x-forwarded-for", "10.0.0.5", "X-Forwarded-For: 10.0.0.5", false),
        ("x-forwarded-proto", "https", "X-Forwarded-Proto: https", false),
        ("x-forwarded-proto", "http", "X-A: b", true),
        ("x-forwarded-host", "evil", "X-Forwarded-Host: evil", false),
        ("x-forwarded-host", "a", "X-Forwarded-Host: evil", true),
        ("forwarded", "for=a", "Forwarded: for=a", false),
        ("x-other", "1", "X-Other: 1", true),
    ] {
        let before = (special.heard().len(), rest.heard().len());
        let proxy = Proxy::start(config(), choosing(looking_at(name, value), addresses));
        assert_eq!(
            proxy.request(&format!("GET / HTTP/1.1\r\nHost: a\r\n{forged}\r\n\r\n")).await.status,
            200
        );
        let wanted = if is_true { (before.0 + 1, before.1) } else { (before.0, before.1 + 1) };
        assert_eq!((special.heard().len(), rest.heard().len()), wanted, "{name}: {value} of {forged}");
    }
    let trusted = Config { trusted_proxies: "127.0.0.0/8".parse().into_iter().collect(), ..config() };
    let proxy = Proxy::start(trusted, choosing(looking_at("x-forwarded-proto", "https"), addresses));
    let before = special.heard().len();
    proxy.request("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n").await;
    assert_eq!(special.heard().len(), before + 1, "a trusted proxy is believed");
}

#[tokio::test]
async fn what_is_odd_goes_on_where_it_is_allowed() {
    let (special, rest) = (Server::echo().await, Server::echo().await);
    let to = |server: &Server| rule(backend(vec![endpoint(server.address)]));
    let table = || table(vec![("/a/b", to(&special)), ("/", to(&rest))]);
    let asked = "GET /a%2fb?c=%2f HTTP/1.1\r\nHost: a\r\nMy_Field: 1\r\nX_Real_IP: 1.2.3.4\r\n\r\n";
    assert_eq!(Proxy::start(config(), table()).request(asked).await.status, 400);
    for (allowed, path, is_there) in [
        (&[Oddity::EncodedSlash][..], "/a%2fb", false),
        (&[Oddity::Underscore], "/a/c", true),
        (&[Oddity::EncodedSlash, Oddity::Underscore], "/x/..%2fa", false),
        (&[Oddity::EncodedSlash, Oddity::Underscore], "/%2F", true),
    ] {
        let allowed = Config { allowed: allowed.iter().copied().collect(), ..config() };
        let before = rest.heard().len();
        let status = Proxy::start(allowed, table()).request(&asked.replace("/a%2fb", path)).await.status;
        if path.contains("..") {
            assert_eq!((status, rest.heard().len()), (400, before), "{path}");
            continue;
        }
        let heard = rest.heard().pop().unwrap().to_ascii_lowercase();
        assert_eq!((status, rest.heard().len()), (200, before + 1), "{path}");
        assert!(
            heard.starts_with(&format!("get {}?c=%2f http/1.1\r\n", path.to_ascii_lowercase())),
            "{heard}"
        );
        assert_eq!(heard.contains("\r\nmy_field: 1\r\n"), is_there, "{heard}");
        assert!(!heard.contains("x_real_ip"), "{heard}");
    }
    assert!(special.heard().is_empty());
}

#[tokio::test]
async fn an_escape_leads_around_no_rule_and_is_sent_on_as_it_came() {
    let (special, rest) = (Server::echo().await, Server::echo().await);
    let rewrite = |replacement: &str| {
        let path = Some(PathEdit::ReplacePrefix(replacement.into()));
        vec![HttpFilter::Rewrite(Rewrite { hostname: None, path })]
    };
    for (prefix, filters, asked, sent) in [
        ("/@admin", Vec::new(), "/%40admin/x", "/%40admin/x"),
        ("/%40admin", Vec::new(), "/@admin", "/@admin"),
        ("/v1/items:purge", Vec::new(), "/v1/items%3Apurge?a=%3A", "/v1/items%3Apurge?a=%3A"),
        ("/a;b", Vec::new(), "/a%3bb", "/a%3Bb"),
        ("/a%20b", Vec::new(), "/a%20b/%2B", "/a%20b/%2B"),
        ("/@a/b", rewrite("/x"), "/%40a/b/c%40d", "/x/c%40d"),
        ("/%40a", rewrite("/"), "/@a/%40", "/%40"),
    ] {
        let before = rest.heard().len();
        let to = |server: &Server| rule(backend(vec![endpoint(server.address)]));
        let one = Rule { filters, ..to(&special) };
        let proxy = Proxy::start(config(), table(vec![(prefix, one), ("/", to(&rest))]));
        assert_eq!(proxy.status(asked).await, 200);
        assert_eq!(rest.heard().len(), before, "{asked} went around {prefix}");
        let heard = special.heard().pop().unwrap();
        assert!(heard.starts_with(&format!("GET {sent} HTTP/1.1\r\n")), "{prefix}: {heard}");
    }
}

#[tokio::test]
async fn a_target_in_absolute_form_names_host_and_root() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    for (head, line, host) in [
        ("GET http://a.test/abs HTTP/1.0\r\n\r\n", "GET /abs HTTP/1.1", "a.test"),
        ("GET http://a.test:81 HTTP/1.0\r\n\r\n", "GET / HTTP/1.1", "a.test:81"),
        ("GET http://a.test?x=1 HTTP/1.1\r\nHost: a.test\r\n\r\n", "GET /?x=1 HTTP/1.1", "a.test"),
    ] {
        assert_eq!(proxy.request(head).await.status, 200, "{head}");
        let heard = server.heard().pop().unwrap();
        assert!(heard.starts_with(line), "{heard}");
        let names = [field(&heard, "host"), field(&heard, "x-forwarded-host")];
        assert_eq!(names, [Some(host), Some(host)], "{heard}");
    }
    let before = server.heard().len();
    for head in [
        "GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET javascript://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ] {
        assert_eq!(proxy.request(head).await.status, 400, "{head}");
    }
    assert_eq!(server.heard().len(), before);
}

#[tokio::test]
async fn who_is_asked_for_options_is_whom_the_client_has_counted_out() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let ask =
        |method: &str, left: &str| format!("{method} / HTTP/1.1\r\nHost: a\r\nMax-Forwards: {left}\r\n\r\n");
    assert_eq!(proxy.request(&ask("OPTIONS", "0")).await.status, 204);
    assert!(server.heard().is_empty());
    for (method, left, sent) in [("OPTIONS", "5", "4"), ("OPTIONS", "many", "many"), ("GET", "0", "0")] {
        assert_eq!(proxy.request(&ask(method, left)).await.status, 200);
        assert_eq!(field(&server.heard().pop().unwrap(), "max-forwards"), Some(sent), "{method} {left}");
    }
}

#[tokio::test]
async fn what_a_filter_sets_or_removes_comes_under_no_other_spelling() {
    let server = Server::echo().await;
    let (set, remove) = (HeaderName::from_static("x-auth"), HeaderName::from_static("x-secret-key"));
    let edit = HeaderEdit {
        set: vec![(set, HeaderValue::from_static("me"))],
        remove: vec![remove],
        ..HeaderEdit::default()
    };
    let config = Config { allowed: [Oddity::Underscore].into_iter().collect(), ..config() };
    let proxy = Proxy::start(config, filtered(server.address, vec![HttpFilter::RequestHeaders(edit)]));
    let request = "GET / HTTP/1.1\r\nHost: a\r\nx_auth: evil\r\nX-Auth: evil\r\nX_Secret-Key: 1\r\n\
                   x-secret-key: 1\r\nx_other: kept\r\n\r\n";
    assert_eq!(proxy.request(request).await.status, 200);
    let heard = server.heard().pop().unwrap().to_ascii_lowercase();
    assert!(heard.contains("\r\nx-auth: me\r\n") && heard.contains("\r\nx_other: kept\r\n"), "{heard}");
    assert!(!heard.contains("evil") && !heard.contains("secret"), "{heard}");
}
