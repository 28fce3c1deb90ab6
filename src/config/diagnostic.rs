//! What is wrong with a document: where, what was found, what was expected, and what was probably meant.

mod render;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use serde::Serialize;

pub use crate::model::nearest;
pub use render::{Style, render_github, render_json, render_lines, render_terminal};

/// One finding about one place of one file. Ordered by place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    pub file: Arc<str>,
    /// Counts from 1, as `column` does; columns count characters. Both are 0 where no place of the file is meant: it
    /// could not be read.
    pub line: u32,
    pub column: u32,
    /// Just behind the last character, where that is on the same line.
    pub end_column: Option<u32>,
    pub severity: Severity,
    /// The object, such as `HTTPRoute shop/books`, as far as it could be read.
    pub object: Option<String>,
    /// The field, such as `spec.rules[0].matches[0].path.value`; empty for the document itself.
    pub path: String,
    pub found: Option<String>,
    pub expected: Option<String>,
    /// The nearest valid name.
    pub suggestion: Option<String>,
    /// The whole finding in one sentence, without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The place may hold a secret: its text is never shown.
    #[serde(skip)]
    pub confidential: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is used, but probably not as meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// The valid name that was probably meant: the nearest, or the only one that `name` is a part of or holds.
pub fn meant<'a>(name: &str, valid: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    const LEAST_PART: usize = 4;
    nearest(name, valid.clone()).or_else(|| {
        let lower = name.to_lowercase();
        let mut parts = valid.filter(|candidate| {
            let other = candidate.to_lowercase();
            let is_long_enough = lower.len().min(other.len()) >= LEAST_PART;
            is_long_enough && (lower.contains(&other) || other.contains(&lower))
        });
        parts.next().filter(|_| parts.next().is_none())
    })
}

/// Text from a document as it may be shown: one line, no characters that steer a terminal, not endless.
pub fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let mut out = String::with_capacity(text.len().min(MOST));
    for (index, character) in text.chars().enumerate() {
        if index == MOST {
            out.push('…');
            break;
        }
        if character.is_control() || is_invisible(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Characters that reorder or hide what stands around them.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

// === impl Severity ===

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

// === impl Diagnostic ===

/// `routes/shop.yaml:3:5: error: message (path spec.hostnamez); hint`.
impl Diagnostic {
    /// `routes/shop.yaml:3:1`, or the file alone.
    pub fn place(&self) -> String {
        match self.line {
            0 => self.file.to_string(),
            line => format!("{}:{line}:{}", self.file, self.column),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = self.severity.as_str();
        write!(f, "{}: {severity}: {}", self.place(), self.message)?;
        if !self.path.is_empty() {
            write!(f, " (path {})", self.path)?;
        }
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}
