//! One row per rule and limit: what is valid, what is not. A row goes through schema, types and rules, as a file does.

mod corpus;
mod gateway;
mod http_route;
mod portolan;
mod routes;

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::{Value, json};

use super::*;
use crate::api::{self, KINDS};

static VALIDATORS: LazyLock<BTreeMap<&'static str, jsonschema::Validator>> = LazyLock::new(|| {
    let validator = |kind| jsonschema::validator_for(&api::schema(kind).unwrap()).unwrap();
    KINDS.iter().map(|definition| (definition.kind, validator(definition.kind))).collect()
});

/// Pointer and message of everything that is wrong with a document.
pub(crate) fn faults(mut document: Value) -> Vec<(String, String)> {
    api::drop_nulls(&mut document);
    let kind = document["kind"].as_str().unwrap().to_owned();
    let errors: Vec<(String, String)> = VALIDATORS[&*kind]
        .iter_errors(&document)
        .map(|error| (error.instance_path().to_string(), error.to_string()))
        .collect();
    if !errors.is_empty() {
        return errors;
    }
    match Object::from_value(&kind, document) {
        Err(error) => vec![(error.pointer, error.message)],
        Ok(object) => check(&object).into_iter().map(|fault| (fault.pointer, fault.message)).collect(),
    }
}

/// A document of `kind` with these fields beside its metadata, in YAML.
fn document(kind: &str, fields: &str) -> Value {
    let definition = KINDS.iter().find(|definition| definition.kind == kind).unwrap();
    let mut document = json!({
        "apiVersion": definition.api_version(), "kind": kind, "metadata": {"name": "test"},
    });
    let fields: Value = serde_yaml::from_str(fields).unwrap_or_else(|error| panic!("{fields}: {error}"));
    document.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    document
}

/// Rows of a spec and the pointer (below `/spec`) of its one fault; `ok` where there is none.
fn assert_specs(kind: &str, frame: impl Fn(&str) -> String, rows: &[(&str, &str)]) {
    for (written, wanted) in rows {
        let spec = frame(written);
        let found = faults(document(kind, &format!("spec: {spec}")));
        let pointers: Vec<&str> =
            found.iter().map(|(pointer, _)| pointer.strip_prefix("/spec").unwrap_or(pointer)).collect();
        let wanted: &[&str] = if *wanted == "ok" { &[] } else { &[wanted] };
        assert_eq!(pointers, wanted, "{kind} {spec}: {found:#?}");
    }
}

#[test]
fn names_and_namespaces_are_dns_names() {
    let long = "a".repeat(253);
    for (metadata, is_valid) in [
        ("{name: a}", true),
        ("{name: a.b-c}", true),
        (&*format!("{{name: {long}}}"), true),
        (&*format!("{{name: {long}a}}"), false),
        ("{name: A}", false),
        ("{name: a_b}", false),
        ("{name: -a}", false),
        ("{name: ''}", false),
        ("{}", false),
        ("{name: a, namespace: shop_1}", true),
        ("{name: a, namespace: a.b}", false),
        ("{name: a, namespace: Shop}", false),
        ("{name: a, nmespace: shop}", false),
        ("{name: a, labels: {a: 1}}", false),
        ("{name: a, creationTimestamp: '2026-08-21T10:00:00Z'}", true),
        ("{name: a, creationTimestamp: yesterday}", false),
        ("{name: a, creationTimestamp: null, uid: x, managedFields: [1]}", true),
    ] {
        let found = faults(document("HTTPRoute", &format!("{{metadata: {metadata}, spec: {{}}}}")));
        assert_eq!(found.is_empty(), is_valid, "{metadata}: {found:?}");
    }
}

#[test]
fn api_version_and_kind_have_to_fit() {
    let mut route = document("HTTPRoute", "spec: {}");
    route["apiVersion"] = "gateway.networking.k8s.io/v2".into();
    assert_eq!(faults(route.clone())[0].0, "/apiVersion");
    route["apiVersion"] = "gateway.networking.k8s.io/v1beta1".into();
    assert_eq!(faults(route), []);
}

#[test]
fn durations_are_those_of_the_gateway_api() {
    for (text, millis) in [
        ("0s", 0),
        ("10s", 10_000),
        ("1h30m", 5_400_000),
        ("1h2m3s4ms", 3_723_004),
        ("99999h", 359_996_400_000),
        ("500ms", 500),
        ("1s1s", 2000),
    ] {
        assert_eq!(duration(text), Ok(std::time::Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "1", "s", "1.5s", "-1s", "+1s", "1d", "1us", "100000s", "1h1h1h1h1h", "1 s", "1S", "１s"]
    {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn texts_parse() {
    assert_eq!(timestamp("1970-01-01T00:01:00Z"), Ok(60));
    assert_eq!(timestamp("2026-08-21T12:00:00+02:00"), timestamp("2026-08-21T10:00:00Z"));
    assert!(timestamp("2026-08-21").is_err());
    for (text, is_valid) in [
        ("", true),
        ("QQ==", true),
        ("QUI=\n", true),
        ("QUJD", true),
        ("QQ", false),
        ("Q===", false),
        ("QQ=A", false),
        ("Q Q=", false),
    ] {
        assert_eq!(text::is_base64(text), is_valid, "{text:?}");
    }
    for (text, is_valid) in [
        ("10.0.0.0/8", true),
        ("::1", true),
        ("2001:db8::/128", true),
        ("10.0.0.0/33", false),
        ("10.0.0.0/", false),
        ("10.0.0.0/+8", false),
        ("lan", false),
    ] {
        assert_eq!(text::network(text).is_ok(), is_valid, "{text}");
    }
}

#[test]
fn a_violation_points_and_speaks() {
    let spec = "{rules: [{matches: [{path: {type: RegularExpression, value: '/a['}}]}]}";
    let Ok(object) = Object::from_value("HTTPRoute", document("HTTPRoute", &format!("spec: {spec}"))) else {
        panic!("the types take it")
    };
    let found = check(&object);
    assert_eq!(found[0].pointer, "/spec/rules/0/matches/0/path/value");
    assert_eq!(found[0].message, "`/a[` is not a regular expression: unclosed character class");
    let gateway = "{gatewayClassName: a, listeners: [{name: a, port: 1, protocol: TLS}]}";
    let object = Object::from_value("Gateway", document("Gateway", &format!("spec: {gateway}"))).unwrap();
    assert_eq!(check(&object)[0].expected.as_deref(), Some("`tls.mode` of `Terminate` or `Passthrough`"));
}

#[test]
fn what_is_wrong_with_a_secret_does_not_tell_it() {
    let secret = document("Secret", "{type: kubernetes.io/tls, data: {tls.crt: 'not base64 at all'}}");
    let found = faults(secret);
    let pointers: Vec<&str> = found.iter().map(|(pointer, _)| &**pointer).collect();
    assert_eq!(pointers, ["/data/tls.crt", ""]);
    assert!(found.iter().all(|(_, message)| !message.contains("not base64 at all")), "{found:?}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in "[0-9hms.:/%a*\\PC]{0,40}") {
        let _ = (duration(&text), timestamp(&text), text::network(&text), text::listen_address(&text));
        let _ = (text::is_base64(&text), text::path_fault(&text), host_pattern(&text));
        let _ = (pattern(&text), header_name(&text), header_value(&text));
    }

    #[test]
    fn a_duration_is_the_sum_of_its_parts(hours in 0_u64..100_000, minutes in 0_u64..100_000, millis in 0_u64..100_000) {
        let sum = std::time::Duration::from_millis((hours * 60 + minutes) * 60_000 + millis);
        proptest::prop_assert_eq!(duration(&format!("{hours}h{minutes}m{millis}ms")), Ok(sum));
    }
}
