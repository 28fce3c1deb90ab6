//! What a reviewer is told.

use super::*;
use crate::model::{EndpointState, Kind, Meta, Origin, ResourceId};

fn route(manifest: &str, conditions: Vec<Condition>) -> (ResourceId, Arc<ObjectReport>) {
    let id = ResourceId::new(Kind::HttpRoute, "shop", "books");
    let meta = Meta { id: id.clone(), origin: Origin::BuiltIn("a test"), created: None, generation: 1 };
    let status = Status { conditions, ..Status::default() };
    let object = ObjectReport {
        meta,
        manifest: manifest.into(),
        status: status.into(),
        since: BTreeMap::new(),
        stale: false,
    };
    (id, Arc::new(object))
}

fn report(objects: Vec<(ResourceId, Arc<ObjectReport>)>) -> Report {
    Report { objects: objects.into_iter().collect(), ..Report::default() }
}

fn told(before: &Report, after: &Report) -> Vec<String> {
    let line =
        |one: Difference| format!("{} {}: {}", one.kind.as_str(), one.subject, one.details.join(" | "));
    differences(before, after).into_iter().map(line).collect()
}

#[test]
fn equal_reports_do_not_differ() {
    let one = report(vec![route(r#"{"spec": {"a": 1}}"#, Vec::new())]);
    assert!(differences(&one, &one).is_empty());
}

#[test]
fn a_changed_field_is_told_with_both_values_and_its_path() {
    let before = r#"{"spec": {"rules": [{"weight": 9, "old": true}], "same": 1}}"#;
    let after = r#"{"spec": {"rules": [{"weight": 5}, {"name": "x"}], "same": 1}}"#;
    let (before, after) = (report(vec![route(before, Vec::new())]), report(vec![route(after, Vec::new())]));
    assert_eq!(
        told(&before, &after),
        [
            r#"changed HTTPRoute shop/books: - spec.rules[0].old: true | ~ spec.rules[0].weight: 9 → 5 | + spec.rules[1]: {"name":"x"}"#
        ]
    );
}

#[test]
fn what_comes_goes_and_turns_bad_is_told() {
    let bad = || vec![Condition::no("ResolvedRefs", "BackendNotFound", "`x` is nowhere")];
    let (none, good, broken) =
        (report(Vec::new()), report(vec![route("{}", Vec::new())]), report(vec![route("{}", bad())]));
    assert_eq!(told(&none, &broken), ["added HTTPRoute shop/books: ! ResolvedRefs is False: `x` is nowhere"]);
    assert_eq!(
        told(&good, &broken),
        ["changed HTTPRoute shop/books: ! ResolvedRefs is False: `x` is nowhere"]
    );
    assert_eq!(told(&good, &none), ["removed HTTPRoute shop/books: "]);
}

#[test]
fn endpoints_are_told_one_by_one() {
    let backend = |names: &[&str]| {
        let endpoint = |name: &&str| EndpointReport {
            name: (*name).into(),
            address: Some("10.0.0.1:80".into()),
            state: EndpointState::Ready,
            message: String::new(),
            weight: 1,
            checks: None,
            last_failure: None,
        };
        let endpoints = names.iter().map(endpoint).collect();
        let report = BackendReport { name: "shop/web".into(), resolved: String::new(), endpoints };
        Report { backends: BTreeMap::from([(report.name.clone(), report.into())]), ..Report::default() }
    };
    assert_eq!(
        told(&backend(&["a", "b"]), &backend(&["b", "c"])),
        ["changed endpoints of shop/web: - a 10.0.0.1:80 ready | + c 10.0.0.1:80 ready"]
    );
}
