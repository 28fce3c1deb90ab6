//! A fault of a document before its place is known: a JSON pointer and words.

use std::sync::Arc;

use serde_json::Value;

use crate::config::{
    diagnostic::{Diagnostic, Severity, meant, shown},
    rules::Violation,
    yaml::{Document, Place},
};

/// What is wrong at a JSON pointer.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) pointer: String,
    pub(super) spot: Spot,
    pub(super) severity: Severity,
    pub(super) words: Words,
    pub(super) found: Option<String>,
    pub(super) expected: Option<String>,
    pub(super) suggestion: Option<String>,
    pub(super) hint: Option<String>,
}

/// How the sentence is made.
#[derive(Clone, Debug)]
pub(super) enum Words {
    /// As it is.
    Whole(String),
    /// Behind the field's name.
    Of(String),
    /// With the mapping in which it is.
    In(String),
    /// `missing field …`, with the mapping that lacks it.
    Missing(String),
    /// What was found and what was expected, behind the field's name.
    Expected,
}

/// What to point at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    Key,
    Value,
}

/// Whose document it is.
#[derive(Clone, Debug)]
pub(super) struct Subject<'a> {
    pub(super) file: &'a Arc<str>,
    pub(super) document: &'a Document,
    /// `HTTPRoute shop/books`.
    pub(super) object: Option<String>,
    pub(super) is_secret: bool,
}

/// A value in one line; long ones and those with parts by what they are.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text.is_empty() => "an empty text".to_owned(),
        Value::String(text) => format!("\"{}\"", shown(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// `` `a`, `b` or `c` ``.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>, last: &str) -> String {
    let mut names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.pop() {
        None => String::new(),
        Some(only) if names.is_empty() => only,
        Some(end) => format!("{} {last} {end}", names.join(", ")),
    }
}

// === impl Finding ===

impl Finding {
    pub(super) fn new(pointer: &str, words: Words) -> Self {
        Self {
            pointer: pointer.to_owned(),
            spot: Spot::Value,
            severity: Severity::Error,
            words,
            found: None,
            expected: None,
            suggestion: None,
            hint: None,
        }
    }

    pub(super) fn expected(pointer: &str, found: String, expected: String) -> Self {
        let finding = Self::new(pointer, Words::Expected);
        Self { found: Some(found), expected: Some(expected), ..finding }
    }

    pub(super) fn of_violation(violation: Violation) -> Self {
        let Violation { pointer, message, expected } = violation;
        let words = match &expected {
            Some(expected) => format!("{message}, expected {expected}"),
            None => message,
        };
        Self { expected, ..Self::new(&pointer, Words::Whole(shown(&words))) }
    }

    pub(super) fn unknown_field<'a>(
        pointer: &str,
        name: &str,
        fields: impl Iterator<Item = &'a str> + Clone,
    ) -> Self {
        let name = shown(name);
        let finding = Self::new(pointer, Words::In(format!("unknown field `{name}`"))).on(Spot::Key);
        let finding = Self { found: Some(name.clone()), ..finding };
        match meant(&name, fields.clone()) {
            Some(near) => finding.suggest(near),
            None => match list(fields, "and") {
                fields if fields.is_empty() => finding.hint("remove it"),
                fields => finding.hint(format!("there are {fields}")),
            },
        }
    }

    pub(super) fn on(self, spot: Spot) -> Self {
        Self { spot, ..self }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(super) fn suggest(self, near: &str) -> Self {
        Self { suggestion: Some(near.to_owned()), ..self }
    }

    pub(super) fn severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// The finding at its place, in words that can be shown.
    pub(super) fn place(self, subject: &Subject<'_>) -> Diagnostic {
        let Place { key, value } = subject.document.locate(&self.pointer);
        let span = match self.spot {
            Spot::Key => key.unwrap_or(value),
            Spot::Value => value,
        };
        let path = subject.document.path(&self.pointer);
        let confidential = subject.is_secret
            && (self.pointer.starts_with("/data/") || self.pointer.starts_with("/stringData/"));
        let found = self.found.filter(|_| !confidential);
        let mut message = match self.words {
            Words::Whole(text) => text,
            Words::Of(text) => format!("{}: {text}", field(subject.document, &self.pointer)),
            Words::In(text) => match subject.document.path(parent(&self.pointer)) {
                around if around.is_empty() => text,
                around => format!("{text} in {around}"),
            },
            Words::Missing(name) if path.is_empty() => format!("missing field `{name}`"),
            Words::Missing(name) => format!("missing field `{name}` in {path}"),
            Words::Expected => format!(
                "{}: found {}, expected {}",
                field(subject.document, &self.pointer),
                found.as_deref().unwrap_or("something that is not shown"),
                self.expected.as_deref().unwrap_or("something else"),
            ),
        };
        if let Some(near) = &self.suggestion {
            message.extend([", did you mean `", near, "`?"]);
        }
        Diagnostic {
            file: subject.file.clone(),
            line: span.start.line,
            column: span.start.column,
            end_column: (span.end.line == span.start.line && span.end > span.start)
                .then_some(span.end.column),
            severity: self.severity,
            object: subject.object.clone(),
            path,
            found,
            expected: self.expected,
            suggestion: self.suggestion,
            message,
            hint: self.hint,
            confidential,
        }
    }
}

fn parent(pointer: &str) -> &str {
    pointer.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The last name of a path with what follows it: `hostnames[0]` of `spec.hostnames[0]`.
fn field(document: &Document, pointer: &str) -> String {
    let path = document.path(pointer);
    let mut above = pointer;
    while !above.is_empty() {
        above = parent(above);
        let rest = path.get(document.path(above).len()..).unwrap_or_default();
        if !rest.starts_with('[') {
            return rest.trim_start_matches('.').to_owned();
        }
    }
    if path.is_empty() { "the document".to_owned() } else { path }
}
