//! Table tests of the CORS filter: each row a filter, a request and what is told.

use http::Request;

use super::*;
use crate::model::OriginPattern;

fn cors(origins: &[&str], methods: &[&str], headers: &[&str], expose: &[&str]) -> Cors {
    let list = |names: &[&str]| CorsList::of(names.iter().copied()).unwrap();
    Cors {
        origins: origins.iter().map(|origin| OriginPattern::parse(origin).unwrap()).collect(),
        methods: list(methods),
        headers: list(headers),
        expose: list(expose),
        max_age: 5,
        credentials: false,
    }
}

fn credentials(cors: Cors) -> Cors {
    Cors { credentials: true, ..cors }
}

fn asked(method: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri("/");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// The fields in order of their names, without `access-control-`.
fn text(headers: &HeaderMap) -> String {
    let mut lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| {
            let name = name.as_str().trim_start_matches("access-control-");
            format!("{name}: {}", value.to_str().unwrap())
        })
        .collect();
    lines.sort();
    lines.join(" | ")
}

fn preflight(cors: Cors, fields: &[(&str, &str)]) -> String {
    match judge(&[HttpFilter::Cors(cors)], &asked("OPTIONS", fields)) {
        Some(Verdict::Preflight(headers)) => text(&headers),
        other => panic!("not a preflight: {other:?}"),
    }
}

fn answer(cors: Cors, fields: &[(&str, &str)], backend: &[(&'static str, &'static str)]) -> String {
    let Some(Verdict::Actual(told)) = judge(&[HttpFilter::Cors(cors)], &asked("GET", fields)) else {
        panic!("not an actual request")
    };
    let mut headers = HeaderMap::new();
    for (name, value) in backend {
        headers.append(*name, HeaderValue::from_static(value));
    }
    told.write(&mut headers);
    text(&headers)
}

const ORIGIN: (&str, &str) = ("origin", "https://a.test");
const ASKS: [(&str, &str); 3] =
    [ORIGIN, ("access-control-request-method", "PUT"), ("access-control-request-headers", "x-a, x-b")];

#[test]
fn a_preflight_is_told_what_the_filter_allows() {
    let listed = || cors(&["https://a.test"], &["GET", "PUT"], &["x-a"], &["x-e", "x-f"]);
    let any = || cors(&["*"], &["*"], &["*"], &["*"]);
    for (filter, expected) in [
        (
            listed(),
            "allow-headers: x-a | allow-methods: GET, PUT | allow-origin: https://a.test | expose-headers: x-e, x-f | max-age: 5 | vary: Origin",
        ),
        (any(), "allow-headers: * | allow-methods: * | allow-origin: * | expose-headers: * | max-age: 5"),
        (
            credentials(any()),
            "allow-credentials: true | allow-headers: x-a, x-b | allow-methods: PUT | allow-origin: https://a.test | max-age: 5 | vary: Origin",
        ),
        (
            Cors { max_age: 600, ..cors(&["https://*.test"], &[], &[], &[]) },
            "allow-origin: https://a.test | max-age: 600 | vary: Origin",
        ),
        (cors(&["https://b.test"], &["*"], &["*"], &["*"]), "vary: Origin"),
        (cors(&[], &["*"], &["*"], &["*"]), "vary: Origin"),
    ] {
        assert_eq!(preflight(filter, &ASKS), expected);
    }
}

#[test]
fn with_credentials_what_is_not_asked_for_is_not_answered() {
    let filter = credentials(cors(&["*"], &["*"], &["*"], &[]));
    assert_eq!(
        preflight(filter, &ASKS[..2]),
        "allow-credentials: true | allow-methods: PUT | allow-origin: https://a.test | max-age: 5 | vary: Origin"
    );
}

#[test]
fn an_answer_says_what_its_origin_may_read_and_nothing_to_others() {
    let backend = [
        ("access-control-allow-origin", "https://evil.test"),
        ("access-control-allow-credentials", "true"),
        ("x-e", "1"),
        ("vary", "Accept"),
    ];
    let listed = || cors(&["https://a.test"], &["PUT"], &["x-a"], &["x-e"]);
    let foreign = [("origin", "https://b.test")];
    for (filter, fields, expected) in [
        (
            listed(),
            &[ORIGIN][..],
            "allow-origin: https://a.test | expose-headers: x-e | vary: Accept | vary: Origin | x-e: 1",
        ),
        (listed(), &foreign, "vary: Accept | vary: Origin | x-e: 1"),
        (listed(), &[], "vary: Accept | vary: Origin | x-e: 1"),
        (
            cors(&["*"], &[], &[], &["*"]),
            &[ORIGIN],
            "allow-origin: * | expose-headers: * | vary: Accept | x-e: 1",
        ),
        (
            credentials(cors(&["*"], &[], &[], &["*"])),
            &[ORIGIN],
            "allow-credentials: true | allow-origin: https://a.test | expose-headers: vary, x-e | vary: Accept | vary: Origin | x-e: 1",
        ),
    ] {
        assert_eq!(answer(filter, fields, &backend), expected);
    }
}

#[test]
fn only_a_question_by_a_browser_is_a_preflight() {
    let filter = [HttpFilter::Cors(cors(&["*"], &["*"], &[], &[]))];
    let is_preflight = |method: &str, fields: &[(&str, &str)]| {
        matches!(judge(&filter, &asked(method, fields)), Some(Verdict::Preflight(_)))
    };
    assert!(is_preflight("OPTIONS", &ASKS));
    assert!(!is_preflight("OPTIONS", &ASKS[..1]));
    assert!(!is_preflight("OPTIONS", &ASKS[1..]));
    assert!(!is_preflight("PUT", &ASKS));
    assert_eq!(judge(&[], &asked("OPTIONS", &ASKS)), None);
}
