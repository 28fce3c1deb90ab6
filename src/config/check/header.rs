//! What a document is: its `apiVersion` and `kind`, and what was probably meant if they are not known.

use serde_json::{Map, Value};

use super::finding::{Finding, Words, list, value_text};
use crate::{
    api::{self, Definition, Recognized},
    config::diagnostic::{Severity, nearest, shown},
};

/// What to do with a document.
#[derive(Debug)]
pub(super) enum Header {
    /// An object of this kind.
    Object(&'static Definition),
    /// A `List`, or a list of one kind: its items are documents.
    List,
    /// Nothing; says why.
    Not(Vec<Finding>),
}

/// The groups that a slip may have been meant for.
const GROUPS: [&str; 2] = ["gateway.networking.k8s.io", "portolan.dev"];

/// Most letters of a group that may be wrong for it to count as a slip.
const MOST_WRONG_LETTERS: usize = 3;

pub(super) fn read(document: &Value) -> Header {
    let Value::Object(fields) = document else {
        let found = value_text(document);
        let expected = "a mapping with `apiVersion`, `kind` and `metadata`".to_owned();
        return Header::Not(vec![Finding::expected("", found, expected)]);
    };
    if is_compose_file(fields) {
        let words = Words::Whole("a Compose file is not read by Portolan: skipped".to_owned());
        let finding = Finding::new("", words).severity(Severity::Note);
        return Header::Not(vec![finding.hint("its containers are routed once they run")]);
    }
    let (version, kind) = (text(fields, "apiVersion"), text(fields, "kind"));
    match (version, kind) {
        (Ok(version), Ok(kind)) => recognize(version, kind, fields),
        (version, kind) => {
            Header::Not([version.err(), kind.err()].into_iter().flatten().map(|finding| *finding).collect())
        }
    }
}

/// Compose files often lie beside manifests; nothing in them looks like one.
fn is_compose_file(fields: &Map<String, Value>) -> bool {
    let ours = ["apiVersion", "kind", "metadata", "spec", "items"];
    fields.get("services").is_some_and(Value::is_object)
        && !ours.iter().any(|name| fields.contains_key(*name))
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, Box<Finding>> {
    match fields.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Null) | None => {
            let near = nearest(name, fields.keys().map(String::as_str).filter(|key| *key != "kind"));
            let finding = Finding::new("", Words::Missing(name.to_owned()));
            Err(Box::new(match (near, name) {
                (Some(near), _) => finding.hint(format!("there is `{}`", shown(near))),
                (None, "apiVersion") => {
                    finding.hint("for example `apiVersion: gateway.networking.k8s.io/v1`")
                }
                (None, _) => finding.hint("for example `kind: HTTPRoute`"),
            }))
        }
        Some(other) => {
            let finding = Finding::expected(&format!("/{name}"), value_text(other), "a text".to_owned());
            Err(Box::new(finding))
        }
    }
}

fn recognize(version: &str, kind: &str, fields: &Map<String, Value>) -> Header {
    let is_list = fields.get("items").is_some_and(Value::is_array);
    let item_kind = kind.strip_suffix("List").unwrap_or_default();
    if is_list && (kind == "List" || api::KINDS.iter().any(|definition| definition.kind == item_kind)) {
        return Header::List;
    }
    let finding = match api::recognize(version, kind) {
        Recognized::Known(definition) => return Header::Object(definition),
        Recognized::OtherVersion(definition) => other_version(version, definition),
        Recognized::UnknownKind => unknown_kind(version, kind),
        Recognized::Foreign(instead) => foreign(version, kind, instead),
    };
    Header::Not(vec![finding])
}

fn other_version(version: &str, definition: &Definition) -> Finding {
    let versions: Vec<String> = definition.api_versions().collect();
    Finding::expected(
        "/apiVersion",
        format!("\"{}\"", shown(version)),
        list(versions.iter().map(String::as_str), "or"),
    )
}

/// A kind that a group of ours does not have.
fn unknown_kind(version: &str, kind: &str) -> Finding {
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let kinds = || {
        api::KINDS
            .iter()
            .filter(move |definition| definition.group == group)
            .map(|definition| definition.kind)
    };
    let found = format!("\"{}\"", shown(kind));
    if let Some(definition) = api::KINDS.iter().find(|definition| definition.kind == kind) {
        let expected = format!("`{}` for a `{kind}`", definition.api_version());
        return Finding::expected("/apiVersion", format!("\"{}\"", shown(version)), expected);
    }
    if let Some(near) = nearest(kind, kinds()) {
        return Finding::expected("/kind", found, format!("a kind of `{group}`")).suggest(near);
    }
    Finding::expected("/kind", found, list(kinds(), "or"))
}

/// A kind of another group: a slip, or something that another program reads.
fn foreign(version: &str, kind: &str, instead: Option<&'static str>) -> Finding {
    let (group, _) = version.rsplit_once('/').unwrap_or(("", version));
    let found = || format!("\"{}\"", shown(version));
    let is_core = group.is_empty();
    if let Some(definition) = api::KINDS.iter().find(|definition| definition.kind == kind)
        && (is_core || is_slip(group, definition.group))
    {
        let expected = format!("`{}` for a `{kind}`", definition.api_version());
        return Finding::expected("/apiVersion", found(), expected);
    }
    if let Some(meant) = GROUPS.iter().find(|meant| is_slip(group, meant)) {
        return Finding::expected("/apiVersion", found(), format!("the group `{meant}`"));
    }
    let near = api::KINDS
        .iter()
        .filter(|definition| is_core && definition.group.is_empty())
        .find(|definition| strsim::osa_distance(kind, definition.kind) <= MOST_WRONG_LETTERS);
    if let Some(near) = near {
        let expected = format!("a kind of `{version}`");
        return Finding::expected("/kind", format!("\"{}\"", shown(kind)), expected).suggest(near.kind);
    }
    let text = format!("`{}` of `{}` is not read by Portolan: skipped", shown(kind), shown(version));
    let finding = Finding::new("/kind", Words::Whole(text)).severity(Severity::Note);
    match instead {
        Some(instead) => finding.hint(instead),
        None => finding,
    }
}

/// Whether one group was probably written for the other. `x-k8s.io` is where the standard tries things out.
fn is_slip(group: &str, meant: &str) -> bool {
    !meant.is_empty()
        && !group.ends_with(".x-k8s.io")
        && strsim::osa_distance(group, meant) <= MOST_WRONG_LETTERS
}
