//! What goes on and what does not.

use super::*;
use crate::model::Oddity;

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    }
    headers
}

/// `name: value` of every field, sorted.
fn lines(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

/// What goes on of what a trusted client has sent, but for what is written here.
fn stripped(fields: &[(&str, &str)]) -> Vec<String> {
    let ours = ["x-request-id: new", "x-forwarded-", "x-real-ip: 10.0.0.2"];
    let is_ours = |line: &String| ours.iter().any(|ours| line.starts_with(ours));
    forwarded("10.0.0.2", fields).into_iter().filter(|line| !is_ours(line)).collect()
}

/// What a backend sees of a request from `peer`, where 10.0.0.0/8 is trusted.
fn forwarded(peer: &str, fields: &[(&str, &str)]) -> Vec<String> {
    forwarded_if(peer, Allowed::NOTHING, fields)
}

fn forwarded_if(peer: &str, allowed: Allowed, fields: &[(&str, &str)]) -> Vec<String> {
    let trusted: Vec<Cidr> = vec!["10.0.0.0/8".parse().unwrap()];
    let address: IpAddr = peer.parse().unwrap();
    let text = HeaderValue::try_from(peer).unwrap();
    let trust = if trusted.iter().any(|network| network.contains(address)) {
        Trust::Trusted
    } else {
        Trust::Untrusted
    };
    let port = HeaderValue::from_static("80");
    let peer = Peer {
        address,
        text: &text,
        trust,
        trusted: &trusted,
        scheme: "http",
        port: &port,
        server: None,
        allowed,
    };
    let headers = map(fields);
    let id = trusted_request_id(&headers, trust).cloned().unwrap_or(HeaderValue::from_static("new"));
    let client = Client { address: client_address(&headers, &peer), request_id: RequestId::Given(id) };
    lines(&Onward::new((&headers, Present::of(&headers)), peer, &client).map())
}

#[test]
fn a_field_that_is_named_behind_too_many_others_does_not_go_on_either() {
    let many: Vec<String> = (0..MOST_NAMED).map(|number| format!("n{number}")).collect();
    let few = format!("close, {}", many[1..].join(","));
    let given = |options: &str| {
        stripped(&[
            ("connection", options),
            ("x-mine", "1"),
            ("cookie", "a=b"),
            ("cache-control", "no-store"),
        ])
    };
    assert_eq!(given(&few), ["cache-control: no-store", "cookie: a=b", "x-mine: 1"]);
    assert_eq!(given(&format!("{few},x-mine")), ["cache-control: no-store", "cookie: a=b"]);
    for options in [format!("{few},x-other,x-mine"), "a,".repeat(30_000) + "x-mine"] {
        assert_eq!(given(&options), ["cache-control: no-store", "cookie: a=b"], "{} bytes", options.len());
        let mut answer = map(&[("connection", &options), ("x-mine", "1"), ("set-cookie", "a=b")]);
        strip_response(&mut answer);
        assert_eq!(lines(&answer), ["set-cookie: a=b"]);
    }
}

#[test]
fn options_by_the_thousand_cost_no_more_than_other_bytes() {
    let time = |fields: &[(&str, &str)]| {
        let run = || {
            let begun = tokio::time::Instant::now();
            for _ in 0..10 {
                stripped(fields);
            }
            begun.elapsed()
        };
        (0..5).map(|_| run()).min().unwrap()
    };
    let names: Vec<String> = (0..90).map(|number| format!("x-{number}")).collect();
    let options = (0..7_000).map(|number| format!("o{number}")).collect::<Vec<_>>().join(",");
    let mut fields: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "1")).collect();
    let usual = time(&fields);
    fields.push(("connection", &options));
    let (long, allowed) = (time(&fields), usual * 10);
    assert!(long < allowed, "{long:?} instead of {usual:?}");
}

#[test]
fn fields_of_one_hop_stay_here() {
    assert_eq!(
        stripped(&[
            ("connection", "keep-alive, X-Mine, close"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "x"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("proxy", "http://evil"),
            ("te", "gzip, Trailers;q=1"),
            ("accept", "*/*"),
        ]),
        ["accept: */*"]
    );
    assert_eq!(stripped(&[("te", "deflate, trailers"), ("connection", "te")]), ["te: trailers"]);
}

#[test]
fn naming_a_field_in_connection_does_not_take_away_what_matters() {
    let kept = [
        ("authorization", "a"),
        ("cookie", "b"),
        ("host", "c"),
        ("forwarded", "for=1.2.3.4"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-real-ip", "1.2.3.4"),
        ("x-request-id", "d"),
    ];
    let names = kept.map(|(name, _)| name).join(", ");
    let mut fields = kept.to_vec();
    fields.push(("connection", &names));
    let gone = forwarded("10.0.0.2", &fields);
    for name in kept.map(|(name, _)| name) {
        assert!(gone.iter().any(|line| line.starts_with(&format!("{name}: "))), "{name}: {gone:?}");
    }
    assert!(gone.contains(&"x-forwarded-for: 1.2.3.4, 10.0.0.2".to_owned()), "{gone:?}");
    assert!(gone.contains(&"x-request-id: d".to_owned()), "{gone:?}");
}

#[test]
fn an_underscore_does_not_make_another_field() {
    assert_eq!(
        stripped(&[
            ("x_forwarded_for", "1.2.3.4"),
            ("x-forwarded_proto", "https"),
            ("x_real_ip", "1.2.3.4"),
            ("content_length", "5"),
            ("my_field", "kept"),
        ]),
        ["my_field: kept"]
    );
    let goes_on = |media: &str, allowed| {
        let fields = [("my_field", "a"), ("x_real_ip", "1.2.3.4"), ("content-type", media)];
        let lines = forwarded_if("192.0.2.7", allowed, &fields);
        assert!(!lines.contains(&"x_real_ip: 1.2.3.4".to_owned()), "{lines:?}");
        lines.contains(&"my_field: a".to_owned())
    };
    let allowed = [Oddity::Underscore].into_iter().collect();
    assert!(!goes_on("text/plain", Allowed::NOTHING) && goes_on("text/plain", allowed));
    assert!(goes_on("application/grpc+proto", Allowed::NOTHING));
}

#[test]
fn an_untrusted_client_says_nothing_of_itself() {
    assert_eq!(
        forwarded(
            "192.0.2.7",
            &[
                ("host", "a.test:8080"),
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-prefix", "/admin"),
                ("x-real-ip", "1.1.1.1"),
                ("forwarded", "for=1.1.1.1"),
                ("true-client-ip", "1.1.1.1"),
                ("x-request-id", "mine"),
                ("connection", "x-forwarded-for, x-real-ip"),
            ]
        ),
        [
            "host: a.test:8080",
            "x-forwarded-for: 192.0.2.7",
            "x-forwarded-host: a.test:8080",
            "x-forwarded-port: 80",
            "x-forwarded-proto: http",
            "x-real-ip: 192.0.2.7",
            "x-request-id: new",
        ]
    );
}

#[test]
fn a_trusted_proxy_is_believed_and_added() {
    assert_eq!(
        forwarded(
            "10.0.0.2",
            &[
                ("host", "a.test"),
                ("x-forwarded-for", "1.1.1.1, 192.0.2.7"),
                ("x-forwarded-for", "10.9.9.9"),
                ("x-forwarded-proto", "https"),
                ("x-request-id", "given-1"),
            ]
        ),
        [
            "host: a.test",
            "x-forwarded-for: 1.1.1.1, 192.0.2.7, 10.9.9.9, 10.0.0.2",
            "x-forwarded-host: a.test",
            "x-forwarded-port: 80",
            "x-forwarded-proto: https",
            "x-real-ip: 192.0.2.7",
            "x-request-id: given-1",
        ]
    );
}

#[test]
fn the_client_is_the_last_address_that_is_not_trusted() {
    for (chain, client) in [
        ("", "10.0.0.2"),
        ("1.1.1.1", "1.1.1.1"),
        ("1.1.1.1, 2.2.2.2", "2.2.2.2"),
        ("1.1.1.1, 10.1.1.1", "1.1.1.1"),
        ("10.1.1.1", "10.1.1.1"),
        ("evil, 10.1.1.1", "10.1.1.1"),
        ("2.2.2.2:1234", "2.2.2.2"),
        ("[2001:db8::1]:1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
    ] {
        let fields = forwarded("10.0.0.2", &[("host", "a"), ("x-forwarded-for", chain)]);
        assert!(fields.contains(&format!("x-real-ip: {client}")), "{chain}: {fields:?}");
    }
}

#[test]
fn an_id_that_is_not_sane_is_replaced() {
    for id in ["", "a b", "a\"b", "<x>", &"a".repeat(129)] {
        let fields = forwarded("10.0.0.2", &[("host", "a"), ("x-request-id", id)]);
        assert!(fields.contains(&"x-request-id: new".to_owned()), "{id}: {fields:?}");
    }
}

#[test]
fn an_id_of_ours_is_32_digits() {
    assert_eq!(RequestId::Made(0xab).value(), format!("{:032x}", 0xab));
}

#[test]
fn a_response_has_one_length_or_none() {
    let strip = |fields: &[(&str, &str)]| {
        let mut headers = map(fields);
        strip_response(&mut headers);
        lines(&headers)
    };
    assert_eq!(strip(&[("content-length", "5")]), ["content-length: 5"]);
    assert!(strip(&[("content-length", "5"), ("transfer-encoding", "chunked")]).is_empty());
    assert!(strip(&[("content-length", "5"), ("content-length", "5")]).is_empty());
    assert!(strip(&[("content-length", "5, 5")]).is_empty());
    assert!(strip(&[("content-length", "")]).is_empty());
    assert!(strip(&[("content-length", "99999999999999999999")]).is_empty());
    assert_eq!(
        strip(&[
            ("connection", "close, x-a"),
            ("x-a", "1"),
            ("keep-alive", "1"),
            ("upgrade", "h2"),
            ("x-b", "2")
        ]),
        ["x-b: 2"]
    );
}
