//! The words for each mistake, and what is read where nothing is wrong.

use std::fs;

use super::*;
use crate::config::diagnostic::render_lines;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/invalid");

/// With `PORTOLAN_BLESS=1` in the environment of the build, what is found becomes what is expected.
const BLESS: bool = option_env!("PORTOLAN_BLESS").is_some();

#[test]
fn every_invalid_document_is_told_as_expected() {
    let mut names: Vec<PathBuf> =
        fs::read_dir(FIXTURES).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|end| end != "expected"));
    names.sort();
    assert!(names.len() > 10);
    let mut wrong = Vec::new();
    for path in names {
        let content = fs::read(&path).unwrap();
        let name = PathBuf::from(path.file_name().unwrap());
        let report = report(Scan { files: BTreeMap::from([(name, File::new(content))]), ..Scan::default() });
        let found = render_lines(&report.diagnostics);
        assert!(!report.is_valid(), "{path:?}");
        let expected_path = path.with_added_extension("expected");
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if BLESS {
            fs::write(&expected_path, found).unwrap();
        } else if found != expected {
            wrong.push(format!("{}\n--- expected\n{expected}--- found\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\nPORTOLAN_BLESS=1 accepts what is found", wrong.join("\n"));
}

#[test]
fn no_error_is_found_in_valid_documents() {
    let valid = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/valid");
    for entry in fs::read_dir(valid).unwrap() {
        let report = check_paths(&[entry.unwrap().path()]);
        assert!(report.is_valid(), "{}", render_lines(&report.diagnostics));
        assert!(!report.objects.is_empty());
    }
}

#[test]
fn a_field_without_a_value_is_a_warning() {
    let report = check_text("a.yaml", &ROUTE.replace(" [books.example.com]", ""));
    let warning = "a.yaml:10:3: warning: hostnames: has no value and counts as not set (path spec.hostnames); give it a value, or remove it\n";
    assert_eq!(render_lines(&report.diagnostics), warning);
    assert!(report.is_valid());
    assert_eq!(report.objects.len(), 1);
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let text = "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a}
spec:
  rules:
  - filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{name: Host, value: a.test}, {name: Content-Length, value: '1'}]
        add: [{name: HOST, value: a.test}]
    - type: ResponseHeaderModifier
      responseHeaderModifier: {remove: [te, Host]}
    backendRefs:
    - {name: a, port: 1, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [host]}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: a}
spec:
  gatewayClassName: a
  allowedListeners: {namespaces: {from: Selector}}
  listeners:
  - {name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector}}}
  - {name: b, port: 81, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {}}}}
";
    let report = check_text("a.yaml", text);
    assert!(report.is_valid());
    assert_eq!(report.objects.len(), 2);
    insta::assert_snapshot!(render_lines(&report.diagnostics), @r"
    a.yaml:9:51: warning: `Content-Length` tells how a message is sent, which the proxy decides: this has no effect (path spec.rules[0].filters[0].requestHeaderModifier.set[1].name)
    a.yaml:10:22: warning: a request has exactly one `Host`: to add or to remove it has no effect, `set` changes it (path spec.rules[0].filters[0].requestHeaderModifier.add[0].name)
    a.yaml:12:41: warning: `te` tells how a message is sent, which the proxy decides: this has no effect (path spec.rules[0].filters[1].responseHeaderModifier.remove[0])
    a.yaml:14:99: warning: a request has exactly one `Host`: to add or to remove it has no effect, `set` changes it (path spec.rules[0].backendRefs[0].filters[0].requestHeaderModifier.remove[0])
    a.yaml:21:34: warning: `from: Selector` without a `selector` selects no namespace (path spec.allowedListeners.namespaces)
    a.yaml:23:69: warning: `from: Selector` without a `selector` selects no namespace (path spec.listeners[0].allowedRoutes.namespaces)
    ");
}

const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1beta1
kind: HTTPRoute
metadata:
  name: books
  uid: 7c3f
  creationTimestamp: null
  managedFields: [{manager: kubectl}]
  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}'}
spec:
  hostnames: [books.example.com]
  rules:
  - backendRefs: [{name: books, port: 8080}]
status: {parents: []}
";

#[test]
fn a_manifest_is_what_was_written_without_what_a_server_adds() {
    let report = check_text("a.yaml", ROUTE);
    assert_eq!(render_lines(&report.diagnostics), "");
    let object = &report.objects[&ResourceId::new(Kind::HttpRoute, "default", "books")];
    let manifest: Value = serde_json::from_str(&object.manifest).unwrap();
    assert_eq!(
        manifest,
        serde_json::json!({
            "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "HTTPRoute",
            "metadata": {"name": "books", "namespace": "default"},
            "spec": {"hostnames": ["books.example.com"], "rules": [{"backendRefs": [{"name": "books", "port": 8080}]}]},
        })
    );
    assert_eq!(object.resource.meta().origin.to_string(), "a.yaml:1:1");
}

#[test]
fn the_texts_of_a_secret_are_in_no_manifest_and_no_message() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n";
    let report = check_text("a.yaml", text);
    let object = &report.objects[&ResourceId::new(Kind::Secret, "default", "s")];
    assert!(!object.manifest.contains("hunter2"), "{}", object.manifest);
    assert!(object.manifest.contains("password"));
    let wrong = check_text("a.yaml", &text.replace("hunter2", "[hunter2]"));
    assert!(!format!("{:?}", wrong.diagnostics).contains("hunter2"));
}

#[test]
fn a_list_holds_documents_with_places_of_their_own() {
    let indented = ROUTE.replace('\n', "\n  ");
    let text = format!("apiVersion: v1\nkind: List\nitems:\n- {}\n", indented.trim_end());
    for text in [text.clone(), text.replace("kind: List", "kind: HTTPRouteList")] {
        let report = check_text("a.yaml", &text);
        assert_eq!(render_lines(&report.diagnostics), "");
        let object = &report.objects[&ResourceId::new(Kind::HttpRoute, "default", "books")];
        assert_eq!(object.resource.meta().origin.to_string(), "a.yaml:4:3");
    }
}

#[test]
fn a_cluster_scoped_object_has_no_namespace() {
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: c, namespace: x}\nspec: {controllerName: portolan.dev/controller}\n";
    let report = check_text("a.yaml", text);
    let id = ResourceId::new(Kind::GatewayClass, "", "c");
    assert!(!report.objects[&id].manifest.contains("namespace"), "{:?}", report.objects);
}

#[test]
fn the_name_of_a_file_cannot_forge_a_line() {
    let report = check_text("a\n::error::b\u{1b}[31m.yaml", "kind: HTTPRoute\n");
    let lines = render_lines(&report.diagnostics);
    assert!(
        lines.starts_with("a\\n::error::b\\u{1b}[31m.yaml:1:1: error: missing field `apiVersion`"),
        "{lines}"
    );
}

#[test]
fn a_path_that_does_not_exist_is_told_and_makes_the_report_incomplete() {
    let report = check_paths(&[PathBuf::from("/nowhere/a.yaml")]);
    assert_eq!(
        render_lines(&report.diagnostics),
        "/nowhere/a.yaml: error: `/nowhere/a.yaml` does not exist\n"
    );
    assert!(report.is_incomplete && !report.is_valid());
}

#[test]
fn one_broken_document_costs_no_other() {
    let good = |number: u32| ROUTE.replace("name: books\n", &format!("name: books-{number}\n"));
    let text: String = (0..100)
        .map(|number| if number == 50 { "a: [\n---\n".to_owned() } else { format!("{}---\n", good(number)) })
        .collect();
    let report = check_text("a.yaml", &text);
    assert_eq!(report.objects.len(), 99);
    assert_eq!(report.diagnostics.len(), 1);
}

proptest::proptest! {
    #[test]
    fn any_mutation_of_a_route_is_valid_or_told(at in 0..ROUTE.len(), cut in 0..6_usize, put in "[-a:{}\\[\\],\"0. \n\u{e9}]{0,3}") {
        let head: String = ROUTE.chars().take(at).collect();
        let tail: String = ROUTE.chars().skip(at + cut).collect();
        let report = check_text("a.yaml", &format!("{head}{put}{tail}"));
        for diagnostic in &report.diagnostics {
            assert_eq!(diagnostic.to_string().lines().count(), 1);
        }
        assert!(report.objects.len() == 1 || !report.diagnostics.is_empty() || head.trim().is_empty());
    }
}

#[test]
fn a_compose_file_is_skipped_and_a_document_without_a_kind_is_not() {
    let compose = check_text("compose.yaml", "name: shop\nservices:\n  web: {image: nginx}\n");
    assert_eq!(compose.diagnostics[0].severity, Severity::Note);
    assert!(compose.is_valid());
    assert!(!check_text("a.yaml", "services: {web: {}}\nspec: {}\n").is_valid());
}
