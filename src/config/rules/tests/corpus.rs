//! The manifests under `tests/fixtures`: all that is valid is taken, all that is invalid is refused where it says so.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde::Deserialize as _;

use super::*;

fn files(directory: &str) -> Vec<(PathBuf, String)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(directory);
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    // Some of the invalid ones are no text at all.
    files.into_iter().filter_map(|path| fs::read_to_string(&path).ok().map(|text| (path, text))).collect()
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

#[test]
fn every_valid_manifest_is_taken() {
    let mut count = 0;
    for (path, text) in files("valid") {
        for document in documents(&text) {
            assert_eq!(faults(document.clone()), [], "{}: {document:#}", path.display());
            count += 1;
        }
    }
    assert!(count > 40, "{count}");
}

#[test]
fn the_schema_of_everything_takes_what_the_schema_of_a_kind_takes() {
    let all = jsonschema::validator_for(&api::schema_all()).unwrap();
    for (path, text) in files("valid") {
        for mut document in documents(&text) {
            api::drop_nulls(&mut document);
            let errors: Vec<String> = all.iter_errors(&document).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        }
    }
    for wrong in [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "spec": {}}),
        json!({"apiVersion": "v1", "kind": "HTTPRoute", "metadata": {"name": "a"}, "spec": {}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}),
        json!({"kind": "Secret", "metadata": {"name": "a"}}),
        json!({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod"}]}),
    ] {
        assert!(!all.is_valid(&wrong), "{wrong}");
    }
}

#[test]
fn every_valid_manifest_survives_being_printed_and_read() {
    for (path, text) in files("valid") {
        for document in documents(&text) {
            let kind = document["kind"].as_str().unwrap().to_owned();
            if kind == "Secret" {
                continue;
            }
            let object = Object::from_value(&kind, document).unwrap();
            let printed = object.to_value();
            assert_eq!(faults(printed.clone()), [], "{}: {printed:#}", path.display());
            assert_eq!(Object::from_value(&kind, printed).unwrap(), object, "{}", path.display());
        }
    }
}

/// The first line of an invalid file names the pointer of its first fault.
#[test]
fn every_invalid_manifest_is_refused_where_it_says() {
    for (path, text) in files("invalid") {
        let Some(wanted) = text.lines().next().and_then(|line| line.strip_prefix("# at")).map(str::trim)
        else {
            continue;
        };
        let found: Vec<(String, String)> = documents(&text).into_iter().flat_map(faults).collect();
        let pointers: Vec<&str> = found.iter().map(|(pointer, _)| &**pointer).collect();
        assert_eq!(pointers, [wanted], "{}: {found:?}", path.display());
    }
}

#[test]
fn the_valid_manifests_use_every_field() {
    let mut used = BTreeSet::new();
    for (_, text) in files("valid") {
        for document in documents(&text) {
            let schema = api::schema(document["kind"].as_str().unwrap()).unwrap();
            visit(&schema, &schema, &document, document["kind"].as_str().unwrap(), &mut used);
        }
    }
    let mut unused = BTreeSet::new();
    for definition in KINDS {
        let schema = api::schema(definition.kind).unwrap();
        let own = [(definition.kind, &schema)];
        let parts = schema["$defs"].as_object().unwrap();
        for (name, part) in parts.iter().map(|(name, part)| (&**name, part)).chain(own) {
            for property in
                part["properties"].as_object().into_iter().flat_map(|properties| properties.keys())
            {
                let field = format!("{name}.{property}");
                if !used.contains(&field) {
                    unused.insert(field);
                }
            }
        }
    }
    unused.retain(|field| !field.ends_with(".status"));
    assert!(unused.is_empty(), "no valid manifest has {unused:?}");
}

/// Notes every field of `value`, with the name of the schema that describes it.
fn visit(root: &Value, schema: &Value, value: &Value, name: &str, used: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.trim_start_matches("#/$defs/");
        visit(root, &root["$defs"][name], value, name, used);
        return;
    }
    match value {
        Value::Object(entries) => {
            for (key, entry) in entries {
                if let Some(part) = schema["properties"].get(key) {
                    used.insert(format!("{name}.{key}"));
                    visit(root, part, entry, name, used);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                visit(root, &schema["items"], item, name, used);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
