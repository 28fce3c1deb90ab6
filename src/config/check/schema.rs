//! Validation by the kinds' JSON Schemas, with what is wrong said in our words.

mod compiled;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{LazyLock, OnceLock},
};

use jsonschema::{JsonType, PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::{Map, Value};

use super::finding::{Finding, Spot, Words, list, value_text};
use crate::{
    api,
    config::{
        diagnostic::{meant, shown},
        yaml::escape_pointer,
    },
};

/// So many faults of one document are told.
const MOST: usize = 50;

/// What explains the errors of one kind.
struct Compiled {
    schema: Value,
    validator: Validator,
}

static COMPILED: LazyLock<BTreeMap<&'static str, OnceLock<Option<Compiled>>>> =
    LazyLock::new(|| api::KINDS.iter().map(|definition| (definition.kind, OnceLock::new())).collect());

/// What the schema of `kind` has to say against a document.
pub(super) fn validate(kind: &str, document: &Value) -> Vec<Finding> {
    if compiled::is_valid(kind, document) != Some(false) {
        return Vec::new();
    }
    let Some(compiled) = COMPILED.get(kind).and_then(|cell| cell.get_or_init(|| compile(kind)).as_ref())
    else {
        return Vec::new();
    };
    let mut findings: Vec<Finding> = Vec::new();
    let mut told = BTreeSet::new();
    for error in compiled.validator.iter_errors(document) {
        for finding in explain(&compiled.schema, document, &error) {
            // An empty text is too short, and fits no pattern either.
            if told.insert(finding.pointer.clone()) && findings.len() < MOST {
                findings.push(finding);
            }
        }
    }
    findings
}

/// `None` cannot be: a test compiles every schema.
fn compile(kind: &str) -> Option<Compiled> {
    let schema = api::schema(kind)?;
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    let validator = options.build(&schema).ok()?;
    Some(Compiled { schema, validator })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest of a foreign enum is told alike")]
fn explain(schema: &Value, document: &Value, error: &ValidationError<'_>) -> Vec<Finding> {
    let pointer = error.instance_path().as_str();
    let keyword = error.schema_path().as_str();
    let rule =
        keyword.rsplit_once('/').and_then(|(parent, _)| schema.pointer(parent)).unwrap_or(&Value::Null);
    let value = document.pointer(pointer).unwrap_or(&Value::Null);
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unexpected.iter().map(|name| unknown_field(rule, pointer, name)).collect()
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let expected = rule.pointer(&format!("/properties/{}", escape_pointer(name)));
            vec![missing_field(pointer, name, expected.map(|rule| resolve(schema, rule)))]
        }
        ValidationErrorKind::Type { .. } => vec![wrong_type(rule, pointer, value)],
        ValidationErrorKind::Enum { options } => vec![wrong_choice(options, pointer, value)],
        ValidationErrorKind::MaxItems { limit } => {
            vec![Finding::expected(pointer, count(value, "item"), format!("at most {limit}"))]
        }
        ValidationErrorKind::MinItems { limit } => {
            vec![Finding::expected(pointer, count(value, "item"), format!("at least {limit}"))]
        }
        ValidationErrorKind::MaxProperties { limit } => {
            vec![Finding::expected(pointer, count(value, "entry"), format!("at most {limit}"))]
        }
        ValidationErrorKind::MaxLength { limit } => {
            vec![Finding::expected(pointer, count(value, "character"), format!("at most {limit}"))]
        }
        ValidationErrorKind::MinLength { limit: 1 } => {
            vec![Finding::expected(pointer, "an empty text".to_owned(), words(rule))]
        }
        ValidationErrorKind::UniqueItems => vec![not_unique(pointer, value)],
        ValidationErrorKind::PropertyNames { error } => {
            let name = error.instance().as_str().unwrap_or_default();
            let at = format!("{pointer}/{}", escape_pointer(name));
            vec![Finding::new(&at, Words::Whole("this key is not valid".to_owned())).on(Spot::Key)]
        }
        _ => vec![Finding::expected(pointer, value_text(value), words(rule))],
    }
}

fn unknown_field(rule: &Value, parent: &str, name: &str) -> Finding {
    let pointer = format!("{parent}/{}", escape_pointer(name));
    let fields = rule.get("properties").and_then(Value::as_object);
    if let Some(patterns) = rule.get("patternProperties").and_then(Value::as_object)
        && fields.is_none_or(Map::is_empty)
    {
        let pattern = patterns.keys().next().map_or("", String::as_str);
        let text = format!("the key `{}` is not valid, expected {}", shown(name), pattern_words(pattern));
        return Finding::new(&pointer, Words::Whole(text)).on(Spot::Key);
    }
    // What only an API server sets is accepted, but nobody writes it.
    let is_written = |rule: &Value| rule.get("type").is_some() || rule.get("$ref").is_some();
    let names =
        fields.into_iter().flatten().filter(|(_, rule)| is_written(rule)).map(|(name, _)| name.as_str());
    Finding::unknown_field(&pointer, name, names)
}

fn missing_field(parent: &str, name: &str, rule: Option<&Value>) -> Finding {
    let finding = Finding::new(parent, Words::Missing(name.to_owned())).on(Spot::Key);
    Finding { expected: rule.map(words), ..finding }
}

fn wrong_type(rule: &Value, pointer: &str, value: &Value) -> Finding {
    let expected = words(rule);
    let finding = Finding::expected(pointer, value_text(value), expected);
    let types = types(rule);
    match value {
        Value::Number(_) | Value::Bool(_) if types.contains(&"string") && fits(rule, &value.to_string()) => {
            finding.hint("put it in quotes")
        }
        Value::String(text) if text.parse::<f64>().is_ok() && types.contains(&"integer") => {
            finding.hint("remove the quotes")
        }
        Value::String(text) if types.contains(&"boolean") => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "true" | "y" => finding.hint("write `true`"),
            "no" | "off" | "false" | "n" => finding.hint("write `false`"),
            _ => finding,
        },
        Value::String(_) | Value::Number(_) | Value::Bool(_) if types.contains(&"array") => {
            finding.hint("write it as a list, in `[` and `]`")
        }
        Value::Object(_) if types.contains(&"array") => finding.hint("begin each item with `- `"),
        Value::Array(_) if types.contains(&"object") => finding.hint("remove the `- `"),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => finding,
    }
}

/// Whether a text is one that the rule's pattern allows.
fn fits(rule: &Value, text: &str) -> bool {
    let pattern = rule.get("pattern").and_then(Value::as_str);
    pattern.is_none_or(|pattern| regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(text)))
}

fn wrong_choice(options: &Value, pointer: &str, value: &Value) -> Finding {
    let finding = Finding::expected(pointer, value_text(value), choices(options));
    let names = options.as_array().into_iter().flatten().filter_map(Value::as_str);
    match value.as_str().and_then(|text| meant(text, names)) {
        Some(near) => finding.suggest(near),
        None => finding,
    }
}

fn choices(options: &Value) -> String {
    let texts: Vec<String> = options
        .as_array()
        .into_iter()
        .flatten()
        .map(|option| option.as_str().map_or_else(|| option.to_string(), str::to_owned))
        .collect();
    list(texts.iter().map(String::as_str), "or")
}

fn not_unique(pointer: &str, value: &Value) -> Finding {
    let mut seen = BTreeSet::new();
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        if !seen.insert(item.to_string()) {
            let at = format!("{pointer}/{index}");
            return Finding::new(&at, Words::Of(format!("found {} a second time", value_text(item))));
        }
    }
    Finding::new(pointer, Words::Of("two items are the same".to_owned()))
}

fn count(value: &Value, unit: &str) -> String {
    let count = match value {
        Value::Array(items) => items.len(),
        Value::Object(entries) => entries.len(),
        Value::String(text) => text.chars().count(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    match (count, unit) {
        (1, unit) => format!("1 {unit}"),
        (count, "entry") => format!("{count} entries"),
        (count, unit) => format!("{count} {unit}s"),
    }
}

fn types(rule: &Value) -> Vec<&str> {
    match rule.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn resolve<'a>(schema: &'a Value, rule: &'a Value) -> &'a Value {
    rule.get("$ref")
        .and_then(Value::as_str)
        .and_then(|target| schema.pointer(target.strip_prefix('#')?))
        .unwrap_or(rule)
}

/// What a rule asks for.
fn words(rule: &Value) -> String {
    if let Some(options) = rule.get("enum") {
        return choices(options);
    }
    let types = types(rule);
    let all: Vec<String> = types.iter().map(|name| words_of_type(name, rule)).collect();
    if all.is_empty() { "a valid value".to_owned() } else { all.join(" or ") }
}

fn words_of_type(name: &str, rule: &Value) -> String {
    match name.parse::<JsonType>() {
        Ok(JsonType::Boolean) => "`true` or `false`".to_owned(),
        Ok(JsonType::Array) => "a list".to_owned(),
        Ok(JsonType::Object) => "a mapping".to_owned(),
        Ok(JsonType::Null) => "nothing".to_owned(),
        Ok(JsonType::Integer | JsonType::Number) => number_words(name, rule),
        Ok(JsonType::String) => text_words(rule),
        Err(()) => name.to_owned(),
    }
}

fn number_words(name: &str, rule: &Value) -> String {
    let what = if name == "integer" { "a whole number" } else { "a number" };
    match (rule.get("minimum"), rule.get("maximum")) {
        (Some(least), Some(most)) => format!("a number from {least} to {most}"),
        (Some(least), None) => format!("{what} of at least {least}"),
        (None, Some(most)) => format!("{what} of at most {most}"),
        (None, None) => what.to_owned(),
    }
}

fn text_words(rule: &Value) -> String {
    let Some(pattern) = rule.get("pattern").and_then(Value::as_str) else { return "a text".to_owned() };
    match (in_words(pattern), rule.get("description").and_then(Value::as_str)) {
        (Some(words), _) => words.to_owned(),
        // Of a type of text, which says what it is.
        (None, Some(about)) => {
            let about = about.trim_end_matches('.');
            let mut letters = about.chars();
            let first = letters.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
            format!("{first}{}", letters.as_str())
        }
        (None, None) => pattern_words(pattern),
    }
}

fn pattern_words(pattern: &str) -> String {
    in_words(pattern).map_or_else(|| format!("a text that fits `{pattern}`"), str::to_owned)
}

/// The patterns of single fields, whose descriptions say what the field is for.
fn in_words(pattern: &str) -> Option<&'static str> {
    Some(match pattern {
        "^/" => "a path that begins with `/`",
        "^https?://" => "an address that begins with `http://` or `https://`",
        "^https://" => "an address that begins with `https://`",
        "^[-._a-zA-Z0-9]+$" => "letters, digits, `-`, `_` and `.`",
        "^[a-zA-Z0-9][-a-zA-Z0-9_.]*$" => "letters, digits, `-`, `_` and `.`, a letter or digit first",
        "^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$" => "a code such as `404`, or a range such as `500-599`",
        r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$" => {
            "a path: letters, digits, `%` with two hexadecimal digits, and `-._~!$&'()*+,;=:@/`"
        }
        _ => return None,
    })
}
