//! Raw frames of HTTP/2 that mean harm: refused, bounded, and nothing of them reaches the backend that should not.

pub(super) mod wire;

use super::{http2::Multi, *};
use wire::*;

/// What is wrong with a frame, and the frame for a stream.
type Trick<'a> = (&'a str, &'a dyn Fn(u32) -> Vec<u8>);

async fn start() -> (Proxy, Server) {
    let server = Server::echo().await;
    (Proxy::start(config(), serving(&[server.address])), server)
}

/// Another client is served, and soon.
async fn others_are_served(proxy: &Proxy) {
    others_are_served_by(proxy, "/other", 200).await;
}

async fn others_are_served_by(proxy: &Proxy, path: &str, status: u16) {
    let mut other = Multi::connect(proxy.address).await;
    for _ in 0..5 {
        let started = tokio::time::Instant::now();
        assert_eq!(other.get(path).await.status, status);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn heads_that_are_not_valid_are_refused() {
    let (proxy, server) = start().await;
    let with = |name: &'static str, value: &'static str| {
        let mut fields = getting("/");
        fields.push((name, value));
        fields
    };
    let without =
        |name: &str| getting("/").into_iter().filter(|(other, _)| *other != name).collect::<Vec<_>>();
    let mut late = getting("/");
    late.insert(1, ("x-a", "b"));
    let path = |path: &'static str| {
        let mut fields = without(":path");
        fields.push((":path", path));
        fields
    };
    let scheme = |scheme: &'static str| {
        let mut fields = getting("/");
        fields.iter_mut().filter(|(name, _)| *name == ":scheme").for_each(|field| field.1 = scheme);
        fields
    };
    for fields in [
        with("X-Upper", "a"),
        with("x-a", "b\r\nx-c: d"),
        with("x-a", "b\nc"),
        with("x-a", "b\0c"),
        with("x a", "b"),
        with("x:a", "b"),
        with("", "b"),
        with("connection", "close"),
        with("keep-alive", "1"),
        with("proxy-connection", "close"),
        with("transfer-encoding", "chunked"),
        with("upgrade", "h2c"),
        with("te", "gzip"),
        with("host", "b.test"),
        with("content-length", "5"),
        with("content-length", "+0"),
        with("content-length", ""),
        with("x-a", " b"),
        with("x-a", "b "),
        with("x-a", "\tb"),
        with("x-a\"", "b"),
        scheme(""),
        scheme("ftp"),
        scheme("javascript"),
        with(":path", "/again"),
        with(":unknown", "a"),
        with(":status", "200"),
        without(":method"),
        without(":scheme"),
        without(":path"),
        without(":authority"),
        late,
        path(""),
        path("a"),
        path("*"),
        path("?"),
        path("?x"),
        path("?/../admin"),
        path("/a%2fb"),
        path("/a b"),
        path("/a\r\nb"),
        path("/../..%2f"),
    ] {
        let mut client = Frames::connect(&proxy).await;
        client.send(frame(HEADERS, WHOLE, 1, &block(&fields))).await;
        let fate = client.fate(1).await;
        assert!(["400", "reset 1", "goaway 1"].contains(&&*fate), "{fate}: {fields:?}");
    }
    let mut user = getting("/");
    user[2].1 = "u:p@a.test";
    let mut client = Frames::connect(&proxy).await;
    client.send(frame(HEADERS, WHOLE, 1, &block(&user))).await;
    assert!(["400", "reset 1"].contains(&&*client.fate(1).await));
    assert!(server.heard().is_empty(), "{:?}", server.heard());
}

#[tokio::test]
async fn a_head_has_a_bound_of_fields_and_of_bytes() {
    let (proxy, server) = start().await;
    let mut many = getting("/");
    many.extend(vec![("cookie", "a=b"); 201]);
    let mut client = Frames::connect(&proxy).await;
    client.send(frame(HEADERS, WHOLE, 1, &block(&many))).await;
    assert_eq!(client.fate(1).await, "answer", "431");
    let long = "x".repeat(16_000);
    let mut client = Frames::connect(&proxy).await;
    client.send(frame(HEADERS, END_STREAM, 1, &block(&getting("/")))).await;
    for index in 0..5 {
        let flags = if index == 4 { END_HEADERS } else { 0 };
        client.send(frame(CONTINUATION, flags, 1, &block(&[("x-long", &*long)]))).await;
    }
    assert_eq!(client.fate(1).await, "answer", "431");
    assert!(server.heard().is_empty(), "{:?}", server.heard());
    let counted = |series: &str| proxy.metric(series) == Some(2.0);
    until("both are counted", || counted(r#"portolan_limits_reached_total{limit="head_size"}"#)).await;
    let series = r#"portolan_http_requests_total{backend="",code="431",listener="",method="GET",route=""}"#;
    until("both are counted as what the client got", || counted(series)).await;
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_ends_on_both_sides() {
    let (proxy, server) = start().await;
    for (length, pieces) in
        [("5", &["abc"][..]), ("3", &["abcde"]), ("3", &["abc", "de"]), ("5", &["", "abc"])]
    {
        let mut client = Frames::connect(&proxy).await;
        let mut fields = posting("/short");
        fields.push(("content-length", length));
        client.send(frame(HEADERS, END_HEADERS, 1, &block(&fields))).await;
        for (index, piece) in pieces.iter().enumerate() {
            let flags = if index + 1 == pieces.len() { END_STREAM } else { 0 };
            client.send(frame(DATA, flags, 1, piece.as_bytes())).await;
        }
        let fate = client.fate(1).await;
        assert!(["400", "reset 1", "goaway 1"].contains(&&*fate), "{fate}: {length} {pieces:?}");
        // Nothing that is left of it may be taken for the beginning of another request.
        assert_eq!(proxy.status("/next").await, 200);
    }
    let (next, others): (Vec<String>, Vec<String>) =
        server.heard().into_iter().partition(|request| request.starts_with("GET /next "));
    // What came before the excess was as announced.
    assert!(others.iter().all(|request| request.ends_with("\r\n\r\nabc")), "{others:?}");
    assert_eq!(next.len(), 4);
}

#[tokio::test]
async fn a_body_behind_connect_is_not_a_request() {
    let (proxy, server) = start().await;
    let mut client = Frames::connect(&proxy).await;
    let connect = [(":method", "CONNECT"), (":authority", "a.test:80")];
    client.send(frame(HEADERS, END_HEADERS, 1, &block(&connect))).await;
    client.send(frame(DATA, END_STREAM, 1, b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
    assert_eq!(client.fate(1).await, "answer", "405");
    client.send(frame(HEADERS, WHOLE, 3, &block(&getting("/next")))).await;
    assert_eq!(client.fate(3).await, "200");
    assert_eq!(server.heard().len(), 1);
    assert!(server.heard()[0].starts_with("GET /next "));
}

#[tokio::test]
async fn requests_that_are_reset_at_once_close_the_connection() {
    let (proxy, server) = start().await;
    let mut client = Frames::connect(&proxy).await;
    let head = block(&getting("/reset"));
    for batch in 0..100 {
        let mut bytes = Vec::new();
        for index in 0..100 {
            let stream = (batch * 100 + index) * 2 + 1;
            bytes.extend(frame(HEADERS, WHOLE, stream, &head));
            bytes.extend(frame(RESET, 0, stream, &8_u32.to_be_bytes()));
        }
        if !client.send(bytes).await {
            break;
        }
    }
    let fate = client.fate(0).await;
    assert!(["goaway 11", "closed"].contains(&&*fate), "{fate}");
    assert!(server.heard().len() < 1000, "{}", server.heard().len());
    others_are_served(&proxy).await;
}

/// A backend that never answers, and a limit that few requests that are taken back reach.
async fn few_resets() -> (Server, Config) {
    let server = Server::start(|mut client, _, _| async move {
        client.request().await;
        client.more().await;
    })
    .await;
    let mut config = config();
    config.limits.http2.cancelled = 20;
    (server, config)
}

#[tokio::test]
async fn requests_that_are_reset_one_by_one_close_the_connection_too() {
    let (server, config) = few_resets().await;
    let proxy = Proxy::start(config, serving(&[server.address]));
    let mut client = Frames::connect(&proxy).await;
    let head = block(&getting("/reset"));
    let mut sent = 0_u32;
    // Each has begun when it is reset.
    while client.send(frame(HEADERS, WHOLE, sent * 2 + 1, &head)).await && client.settle().await {
        client.send(frame(RESET, 0, sent * 2 + 1, &8_u32.to_be_bytes())).await;
        sent += 1;
        assert!(sent < 100_000, "it never ends");
    }
    assert!(sent > 20, "{sent}");
}

#[tokio::test]
async fn answers_that_cost_nothing_do_not_pay_for_requests_that_are_reset() {
    let (server, config) = few_resets().await;
    let proxy = Proxy::start(config, table(vec![("/reset", rule(backend(vec![endpoint(server.address)])))]));
    let mut client = Frames::connect(&proxy).await;
    let (cheap, reset) = (block(&getting("/nothing")), block(&getting("/reset")));
    let mut stream = 1;
    loop {
        let mut pairs = Vec::new();
        for _ in 0..2 {
            pairs.extend(frame(HEADERS, WHOLE, stream, &cheap));
            stream += 2;
        }
        let is_open = client.send(pairs).await
            && client.send(frame(HEADERS, WHOLE, stream, &reset)).await
            && client.settle().await
            && client.send(frame(RESET, 0, stream, &8_u32.to_be_bytes())).await;
        if !is_open {
            break;
        }
        stream += 2;
        assert!(stream < 100_000, "it never ends");
    }
    let cut = r#"portolan_limits_reached_total{limit="resets"}"#;
    until("it is counted", || proxy.metric(cut) == Some(1.0)).await;
    others_are_served_by(&proxy, "/nothing", 404).await;
}

#[tokio::test]
async fn resets_that_a_client_provokes_close_the_connection() {
    let zero = |stream| frame(WINDOW, 0, stream, &0_u32.to_be_bytes());
    let overflow = |stream| frame(WINDOW, 0, stream, &0x7fff_ffff_u32.to_be_bytes());
    let head = |stream| frame(HEADERS, WHOLE, stream, &block(&getting("/")));
    let data = |stream| frame(DATA, END_STREAM, stream, b"x");
    let own = |stream: u32| frame(PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[0]].concat());
    let tricks: [Trick<'_>; 5] = [
        ("an increment of zero", &zero),
        ("a window that overflows", &overflow),
        ("another head after the end", &head),
        ("data after the end", &data),
        ("a stream that depends on itself", &own),
    ];
    for (what, trick) in tricks {
        let server = Server::start(|mut client, heard, _| async move {
            if let Some(request) = client.request().await {
                heard.lock().unwrap().push(request);
                client.more().await;
            }
        })
        .await;
        let mut config = config();
        config.limits.http2.cancelled = 50;
        let proxy = Proxy::start(config, serving(&[server.address]));
        let mut client = Frames::connect(&proxy).await;
        let mut sent = 0_u32;
        while client.send(head(sent * 2 + 1)).await
            && client.send(trick(sent * 2 + 1)).await
            && client.settle().await
        {
            sent += 1;
            if sent >= 150 {
                break;
            }
        }
        // Either it is closed, or the trick resets nothing and the limit of requests at a time holds.
        assert!(
            sent < 150 || server.heard().len() <= 101,
            "{what}: {sent} sent, {} heard",
            server.heard().len()
        );
    }
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    for piece in [&b""[..], &[0x82; 1000]] {
        let (proxy, server) = start().await;
        let mut client = Frames::connect(&proxy).await;
        client.send(frame(HEADERS, END_STREAM, 1, &block(&getting("/")))).await;
        let mut sent = 0;
        while client.send(frame(CONTINUATION, 0, 1, piece)).await {
            sent += 1;
            assert!(sent < 200_000, "it never ends");
        }
        let fate = client.fate(1).await;
        // Which of its answers is read before the reset of the connection is the kernel's choice.
        assert!(["goaway 11", "goaway 1", "reset 11", "reset 1", "closed"].contains(&&*fate), "{fate}");
        assert!(server.heard().is_empty());
        others_are_served(&proxy).await;
    }
}

#[tokio::test]
async fn a_few_bytes_that_stand_for_many_fields_are_refused() {
    let (proxy, server) = start().await;
    let mut client = Frames::connect(&proxy).await;
    let mut bytes = block(&getting("/"));
    // One field into the table (RFC 7541 section 6.2.1), then thousands of references to it.
    bytes.push(0x40);
    integer(&mut bytes, 7, 1);
    bytes.push(b'x');
    integer(&mut bytes, 7, 3000);
    bytes.extend(vec![b'y'; 3000]);
    bytes.extend(vec![0xbe; 12_000]);
    for stream in 0..20 {
        if !client.send(frame(HEADERS, WHOLE, stream * 2 + 1, &bytes)).await {
            break;
        }
    }
    let fate = client.fate(1).await;
    assert!(["answer", "goaway 11", "reset 11", "reset 1", "closed"].contains(&&*fate), "{fate}");
    assert!(server.heard().is_empty());
    others_are_served(&proxy).await;
}

#[tokio::test]
async fn floods_of_small_frames_do_not_harm_others() {
    let (proxy, _server) = start().await;
    let floods = [
        frame(PING, 0, 0, b"flooding"),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]),
        frame(SETTINGS, 0, 0, &[]),
        frame(DATA, 0, 1, b""),
        frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1]),
        frame(RESET, 0, 1, &8_u32.to_be_bytes()),
        frame(WINDOW, 0, 0, &1_u32.to_be_bytes()),
        frame(0x77, 0, 0, b"unknown"),
        frame(PING, ACK, 0, b"flooding"),
    ];
    for flood in floods {
        let mut client = Frames::connect(&proxy).await;
        client.send(frame(HEADERS, END_HEADERS, 1, &block(&posting("/")))).await;
        let batch = flood.repeat(100);
        for _ in 0..100 {
            if !client.send(&batch).await {
                break;
            }
        }
        others_are_served(&proxy).await;
    }
}

#[tokio::test]
async fn frames_that_break_the_protocol_close_the_connection() {
    let (proxy, server) = start().await;
    let get = block(&getting("/"));
    for (what, bytes) in [
        ("data on a stream that was never opened", frame(DATA, END_STREAM, 1, b"x")),
        ("data on the connection", frame(DATA, END_STREAM, 0, b"x")),
        ("a head on the connection", frame(HEADERS, WHOLE, 0, &get)),
        ("a head on a stream of the server's", frame(HEADERS, WHOLE, 2, &get)),
        ("a frame that is too large", frame(DATA, 0, 1, &vec![0; 20_000])),
        ("padding longer than its frame", frame(HEADERS, WHOLE | 8, 1, &[255, 0x82])),
        ("a ping of the wrong size", frame(PING, 0, 0, b"x")),
        ("a setting of the wrong size", frame(SETTINGS, 0, 0, b"x")),
        ("a window that overflows", frame(WINDOW, 0, 0, &0x7fff_ffff_u32.to_be_bytes())),
        ("an increment of zero", frame(WINDOW, 0, 0, &0_u32.to_be_bytes())),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &get)),
        ("a promise", frame(5, END_HEADERS, 1, &[&2_u32.to_be_bytes()[..], &get].concat())),
        ("a broken head", frame(HEADERS, WHOLE, 1, &[0xff; 20])),
        (
            "something between a head and its end",
            [frame(HEADERS, END_STREAM, 1, &get), frame(PING, 0, 0, b"flooding")].concat(),
        ),
    ] {
        let mut client = Frames::connect(&proxy).await;
        client.send(bytes).await;
        let fate = client.fate(u32::MAX).await;
        assert!(fate.starts_with("goaway") || fate == "closed", "{what}: {fate}");
    }
    assert!(server.heard().is_empty(), "{:?}", server.heard());
    let series = r#"portolan_http_requests_total{backend="",code="400",listener="",method="OTHER",route=""}"#;
    until("they are counted", || proxy.metric(series) >= Some(10.0)).await;
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_do_not_reach_the_backend() {
    let server = Server::start(|mut client, heard, _| async move {
        if let Some(request) = client.request().await {
            heard.lock().unwrap().push(request);
            client.more().await;
        }
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = Frames::connect(&proxy).await;
    let head = block(&getting("/"));
    for stream in 0..120 {
        client.send(frame(HEADERS, WHOLE, stream * 2 + 1, &head)).await;
    }
    assert_eq!(client.fate(239).await, "reset 7");
    until("the others are there", || server.heard().len() == 100).await;
    let counted = r#"portolan_limits_reached_total{limit="streams"}"#;
    until("those that are refused are counted", || proxy.metric(counted) == Some(20.0)).await;
}

#[tokio::test]
async fn a_silent_client_is_asked_whether_it_lives() {
    let (_, server) = start().await;
    let mut config = config();
    config.limits.http2.ping_every = Duration::from_millis(50);
    config.limits.http2.ping_timeout = Duration::from_millis(200);
    let proxy = Proxy::start(config, serving(&[server.address]));
    let mut client = Frames::connect(&proxy).await;
    client.send(frame(HEADERS, WHOLE, 1, &block(&getting("/")))).await;
    assert_eq!(client.fate(1).await, "200");
    let mut pings = 0;
    while let Some(next) = client.next().await {
        pings += u32::from(next.kind == PING);
    }
    assert!(pings > 0, "it was closed without being asked");
}

#[tokio::test]
async fn bodies_that_come_after_their_answers_do_not_close_the_connection() {
    let (proxy, _server) = start().await;
    let mut client = Frames::connect(&proxy).await;
    let streams = || (0..120).map(|number| number * 2 + 1);
    for stream in streams() {
        let head =
            block(&[(":method", "TRACE"), (":scheme", "http"), (":path", "/"), (":authority", "a.test")]);
        client.send(frame(HEADERS, END_HEADERS, stream, &head)).await;
        assert_eq!(client.fate(stream).await, "answer", "405");
    }
    // They were on their way when the answers came.
    for stream in streams() {
        client.send(frame(DATA, END_STREAM, stream, b"late")).await;
    }
    client.send(frame(HEADERS, WHOLE, 1001, &block(&getting("/next")))).await;
    assert_eq!(client.fate(1001).await, "200");
}
