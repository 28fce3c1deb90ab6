//! Builds a value and the positions of its parts from the parser's events, in one pass and within bounds.

use std::{borrow::Cow, collections::BTreeMap};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput};
use serde_json::{Map, Number, Value};

use super::{Children, Fault, Field, Node, Position, Span, number};

/// How deep lists and mappings may be nested.
pub const MAX_DEPTH: usize = 64;

/// How many values aliases may stand for in one document.
pub const MAX_ALIASED_NODES: usize = 100_000;

/// The document of `text`, whose first line is `line` of its file. `None` if there is none.
pub(super) fn build(text: &str, line: u32) -> Result<Option<(Value, Node)>, Fault> {
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        text,
        first_line: line,
        anchors: BTreeMap::new(),
        aliased: 0,
    };
    let mut built = None;
    loop {
        let (event, span) = builder.next()?;
        match event {
            Event::StreamEnd => return Ok(built),
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
            Event::Alias(_)
            | Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::MappingStart(..)
            | Event::SequenceEnd
            | Event::MappingEnd => {
                let part = builder.node(event, span, 0)?;
                if built.is_some() {
                    return Err(Fault::new(span, "a second document begins here without a marker")
                        .hint("put a line `---` in front of it"));
                }
                built = Some((part.value, part.node));
            }
        }
    }
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    first_line: u32,
    anchors: BTreeMap<usize, Part>,
    aliased: usize,
}

/// A value with its positions and how many values it holds, itself included.
#[derive(Clone)]
struct Part {
    value: Value,
    node: Node,
    count: usize,
}

// === impl Builder ===

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let span = Span { start: self.position(span.start), end: self.position(span.end) };
                Ok((event, span))
            }
            Some(Err(error)) => Err(self.scan_fault(&error)),
            None => Ok((Event::StreamEnd, Span::START)),
        }
    }

    fn position(&self, marker: Marker) -> Position {
        Position {
            line: number(marker.line()).saturating_add(self.first_line).saturating_sub(1).max(1),
            column: number(marker.col()).saturating_add(1),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Part, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::new(span, too_deep()));
        }
        let (anchor, part) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.as_deref(), span)?;
                (anchor, Part::new(scalar(text, style, span)?, span, Children::None))
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), span)?;
                (anchor, self.sequence(span, depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), span)?;
                (anchor, self.mapping(span, depth)?)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(Fault::new(span, "not valid YAML: a value is missing here")),
        };
        if anchor > 0 {
            self.count_aliased(part.count, span)?;
            self.anchors.insert(anchor, part.clone());
        }
        Ok(part)
    }

    fn sequence(&mut self, span: Span, depth: usize) -> Result<Part, Fault> {
        let (mut values, mut nodes, mut count) = (Vec::new(), Vec::new(), 1);
        loop {
            let (event, item) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            let part = self.node(event, item, depth + 1)?;
            count += part.count;
            values.push(part.value);
            nodes.push(part.node);
        }
        Ok(Part { value: Value::Array(values), node: Node { span, children: Children::Items(nodes) }, count })
    }

    fn mapping(&mut self, span: Span, depth: usize) -> Result<Part, Fault> {
        let mut values = Map::new();
        let mut fields: Vec<Field> = Vec::new();
        let mut merged = None;
        let mut count = 1;
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let name = key(event, at)?;
            let (event, below) = self.next()?;
            let part = self.node(event, below, depth + 1)?;
            count += part.count;
            if name == "<<" {
                if merged.replace((at, part)).is_some() {
                    return Err(Fault::new(at, "duplicate key `<<`"));
                }
                continue;
            }
            if values.contains_key(&name) {
                let first =
                    fields.iter().find(|field| *field.name == *name).map(|field| field.key.start.line);
                let message = format!(
                    "duplicate key `{name}`, first written on line {}",
                    first.unwrap_or(at.start.line)
                );
                return Err(Fault::new(at, message).hint("remove one of the two"));
            }
            let mut value = part.node;
            if part.value.is_null() && value.span.start == value.span.end {
                value.span = at;
            }
            fields.push(Field { name: name.as_str().into(), key: at, value });
            values.insert(name, part.value);
        }
        if let Some((at, part)) = merged {
            merge(&mut values, &mut fields, part, at)?;
        }
        Ok(Part {
            value: Value::Object(values),
            node: Node { span, children: Children::Fields(fields) },
            count,
        })
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Part, Fault> {
        let Some(count) = self.anchors.get(&anchor).map(|part| part.count) else {
            return Err(Fault::new(span, "the alias stands for a value that contains it"));
        };
        self.count_aliased(count, span)?;
        let mut part = self.anchors.get(&anchor).cloned();
        if let Some(part) = &mut part
            && matches!(part.node.children, Children::None)
        {
            part.node.span = span;
        }
        part.ok_or_else(|| Fault::new(span, "unknown anchor"))
    }

    fn count_aliased(&mut self, count: usize, span: Span) -> Result<(), Fault> {
        self.aliased = self.aliased.saturating_add(count);
        if self.aliased > MAX_ALIASED_NODES {
            let message = format!("anchors and aliases stand for more than {MAX_ALIASED_NODES} values");
            return Err(Fault::new(span, message).hint("write the values out"));
        }
        Ok(())
    }

    fn scan_fault(&self, error: &ScanError) -> Fault {
        let marker = error.marker();
        let fault = Fault::new(Span::at(self.position(*marker)), format!("not valid YAML: {}", error.info()));
        let line = self.text.split('\n').nth(marker.line().saturating_sub(1)).unwrap_or_default();
        let indent = line.split(|character: char| !character.is_whitespace()).next().unwrap_or_default();
        if indent.contains('\t') {
            return fault.hint("the line is indented with a tab; YAML wants spaces");
        }
        match error.info() {
            "mapping values are not allowed in this context" => {
                fault.hint("a text with `: ` in it needs quotes; a key must line up with its siblings")
            }
            info if info.contains("unknown anchor") => {
                fault.hint("a text that begins with `*` needs quotes, as in \"*.example.com\"")
            }
            info if info.contains("<document start>") => fault.hint("a key must line up with its siblings"),
            "recursion limit exceeded" => Fault { message: too_deep(), ..fault },
            _ => fault,
        }
    }
}

// === impl Part ===

impl Part {
    fn new(value: Value, span: Span, children: Children) -> Self {
        Self { value, node: Node { span, children }, count: 1 }
    }
}

fn too_deep() -> String {
    format!("nested more than {MAX_DEPTH} levels deep")
}

/// Adds the fields of `<<: *base` that the mapping does not have itself.
fn merge(
    values: &mut Map<String, Value>,
    fields: &mut Vec<Field>,
    part: Part,
    at: Span,
) -> Result<(), Fault> {
    let wrong = || Fault::new(at, "`<<` takes an alias of a mapping, or a list of them");
    let sources: Vec<(Value, Node)> = match (part.value, part.node.children) {
        (Value::Array(values), Children::Items(nodes)) => values.into_iter().zip(nodes).collect(),
        (value, children) => vec![(value, Node { span: part.node.span, children })],
    };
    for (value, node) in sources {
        let (Value::Object(mut more), Children::Fields(more_fields)) = (value, node.children) else {
            return Err(wrong());
        };
        for field in more_fields {
            if values.contains_key(&*field.name) {
                continue;
            }
            if let Some(value) = more.remove(&*field.name) {
                values.insert(field.name.to_string(), value);
                fields.push(field);
            }
        }
    }
    Ok(())
}

fn refuse_tag(tag: Option<&saphyr_parser::Tag>, span: Span) -> Result<(), Fault> {
    match tag {
        None => Ok(()),
        Some(tag) => {
            let name = if tag.is_yaml_core_schema() {
                format!("!!{}", tag.suffix)
            } else {
                format!("{}{}", tag.handle, tag.suffix)
            };
            Err(Fault::new(span, format!("the tag `{name}` is not supported"))
                .hint("remove it; a text that begins with `!` needs quotes"))
        }
    }
}

/// The name of a field. A number or a boolean is taken as its text, as Kubernetes does.
fn key(event: Event<'_>, span: Span) -> Result<String, Fault> {
    let wrong = |what: &str| {
        Fault::new(span, format!("a key must be a text, found {what}")).hint("put the key in quotes")
    };
    match event {
        Event::Scalar(text, style, _, tag) => {
            refuse_tag(tag.as_deref(), span)?;
            let written = text.to_string();
            let value = scalar(text, style, span)?;
            if let Value::String(text) = value {
                return Ok(text);
            }
            let found = value.to_string();
            if value.is_null() || found != written {
                return Err(wrong(&format!("`{}`", if value.is_null() { &found } else { &written })));
            }
            Ok(written)
        }
        Event::Alias(_) => Err(wrong("an alias")),
        Event::SequenceStart(..) => Err(wrong("a list")),
        Event::MappingStart(..) => Err(wrong("a mapping")),
        Event::Nothing
        | Event::StreamStart
        | Event::StreamEnd
        | Event::DocumentStart(_)
        | Event::DocumentEnd
        | Event::SequenceEnd
        | Event::MappingEnd => Err(wrong("nothing")),
    }
}

/// A plain scalar by the core schema of YAML 1.2, with `0x`, `0o` and `0b`; digits behind a leading zero are a text.
fn scalar(text: Cow<'_, str>, style: ScalarStyle, span: Span) -> Result<Value, Fault> {
    if style != ScalarStyle::Plain {
        return Ok(Value::String(text.into_owned()));
    }
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let numeric = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    if !numeric || is_zero_padded(unsigned) {
        return Ok(Value::String(text.into_owned()));
    }
    match integer(&text, unsigned).or_else(|| float(&text)) {
        Some(Ok(number)) => Ok(Value::Number(number)),
        Some(Err(OutOfRange)) => Err(Fault::new(span, format!("the number `{text}` is out of range"))
            .hint("put it in quotes if it is meant as a text")),
        None => Ok(Value::String(text.into_owned())),
    }
}

fn is_zero_padded(digits: &str) -> bool {
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// It is a number, but not one that JSON and 64 bits can hold.
struct OutOfRange;

/// `None` if it is no integer.
fn integer(text: &str, unsigned: &str) -> Option<Result<Number, OutOfRange>> {
    let (digits, radix) = match unsigned.get(..2) {
        Some("0x") => (unsigned.get(2..)?, 16),
        Some("0o") => (unsigned.get(2..)?, 8),
        Some("0b") => (unsigned.get(2..)?, 2),
        _ => (unsigned, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let number = if text.starts_with('-') {
        i64::from_str_radix(&format!("-{digits}"), radix).map(Number::from)
    } else {
        u64::from_str_radix(digits, radix).map(Number::from)
    };
    Some(number.map_err(|_| OutOfRange))
}

/// `None` if it is no number at all.
fn float(text: &str) -> Option<Result<Number, OutOfRange>> {
    if matches!(text.trim_start_matches(['+', '-']), ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Some(Err(OutOfRange));
    }
    let value: f64 = text.strip_prefix('+').unwrap_or(text).parse().ok()?;
    Some(Number::from_f64(value).ok_or(OutOfRange))
}
