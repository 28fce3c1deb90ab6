//! Tests of the documents and their schemas.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

use super::*;

fn read(kind: &str, value: Value) -> Object {
    Object::from_value(kind, value).unwrap()
}

#[test]
fn the_committed_schemas_are_fresh() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    let wanted: BTreeMap<String, String> = schema_files().into_iter().collect();
    #[expect(clippy::disallowed_methods, reason = "a test may be told to write")]
    if std::env::var("BLESS").is_ok() {
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in &wanted {
            fs::write(directory.join(name), text).unwrap();
        }
    }
    let found: BTreeMap<String, String> = fs::read_dir(&directory)
        .map(|entries| {
            entries
                .map(|entry| entry.unwrap().path())
                .map(|path| {
                    let name = path.file_name().unwrap().to_string_lossy().into_owned();
                    (name, fs::read_to_string(path).unwrap())
                })
                .collect()
        })
        .unwrap_or_default();
    let stale: Vec<&String> =
        wanted.keys().chain(found.keys()).filter(|name| wanted.get(*name) != found.get(*name)).collect();
    assert!(
        stale.is_empty(),
        "schema/ is stale ({stale:?}): run `cargo run -- schema --out schema` (or `BLESS=1 cargo test --lib \
         the_committed_schemas_are_fresh`) and commit it"
    );
}

#[test]
fn every_schema_is_a_valid_schema_without_loose_ends() {
    for definition in KINDS {
        let schema = schema(definition.kind).unwrap();
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        assert_closed(&schema, definition.kind);
        assert_eq!(schema["title"], definition.kind);
        jsonschema::validator_for(&schema).unwrap();
    }
    jsonschema::draft202012::meta::validate(&schema_all()).unwrap();
    assert_eq!(schema("Gatewey"), None);
}

/// Every object with properties refuses others; nothing allows null.
fn assert_closed(schema: &Value, at: &str) {
    if let Value::Object(entries) = schema {
        if entries.get("properties").is_some_and(Value::is_object) && entries.contains_key("type") {
            assert_eq!(entries.get("additionalProperties"), Some(&json!(false)), "{at}");
        }
        assert_ne!(entries.get("type"), Some(&json!("null")), "{at}");
        for (key, part) in entries {
            assert_closed(part, &format!("{at}/{key}"));
        }
    }
}

#[test]
fn versions_of_the_standard_are_recognized() {
    for (version, kind) in [
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("gateway.networking.k8s.io/v1beta1", "Gateway"),
        ("gateway.networking.k8s.io/v1alpha2", "TCPRoute"),
        ("gateway.networking.k8s.io/v1alpha3", "TLSRoute"),
        ("v1", "Service"),
        ("portolan.dev/v1alpha1", "Backend"),
    ] {
        assert!(
            matches!(recognize(version, kind), Recognized::Known(found) if found.kind == kind),
            "{version} {kind}"
        );
    }
    assert!(matches!(recognize("gateway.networking.k8s.io/v2", "Gateway"), Recognized::OtherVersion(_)));
    assert!(matches!(recognize("v2", "Secret"), Recognized::OtherVersion(_)));
    assert_eq!(recognize("gateway.networking.k8s.io/v1", "HTTPRoot"), Recognized::UnknownKind);
    assert_eq!(recognize("apps/v1", "Deployment"), Recognized::Foreign(None));
    assert!(matches!(
        recognize("gateway.networking.x-k8s.io/v1alpha1", "XListenerSet"),
        Recognized::Foreign(Some(_))
    ));
}

#[test]
fn what_a_cluster_adds_is_left_aside() {
    let object = read(
        "HTTPRoute",
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1beta1",
            "kind": "HTTPRoute",
            "metadata": {
                "name": "web", "uid": "1", "resourceVersion": "7", "generation": 3, "managedFields": [{"x": 1}],
                "creationTimestamp": null,
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"},
            },
            "spec": {"rules": null},
            "status": {"parents": []},
        }),
    );
    assert_eq!(
        object.to_value(),
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "web", "annotations": {"a": "b"}},
            "spec": {},
        })
    );
}

#[test]
fn a_wrong_value_is_named_by_its_pointer() {
    for (value, pointer, message) in [
        (
            json!({"metadata": {"name": "web"}, "spec": {"rules": [{"timeouts": {"request": 7}}]}}),
            "/spec/rules/0/timeouts/request",
            "invalid type: integer `7`, expected a string",
        ),
        (
            json!({"metadata": {"name": "web"}, "spec": {"hostname": "a.test"}}),
            "/spec/hostname",
            "unknown field `hostname`",
        ),
        (
            json!({"metadata": {"name": "web"}, "spec": {"rules": [{"backendRefs": [{"name": "a", "port": 0}]}]}}),
            "/spec/rules/0/backendRefs/0/port",
            "expected a nonzero u16",
        ),
        (json!([]), "", "a document is an object"),
        (json!({"metadata": {"name": "web"}}), "", "missing field `spec`"),
    ] {
        let error = Object::from_value("HTTPRoute", value).unwrap_err();
        assert_eq!(error.pointer, pointer, "{error}");
        assert!(error.message.contains(message), "{error}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let secret = read(
        "Secret",
        json!({"metadata": {"name": "s"}, "data": {"a": "c2VjcmV0"}, "stringData": {"b": "secret"}}),
    );
    let shown = format!("{secret:?} {}", secret.to_value());
    assert!(!shown.contains("c2VjcmV0") && !shown.contains("\"secret\""), "{shown}");
    assert!(shown.contains("(hidden)"), "{shown}");
}
