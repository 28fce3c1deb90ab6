//! The only place that reads YAML and JSON: text in, values with the position of every key and value out.
//!
//! Two readers look at each document. `saphyr-parser` says where everything stands and enforces the bounds before
//! anything is expanded; `serde_yaml` (`serde_json` for JSON) reads the same text again, and what the two read
//! differently is refused: another tool might read a third thing. A file is cut at its document markers first, so
//! that a document that cannot be read costs only itself.

mod build;
mod split;
mod surrogates;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::Value;

use super::diagnostic::shown;

pub use build::{MAX_ALIASED_NODES, MAX_DEPTH};

/// A file with more text than this is not read: 64 MiB, some 150,000 routes.
pub const MAX_BYTES: usize = 64 << 20;

/// After this many documents that cannot be read, the rest of a file is not looked at.
const MAX_FAULTS: usize = 100;

/// What a text holds: the documents that could be read, and why others could not.
#[derive(Debug, Default)]
pub struct Parsed {
    /// In the order of the text; empty and null documents are left out.
    pub documents: Vec<Document>,
    pub faults: Vec<Fault>,
}

/// A document and where each part of it was written.
#[derive(Clone, Debug)]
pub struct Document {
    pub value: Value,
    root: Node,
}

/// A document that could not be read, or a part of it that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub span: Span,
    pub message: String,
    pub hint: Option<String>,
}

/// A place in a text; line and column count from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// From `start` to just before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub start: Position,
    pub end: Position,
}

/// Where the thing that a JSON pointer names was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The key, where the thing is the value of a key.
    pub key: Option<Span>,
    pub value: Span,
}

/// A value's span and those of what is in it.
#[derive(Clone, Debug)]
struct Node {
    span: Span,
    children: Children,
}

#[derive(Clone, Debug)]
enum Children {
    None,
    Items(Vec<Node>),
    /// In the order of the text.
    Fields(Vec<Field>),
}

#[derive(Clone, Debug)]
struct Field {
    name: Box<str>,
    key: Span,
    value: Node,
}

/// Reads a stream of YAML documents.
pub fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    for read in documents(text) {
        match read {
            Ok(document) => parsed.documents.push(document),
            Err(fault) => parsed.faults.push(fault),
        }
    }
    parsed
}

/// Reads a stream of YAML documents one by one: of a long stream only one is in memory.
pub fn documents(text: &str) -> impl Iterator<Item = Result<Document, Fault>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (text, refused) = match check_text(text) {
        Ok(()) => (text, None),
        Err(fault) => ("", Some(Err(fault))),
    };
    let read =
        split::chunks(text).filter_map(|chunk| chunk.and_then(|chunk| parse_chunk(&chunk)).transpose());
    let mut faults = 0;
    refused.into_iter().chain(read).take_while(move |read| {
        let goes_on = faults < MAX_FAULTS;
        faults += usize::from(read.is_err());
        goes_on
    })
}

/// Reads one JSON value.
pub fn parse_json(text: &str) -> Parsed {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match check_text(text).and_then(|()| parse_json_value(text)) {
        Ok(document) => Parsed { documents: document.into_iter().collect(), faults: Vec::new() },
        Err(fault) => Parsed { documents: Vec::new(), faults: vec![fault] },
    }
}

/// The text of a file's bytes.
pub fn decode(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Fault::new(Span::START, "the text is UTF-16").hint("save it as UTF-8"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        Fault::new(Span::at(Position::after(&valid)), format!("the byte 0x{byte:02x} is not valid UTF-8"))
            .hint("save the file as UTF-8")
    })
}

fn check_text(text: &str) -> Result<(), Fault> {
    if text.len() > MAX_BYTES {
        let message = format!("the text has {} bytes, more than the limit of {MAX_BYTES}", text.len());
        return Err(Fault::new(Span::START, message).hint("split it into several files"));
    }
    let bytes = text.as_bytes();
    let bad = bytes.iter().enumerate().position(|(index, byte)| match byte {
        0 => true,
        b'\r' => bytes.get(index + 1) != Some(&b'\n'),
        _ => false,
    });
    let Some(index) = bad else { return Ok(()) };
    let at = Span::at(Position::after(text.get(..index).unwrap_or_default()));
    Err(match bytes.get(index) {
        Some(0) => Fault::new(at, "the text holds a NUL character"),
        _ => Fault::new(at, "the text holds a carriage return that does not end a line")
            .hint("end lines with a line feed"),
    })
}

fn parse_chunk(chunk: &split::Chunk<'_>) -> Result<Option<Document>, Fault> {
    let Some((value, root)) = build::build(chunk.text, chunk.line)? else { return Ok(None) };
    let document = Document { value, root };
    let mut read = None;
    for theirs in serde_yaml::Deserializer::from_str(chunk.text) {
        let theirs = serde_yaml::Value::deserialize(theirs).and_then(|mut value| {
            value.apply_merge()?;
            Ok(value)
        });
        let theirs = theirs.map_err(|error| Fault::from_yaml(&error, chunk.line))?;
        if read.replace(theirs).is_some() {
            return Err(document.ambiguous(""));
        }
    }
    match first_difference(&document.value, &read.unwrap_or_default()) {
        Some(pointer) => Err(document.ambiguous(&pointer)),
        None => Ok(Some(document).filter(|document| !document.value.is_null())),
    }
}

fn parse_json_value(text: &str) -> Result<Option<Document>, Fault> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let theirs: Value = serde_json::from_str(text).map_err(|error| Fault::from_json(&error))?;
    let Some((value, root)) = build::build(&surrogates::join(text), 1)? else { return Ok(None) };
    let document = Document { value, root };
    if document.value == theirs {
        return Ok(Some(document).filter(|document| !document.value.is_null()));
    }
    Err(document.ambiguous(""))
}

/// The JSON pointer of the first place where the two readers do not agree.
fn first_difference(ours: &Value, theirs: &serde_yaml::Value) -> Option<String> {
    use serde_yaml::Value as Yaml;
    let same = match (ours, theirs) {
        (Value::Null, Yaml::Null) => true,
        (Value::Bool(ours), Yaml::Bool(theirs)) => ours == theirs,
        (Value::Number(ours), Yaml::Number(theirs)) => same_number(ours, theirs),
        (Value::String(ours), Yaml::String(theirs)) => ours == theirs,
        (Value::Array(ours), Yaml::Sequence(theirs)) => {
            if ours.len() == theirs.len() {
                return ours.iter().zip(theirs).enumerate().find_map(|(index, (ours, theirs))| {
                    first_difference(ours, theirs).map(|below| format!("/{index}{below}"))
                });
            }
            false
        }
        (Value::Object(ours), Yaml::Mapping(theirs)) => {
            if ours.len() == theirs.len() {
                return theirs.iter().find_map(|(key, theirs)| {
                    let name = key_text(key);
                    let below = match ours.get(&name) {
                        Some(ours) => first_difference(ours, theirs)?,
                        None => String::new(),
                    };
                    Some(format!("/{}{below}", escape_pointer(&name)))
                });
            }
            false
        }
        _ => false,
    };
    (!same).then(String::new)
}

fn same_number(ours: &serde_json::Number, theirs: &serde_yaml::Number) -> bool {
    match (ours.as_u64(), ours.as_i64()) {
        (None, None) => theirs.is_f64() && ours.as_f64() == theirs.as_f64(),
        (unsigned, signed) => unsigned == theirs.as_u64() && signed == theirs.as_i64(),
    }
}

fn key_text(key: &serde_yaml::Value) -> String {
    use serde_yaml::Value as Yaml;
    match key {
        Yaml::String(text) => text.clone(),
        Yaml::Bool(value) => value.to_string(),
        Yaml::Number(value) => value.to_string(),
        Yaml::Null | Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => String::new(),
    }
}

/// A field name as a segment of a JSON pointer.
pub fn escape_pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A segment of a JSON pointer as a field name.
pub fn unescape_pointer(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

// === impl Document ===

impl Document {
    /// Where the document begins: at its first key.
    pub fn start(&self) -> Position {
        self.root.span.start
    }

    /// Where the thing that a JSON pointer names was written; if it was not written, the nearest thing around it.
    pub fn locate(&self, pointer: &str) -> Place {
        let mut place = Place { key: None, value: self.root.span };
        let mut node = &self.root;
        for segment in pointer.split('/').skip(1) {
            let name = unescape_pointer(segment);
            let below = match &node.children {
                Children::None => None,
                Children::Items(items) => {
                    name.parse().ok().and_then(|index: usize| items.get(index)).map(|item| (None, item))
                }
                Children::Fields(fields) => fields
                    .iter()
                    .find(|field| *field.name == *name)
                    .map(|field| (Some(field.key), &field.value)),
            };
            let Some((key, value)) = below else { break };
            place = Place { key, value: value.span };
            node = value;
        }
        place
    }

    /// The part of the document that a JSON pointer names, as a document of its own.
    pub fn part(&self, pointer: &str) -> Option<Self> {
        let mut node = &self.root;
        for segment in pointer.split('/').skip(1) {
            let name = unescape_pointer(segment);
            node = match &node.children {
                Children::None => None,
                Children::Items(items) => items.get(name.parse::<usize>().ok()?),
                Children::Fields(fields) => {
                    fields.iter().find(|field| *field.name == *name).map(|field| &field.value)
                }
            }?;
        }
        Some(Self { value: self.value.pointer(pointer)?.clone(), root: node.clone() })
    }

    /// A JSON pointer as people write it: `spec.rules[0].matches[0].path.value`.
    pub fn path(&self, pointer: &str) -> String {
        let mut path = String::new();
        let mut node = Some(&self.root);
        for segment in pointer.split('/').skip(1) {
            let name = unescape_pointer(segment);
            if let Some(Node { children: Children::Items(items), .. }) = node {
                path.extend(["[", &name, "]"]);
                node = name.parse().ok().and_then(|index: usize| items.get(index));
                continue;
            }
            let is_plain = !name.is_empty()
                && name.chars().all(|letter| letter.is_alphanumeric() || "-_$".contains(letter));
            match (is_plain, path.is_empty()) {
                (true, true) => path.push_str(&name),
                (true, false) => path.extend([".", &name]),
                (false, _) => path.extend(["[\"", &shown(&name), "\"]"]),
            }
            node = match node.map(|node| &node.children) {
                Some(Children::Fields(fields)) => {
                    fields.iter().find(|field| *field.name == *name).map(|field| &field.value)
                }
                Some(Children::Items(_) | Children::None) | None => None,
            };
        }
        path
    }

    fn ambiguous(&self, pointer: &str) -> Fault {
        let place = self.locate(pointer);
        Fault::new(place.key.unwrap_or(place.value), "two YAML readers do not agree on what this means")
            .hint("put the text in quotes, or write the document more plainly")
    }
}

// === impl Fault ===

impl Fault {
    fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn from_yaml(error: &serde_yaml::Error, line: u32) -> Self {
        let at = error.location().map_or(Position { line, column: 1 }, |at| Position {
            line: number(at.line()).saturating_add(line).saturating_sub(1).max(1),
            column: number(at.column()).max(1),
        });
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        Self::new(Span::at(at), format!("not valid YAML: {text}"))
    }

    fn from_json(error: &serde_json::Error) -> Self {
        let at = Position { line: number(error.line()).max(1), column: number(error.column()).max(1) };
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        Self::new(Span::at(at), format!("not valid JSON: {text}"))
    }
}

// === impl Span ===

impl Span {
    pub const START: Self = Self::at(Position { line: 1, column: 1 });

    /// One character.
    pub const fn at(start: Position) -> Self {
        Self { start, end: Position { line: start.line, column: start.column.saturating_add(1) } }
    }
}

// === impl Position ===

impl Position {
    /// The place right behind `text`.
    fn after(text: &str) -> Self {
        let line = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let last = text.rsplit('\n').next().unwrap_or_default();
        Self { line: number(line), column: number(last.chars().count() + 1) }
    }
}

/// A count that no text within the bounds can overflow.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
