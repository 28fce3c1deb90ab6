//! JSON Schemas (draft 2020-12) of all kinds, for validation and for editors.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::registry::{Definition, KINDS, SERVER_SET, fields_schema};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of one kind, self-contained.
pub fn schema(kind: &str) -> Option<Value> {
    let definition = KINDS.iter().find(|definition| definition.kind == kind)?;
    let mut generator = generator();
    let Value::Object(document) = document_schema(definition, &mut generator)? else { return None };
    let mut root = head(&definition.kind.to_ascii_lowercase(), definition.kind);
    root.extend(document);
    root.insert("$defs".to_owned(), definitions(&mut generator));
    Some(Value::Object(root))
}

/// One schema for any document: `apiVersion` and `kind` choose which.
pub fn schema_all() -> Value {
    let mut generator = generator();
    let mut documents = Map::new();
    let mut choices = vec![json!({
        "if": { "properties": { "kind": { "const": "List" } }, "required": ["kind"] },
        "then": { "properties": { "items": { "type": "array", "items": { "$ref": "#" } } } },
    })];
    for definition in KINDS {
        let Some(document) = document_schema(definition, &mut generator) else { continue };
        documents.insert(format!("Document.{}", definition.kind), document);
        choices.push(json!({
            "if": { "properties": { "kind": { "const": definition.kind } }, "required": ["kind"] },
            "then": { "$ref": format!("#/$defs/Document.{}", definition.kind) },
        }));
    }
    let mut defs = definitions(&mut generator);
    if let Value::Object(defs) = &mut defs {
        defs.append(&mut documents);
    }
    let mut versions: Vec<String> = KINDS.iter().flat_map(Definition::api_versions).collect();
    versions.sort();
    versions.dedup();
    let mut root = head("portolan", "A document of Portolan");
    root.insert("type".to_owned(), "object".into());
    root.insert("required".to_owned(), json!(["apiVersion", "kind"]));
    let kinds: Vec<&str> = KINDS.iter().map(|definition| definition.kind).chain(["List"]).collect();
    root.insert(
        "properties".to_owned(),
        json!({
            "apiVersion": { "enum": versions },
            "kind": { "enum": kinds },
        }),
    );
    root.insert("allOf".to_owned(), choices.into());
    root.insert("$defs".to_owned(), defs);
    Value::Object(root)
}

/// Names and contents of the files in `schema/`.
pub fn schema_files() -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = KINDS
        .iter()
        .filter_map(|definition| {
            let schema = schema(definition.kind)?;
            Some((format!("{}.json", definition.kind.to_ascii_lowercase()), format!("{schema:#}\n")))
        })
        .collect();
    files.push(("portolan.json".to_owned(), format!("{:#}\n", schema_all())));
    files.sort();
    files
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

fn head(file: &str, title: &str) -> Map<String, Value> {
    let mut head = Map::new();
    head.insert("$schema".to_owned(), DRAFT.into());
    head.insert("$id".to_owned(), format!("https://portolan.dev/schema/{file}.json").into());
    head.insert("title".to_owned(), title.into());
    head
}

/// The schema of a whole document: the fields of its type, `apiVersion`, `kind` and `status`.
fn document_schema(definition: &Definition, generator: &mut SchemaGenerator) -> Option<Value> {
    let mut schema = fields_schema(definition.kind, generator)?.to_value();
    tidy(&mut schema);
    let document = schema.as_object_mut()?;
    document.insert("description".to_owned(), definition.about.into());
    document.remove("title");
    let properties = document.get_mut("properties")?.as_object_mut()?;
    let versions: Vec<String> = definition.api_versions().collect();
    properties.insert("apiVersion".to_owned(), json!({ "enum": versions }));
    properties.insert("kind".to_owned(), json!({ "const": definition.kind }));
    properties.insert("status".to_owned(), json!({ "description": "Written by controllers; not read." }));
    let required = document.get_mut("required")?.as_array_mut()?;
    required.splice(0..0, ["apiVersion".into(), "kind".into()]);
    Some(schema)
}

fn definitions(generator: &mut SchemaGenerator) -> Value {
    let mut definitions = Value::Object(generator.take_definitions(true));
    tidy(&mut definitions);
    if let Some(Value::Object(properties)) = definitions.pointer_mut("/ObjectMeta/properties") {
        for name in SERVER_SET {
            properties.insert(name.to_owned(), json!({ "description": "Set by an API server; not read." }));
        }
    }
    definitions
}

/// Says things in the simplest way, which gives the best messages: a field that may be absent has the schema of its
/// value (nulls are dropped before), without formats of Rust's own and defaults that are only empty.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(schema) => {
            unwrap_option(schema);
            if schema.get("format").is_some_and(Value::is_string) {
                schema.remove("format");
            }
            if schema.get("enum").is_some_and(Value::is_array) {
                // The list says it all; a wrong value should be one error, not two.
                for key in ["type", "minimum", "maximum"] {
                    schema.remove(key);
                }
            }
            let is_empty = |default: &Value| match default {
                Value::Null => true,
                Value::Array(items) => items.is_empty(),
                Value::Object(entries) => entries.is_empty(),
                Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
            };
            if schema.get("default").is_some_and(is_empty) {
                schema.remove("default");
            }
            for (key, part) in schema.iter_mut() {
                if !matches!(key.as_str(), "default" | "enum" | "const") || part.is_object() {
                    tidy(part);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `type: [string, null]` becomes `type: string`; `anyOf: [X, null]` becomes X.
fn unwrap_option(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
        if choices.len() == 1
            && let Some(Value::Object(only)) = choices.pop()
        {
            schema.remove("anyOf");
            for (key, value) in only {
                schema.entry(key).or_insert(value);
            }
        }
    }
}
