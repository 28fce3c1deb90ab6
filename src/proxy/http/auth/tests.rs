//! What a service is told, and what of its answer a backend is.

use prost::Message as _;

use super::{
    messages::{
        BoolValue, CheckResponse, DeniedHttpResponse, HeaderValueOption, HttpStatus, OkHttpResponse, Status,
    },
    *,
};

fn names(names: &[&'static str]) -> Vec<HeaderName> {
    names.iter().map(|name| HeaderName::from_static(name)).collect()
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    pairs.iter().map(pair).collect()
}

fn shown(headers: &HeaderMap) -> Vec<String> {
    let mut shown: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    shown.sort();
    shown
}

#[test]
fn the_service_is_told_what_it_is_allowed_to_know_and_nothing_of_a_body() {
    let allowed = names(&["cookie", "content-length", "x-a"]);
    for (name, told) in [
        ("host", true),
        ("authorization", true),
        ("cookie", true),
        ("x-a", true),
        ("x-b", false),
        ("x_a", false),
        ("x-forwarded-for", true),
        ("x-real-ip", true),
        ("x-request-id", true),
        ("content-length", false),
        ("content-type", false),
        ("transfer-encoding", false),
        ("expect", false),
    ] {
        assert_eq!(by_http::is_told(&allowed, &HeaderName::from_static(name)), told, "{name}");
    }
}

#[test]
fn the_backend_is_told_what_fits_a_request() {
    let answer = headers(&[
        ("x-user", "ann"),
        ("x-group", "one"),
        ("x-group", "two"),
        ("authorization", "Bearer x"),
        ("content-length", "5"),
        ("content-type", "text/html"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("host", "auth"),
        ("set-cookie", "a=b"),
        ("date", "today"),
        ("server", "auth"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-request-id", "mine"),
        ("proxy-authorization", "x"),
    ]);
    let all = ["authorization: Bearer x", "x-group: one", "x-group: two", "x-user: ann"];
    let passed = |allowed: &[&'static str]| {
        let mut request = HeaderMap::new();
        by_http::permit(&names(allowed), &answer).write(&mut request);
        shown(&request)
    };
    assert_eq!(passed(&[]), all);
    assert_eq!(passed(&["x-user", "x-absent", "content-length", "x-forwarded-for"]), ["x-user: ann"]);
}

#[test]
fn a_client_cannot_write_what_the_service_says() {
    let permit = by_http::permit(&names(&["x-user", "x-user-group"]), &headers(&[("x-user", "ann")]));
    let mut request = headers(&[
        ("x-user", "root"),
        ("x_user", "root"),
        ("x-user-group", "wheel"),
        ("x_user-group", "wheel"),
        ("x_user_group", "wheel"),
        ("x-users", "stays"),
        ("x_other", "stays"),
    ]);
    permit.write(&mut request);
    assert_eq!(shown(&request), ["x-user: ann", "x-users: stays", "x_other: stays"]);
}

fn option(key: &str, value: &str, way: Way) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(messages::HeaderValue {
            key: key.to_owned(),
            value: value.as_bytes().to_vec(),
            raw_value: Vec::new(),
        }),
        append: (way == Way::Append).then_some(BoolValue { value: true }),
        append_action: match way {
            Way::Set | Way::Append => 0,
            Way::SetIfAbsent => 1,
            Way::SetIfPresent => 3,
        },
    }
}

#[test]
fn by_grpc_fields_are_set_added_kept_and_taken_away() {
    let ok = OkHttpResponse {
        headers: vec![
            option("x-set", "1", Way::Set),
            option("x-set", "2", Way::Set),
            option("x-more", "2", Way::Append),
            option("x-new", "2", Way::SetIfAbsent),
            option("x-there", "2", Way::SetIfAbsent),
            option("x-absent", "2", Way::SetIfPresent),
            option("x-present", "2", Way::SetIfPresent),
            option("host", "evil", Way::Set),
            option("content-length", "5", Way::Set),
            option("x-forwarded-for", "192.0.2.1", Way::Set),
            option("no name", "x", Way::Set),
            option("x-split", "a\r\nb: c", Way::Set),
        ],
        headers_to_remove: ["authorization", "host", ":path", "x_gone"].map(str::to_owned).to_vec(),
        response_headers_to_add: vec![
            option("set-cookie", "a=b", Way::Append),
            option("x-told", "1", Way::Set),
            option("connection", "close", Way::Set),
            option("transfer-encoding", "chunked", Way::Set),
        ],
    };
    let answer = CheckResponse { status: Some(Status { code: 0 }), denied: None, ok: Some(ok) };
    let Said::Yes(permit) = by_grpc::said(answer) else { panic!("it is a yes") };
    let mut request = headers(&[
        ("host", "a.test"),
        ("authorization", "secret"),
        ("x-gone", "1"),
        ("x-set", "0"),
        ("x_set", "0"),
        ("x-more", "1"),
        ("x-there", "1"),
        ("x-present", "1"),
    ]);
    permit.write(&mut request);
    assert_eq!(
        shown(&request),
        [
            "host: a.test",
            "x-more: 1",
            "x-more: 2",
            "x-new: 2",
            "x-present: 2",
            "x-set: 1",
            "x-set: 2",
            "x-there: 1"
        ]
    );
    let mut answer = headers(&[("set-cookie", "c=d"), ("x-told", "0")]);
    write(&permit.told, &mut answer);
    assert_eq!(shown(&answer), ["set-cookie: a=b", "set-cookie: c=d", "x-told: 1"]);
}

#[test]
fn by_grpc_all_but_an_explicit_yes_is_a_no() {
    let denied = |code| {
        let headers = vec![option("location", "/login", Way::Set), option("content-length", "9", Way::Set)];
        Some(DeniedHttpResponse { status: Some(HttpStatus { code }), headers, body: "no".into() })
    };
    for (status, denied, wanted) in [
        // Says nothing at all.
        (None, None, 403),
        (Some(7), None, 403),
        (Some(16), denied(401), 401),
        (Some(7), denied(302), 302),
        (None, denied(200), 200),
        (None, denied(204), 204),
        (Some(7), denied(101), 403),
        (Some(7), denied(-1), 403),
        (Some(7), denied(70_000), 403),
    ] {
        let has_page = denied.is_some();
        let answer = CheckResponse { status: status.map(|code| Status { code }), denied, ok: None };
        let Said::No(Answer::Page(status, headers, page)) = by_grpc::said(answer) else {
            panic!("it is a no")
        };
        assert_eq!(status.as_u16(), wanted);
        let page_of = if wanted == 204 { "" } else { "no" };
        let wanted = if has_page { (vec!["location: /login".to_owned()], page_of) } else { (Vec::new(), "") };
        assert_eq!((shown(&headers), std::str::from_utf8(&page).unwrap()), wanted);
    }
}

#[test]
fn by_grpc_an_absent_status_is_that_of_success() {
    let ok = || Some(OkHttpResponse::default());
    let denied = || Some(DeniedHttpResponse::default());
    for (status, ok, denied, is_yes) in [
        (Some(0), None, None, true),
        (None, ok(), None, true),
        (Some(0), ok(), None, true),
        (Some(7), ok(), None, false),
        (Some(0), None, denied(), false),
    ] {
        let answer = CheckResponse { status: status.map(|code| Status { code }), denied, ok };
        assert_eq!(matches!(by_grpc::said(answer), Said::Yes(_)), is_yes, "{status:?}");
    }
}

proptest::proptest! {
    #[test]
    fn by_grpc_whatever_comes_is_read_or_refused(bytes: Vec<u8>) {
        let mut framed = vec![0];
        framed.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
        framed.extend(&bytes);
        let read = by_grpc::message(framed.into());
        proptest::prop_assert_eq!(read.is_some(), CheckResponse::decode(&*bytes).is_ok());
        let _ = by_grpc::message(bytes.into()).map(by_grpc::said);
    }
}
