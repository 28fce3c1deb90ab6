//! Cuts a stream at its document markers. YAML forbids `---` and `...` at the start of a line inside any scalar, so
//! a look at each line's start is enough.

use super::{Fault, Position, Span, number};

/// The text of one document with its `---`, and the line in the file on which it starts.
#[derive(Debug)]
pub(super) struct Chunk<'a> {
    pub(super) text: &'a str,
    pub(super) line: u32,
}

/// The documents of a stream; an error for each directive that is not supported.
pub(super) fn chunks(text: &str) -> impl Iterator<Item = Result<Chunk<'_>, Fault>> {
    let mut splitter = Splitter { rest: text, line: 1 };
    std::iter::from_fn(move || splitter.step())
}

struct Splitter<'a> {
    rest: &'a str,
    line: u32,
}

// === impl Splitter ===

impl<'a> Splitter<'a> {
    fn step(&mut self) -> Option<Result<Chunk<'a>, Fault>> {
        loop {
            if let Err(fault) = self.skip_prologue() {
                return Some(Err(fault));
            }
            if self.rest.is_empty() {
                return None;
            }
            let (text, line) = (self.rest, self.line);
            let mut length = 0;
            for (index, found) in text.split_inclusive('\n').enumerate() {
                let ends = is_marker(found, "...");
                if ends || (index > 0 && is_marker(found, "---")) {
                    self.line += number(index + usize::from(ends));
                    let (chunk, rest) = text.split_at(length);
                    self.rest = if ends { rest.get(found.len()..).unwrap_or_default() } else { rest };
                    if chunk.is_empty() {
                        break;
                    }
                    return Some(Ok(Chunk { text: chunk, line }));
                }
                length += found.len();
            }
            if length == text.len() {
                self.rest = "";
                return Some(Ok(Chunk { text, line }));
            }
        }
    }

    /// Passes over blank lines, comments and the `%YAML` directive in front of a document.
    fn skip_prologue(&mut self) -> Result<(), Fault> {
        while let Some(found) = self.rest.split_inclusive('\n').next() {
            let content = found.trim_end();
            let directive = content.starts_with('%');
            if !(directive || content.is_empty() || content.trim_start_matches([' ', '\t']).starts_with('#'))
            {
                break;
            }
            self.rest = self.rest.get(found.len()..).unwrap_or_default();
            self.line += 1;
            if directive && !content.starts_with("%YAML 1.") {
                let name = content.split_whitespace().next().unwrap_or("%");
                let at = Span::at(Position { line: self.line - 1, column: 1 });
                return Err(
                    Fault::new(at, format!("the directive `{name}` is not supported")).hint("remove it")
                );
            }
        }
        Ok(())
    }
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}
