//! A directory of documents as it is edited, broken and repaired while the program runs.

mod edits;
mod gateways;
mod many;
mod mistakes;

use serde_json::Value;

use crate::support::{
    backend::Backend,
    manifest,
    portolan::{Documents, Portolan},
    wait,
};

/// One Portolan that reads a folder with a backend `a`.
struct World {
    portolan: Portolan,
    documents: Documents,
    a: Backend,
}

// === impl World ===

impl World {
    #[track_caller]
    fn new() -> Self {
        let (a, documents) = (Backend::start("a"), Documents::new());
        documents.write("backends.yaml", &manifest::backend("a", a.address));
        let portolan = Portolan::builder().config(documents.path()).start();
        Self { portolan, documents, a }
    }

    /// One object as `portolan get KIND NAME -o json` has it.
    #[track_caller]
    fn object(&self, kind: &str, name: &str) -> Value {
        let text = self.portolan.client(&["get", kind, name, "-o", "json"]).expect("the object");
        let object: Value = serde_json::from_str(&text).expect("JSON");
        if object["items"].is_array() { object["items"][0].clone() } else { object }
    }

    /// Waits until a condition of an object, of its first parent, or of one of its listeners says so; its message.
    #[track_caller]
    fn condition(&self, (kind, name): (&str, &str), wanted: (&str, &str, &str)) -> String {
        wait::eventually(wait::SOON, &format!("{kind} {name} says {wanted:?}"), || {
            let text = self.portolan.client(&["get", kind, name, "-o", "json"])?;
            let object: Value = serde_json::from_str(&text).expect("JSON");
            let found = conditions(&object).into_iter().find(|condition| {
                (condition["type"].as_str(), condition["status"].as_str(), condition["reason"].as_str())
                    == (Some(wanted.0), Some(wanted.1), Some(wanted.2))
            });
            found.map(|found| found["message"].as_str().unwrap_or_default().to_owned()).ok_or(text)
        })
    }
}

/// All objects with a `type` and a `reason` in it, wherever they are.
fn conditions(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(members) if members.contains_key("type") && members.contains_key("reason") => {
            vec![value.clone()]
        }
        Value::Object(members) => members.values().flat_map(conditions).collect(),
        Value::Array(items) => items.iter().flat_map(conditions).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}
