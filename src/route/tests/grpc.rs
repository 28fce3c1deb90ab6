//! The precedence of calls of gRPC, beside each other and beside HTTP.

use super::*;

fn call(path: PathMatch) -> HttpMatch {
    HttpMatch::grpc(path, Vec::new())
}

fn all() -> HttpMatch {
    call(PathMatch::Prefix("".into()))
}

fn service(name: &str) -> HttpMatch {
    call(PathMatch::Prefix(format!("/{name}").into()))
}

fn method(name: &str) -> HttpMatch {
    call(PathMatch::Method(name.into()))
}

const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc+proto")];

fn ask_grpc(routes: &[Route], path: &str) -> String {
    ask(routes, &Method::POST, &format!("a.test{path}"), GRPC)
}

#[test]
fn the_longest_service_then_the_longest_method_then_the_most_headers() {
    // Each but the last is hidden by those before it where they fit.
    let ladder = vec![
        all(),
        all().header("x", "y"),
        method("List"),
        service("shop.Books"),
        service("shop.Books").header("x", "y"),
        call(PathMatch::Exact("/shop.Books/List".into())),
    ];
    let routes = [route("g", &[], ladder)];
    let headers: &[(&str, &str)] = &[GRPC[0], ("x", "y")];
    let with_header = |path: &str| ask(&routes, &Method::POST, &format!("a.test{path}"), headers);
    assert_eq!(ask_grpc(&routes, "/shop.Books/List"), "g/5");
    assert_eq!(ask_grpc(&routes, "/shop.Books/Get"), "g/3");
    assert_eq!(with_header("/shop.Books/Get"), "g/4");
    assert_eq!(with_header("/shop.Pens/List"), "g/2");
    assert_eq!(with_header("/shop.Pens/Get"), "g/1");
    assert_eq!(ask_grpc(&routes, "/shop.Pens/Get"), "g/0");
}

#[test]
fn a_method_is_the_second_of_two_elements() {
    let routes = [route("g", &[], vec![method("List")])];
    assert_eq!(ask_grpc(&routes, "/any.Service/List"), "g/0");
    for path in ["/List", "/a/b/List", "/a/List/b", "/a/Lists"] {
        assert_eq!(ask_grpc(&routes, path), "-", "{path}");
    }
}

#[test]
fn a_service_is_a_whole_element() {
    let routes = [route("g", &[], vec![service("shop.Books")])];
    assert_eq!(ask_grpc(&routes, "/shop.Bookshelf/List"), "-");
}

#[test]
fn calls_and_other_requests_share_a_host() {
    let routes = [route("g", &[], vec![all()]), route("h", &[], vec![prefix("/")])];
    assert_eq!(ask_grpc(&routes, "/shop.Books/List"), "g/0");
    for content_type in ["application/grpc-web", "application/json", "text/plain; application/grpc"] {
        let headers: &[(&str, &str)] = &[("content-type", content_type)];
        assert_eq!(ask(&routes, &Method::POST, "a.test/shop.Books/List", headers), "h/0", "{content_type}");
    }
    assert_eq!(ask(&routes, &Method::GET, "a.test/", &[]), "h/0");
}
