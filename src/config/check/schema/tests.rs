//! Checks that are code say what the schemas say, of whatever a document may hold.

use std::{fs, path::PathBuf};

use proptest::prelude::*;
use serde::Deserialize as _;
use serde_json::json;

use super::*;

/// Every document of the fixtures that is an object of a kind, with its kind.
fn documents() -> Vec<(&'static str, Value)> {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let files = ["valid", "invalid"].map(|directory| fs::read_dir(fixtures.join(directory)).unwrap());
    let texts = files.into_iter().flatten().filter_map(|file| fs::read_to_string(file.unwrap().path()).ok());
    let mut documents = Vec::new();
    for text in texts {
        for document in
            serde_yaml::Deserializer::from_str(&text).map_while(|one| Value::deserialize(one).ok())
        {
            let kind = document["kind"].as_str().unwrap_or_default();
            documents.extend(definition(kind).map(|kind| (kind, document.clone())));
        }
    }
    documents
}

fn definition(kind: &str) -> Option<&'static str> {
    api::KINDS.iter().map(|definition| definition.kind).find(|known| *known == kind)
}

/// What code and schema say must be the same.
fn is_valid(kind: &str, document: &Value) -> bool {
    let compiled = COMPILED[kind].get_or_init(|| compile(kind)).as_ref().unwrap();
    let told = compiled.validator.is_valid(document);
    assert_eq!(compiled::is_valid(kind, document), Some(told), "{kind}: {document:#}");
    told
}

/// The pointers to all values of a document.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                pointers(value, &format!("{at}/{}", escape_pointer(name)), all);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{index}"), all);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn wrong_values() -> Vec<Value> {
    let long = "a".repeat(300);
    let texts = ["", "x", "/", "a.b", "*.a", "A_b", "1s", "80", "GET", "ü", "a b", &long];
    let others =
        [json!(null), json!(true), json!(0), json!(-1), json!(1.5), json!(70_000), json!([]), json!({})];
    texts.into_iter().map(Value::from).chain(others).chain([json!([1, 1]), json!({"x": {"y": 1}})]).collect()
}

#[test]
fn every_kind_has_a_check_and_an_explanation() {
    for definition in api::KINDS {
        assert!(!is_valid(definition.kind, &json!({})), "{}", definition.kind);
    }
    assert_eq!(compiled::is_valid("Pod", &json!({})), None);
}

/// What a field is for is not what a text in it must be.
#[test]
fn every_pattern_that_is_of_one_field_alone_has_words() {
    for definition in api::KINDS {
        let schema = api::schema(definition.kind).unwrap();
        let mut all = Vec::new();
        pointers(&schema, "", &mut all);
        for pointer in all.iter().filter_map(|pointer| pointer.strip_suffix("/pattern")) {
            let of_type = pointer.strip_prefix("/$defs/").is_some_and(|name| !name.contains('/'));
            let Some(pattern) = schema.pointer(&format!("{pointer}/pattern")).and_then(Value::as_str) else {
                continue;
            };
            assert!(of_type || in_words(pattern).is_some(), "{}{pointer}: {pattern}", definition.kind);
        }
    }
}

#[test]
fn the_checks_that_are_code_say_what_the_schemas_say() {
    let documents = &*DOCUMENTS;
    let (mut valid, mut invalid) = (0, 0);
    let mut count =
        |kind, document: &Value| *if is_valid(kind, document) { &mut valid } else { &mut invalid } += 1;
    for (kind, document) in documents {
        count(kind, document);
        let mut all = Vec::new();
        pointers(document, "", &mut all);
        for pointer in all {
            for wrong in wrong_values() {
                let mut changed = document.clone();
                *changed.pointer_mut(&pointer).unwrap() = wrong;
                count(kind, &changed);
            }
            let mut changed = document.clone();
            if let Some(Value::Object(fields)) = changed.pointer_mut(&pointer) {
                fields.insert("unknown".to_owned(), json!(1));
                count(kind, &changed);
                let Some(Value::Object(fields)) = changed.pointer_mut(&pointer) else { continue };
                let names: Vec<String> = fields.keys().cloned().collect();
                for name in names {
                    let mut without = document.clone();
                    if let Some(Value::Object(fields)) = without.pointer_mut(&pointer) {
                        fields.remove(&name);
                    }
                    count(kind, &without);
                }
            }
        }
    }
    assert!(
        documents.len() > 100 && valid > 1_000 && invalid > 10_000,
        "{} {valid} {invalid}",
        documents.len()
    );
}

static DOCUMENTS: LazyLock<Vec<(&str, Value)>> = LazyLock::new(documents);

proptest! {
    /// Whatever a text or a number is, wherever one may stand.
    #[test]
    fn they_say_the_same_of_any_value(
        value in prop_oneof!["\\PC{0,70}".prop_map(Value::from), any::<i64>().prop_map(Value::from)],
        document in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
    ) {
        let (kind, document) = document.get(&DOCUMENTS);
        let mut all = Vec::new();
        pointers(document, "", &mut all);
        let mut changed = document.clone();
        let place: &String = place.get(&all);
        *changed.pointer_mut(place).unwrap() = value;
        is_valid(kind, &changed);
    }
}
