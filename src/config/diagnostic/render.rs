//! Diagnostics as text: for a terminal, one per line, as JSON, and as workflow commands of GitHub.

use std::{collections::BTreeMap, fmt::Write as _, ops::Range, sync::Arc};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Diagnostic, Severity};

/// Whether a terminal reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Colour,
}

/// One line each: `file:line:column: error: message (path …); hint`.
pub fn render_lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().fold(String::new(), |mut out, diagnostic| {
        let _ = writeln!(out, "{diagnostic}");
        out
    })
}

/// One JSON array of objects.
pub fn render_json(diagnostics: &[Diagnostic]) -> String {
    let mut text = serde_json::to_string_pretty(diagnostics).unwrap_or_else(|_| "[]".to_owned());
    text.push('\n');
    text
}

/// One workflow command each: GitHub shows them beside the lines of a change.
pub fn render_github(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().fold(String::new(), |mut out, diagnostic| {
        let command = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let file = escape_property(&diagnostic.file);
        let _ = write!(out, "::{command} file={file}");
        if diagnostic.line > 0 {
            let _ = write!(out, ",line={},col={}", diagnostic.line, diagnostic.column);
        }
        if let Some(end) = diagnostic.end_column {
            // GitHub's last column is part of the range.
            let _ = write!(out, ",endColumn={}", end.saturating_sub(1).max(diagnostic.column));
        }
        let path =
            if diagnostic.path.is_empty() { String::new() } else { format!(" (path {})", diagnostic.path) };
        let hint = diagnostic.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        let _ = writeln!(out, "::{}", escape_message(&format!("{}{path}{hint}", diagnostic.message)));
        out
    })
}

/// A report for people: each finding with the lines around it. `sources` holds the texts of files; a finding whose
/// text is not there is shown without.
pub fn render_terminal(
    diagnostics: &[Diagnostic],
    sources: &BTreeMap<Arc<str>, Arc<str>>,
    style: Style,
) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Colour => Renderer::styled(),
    };
    let mut reader = Excerpts { sources, current: None };
    diagnostics.iter().fold(String::new(), |mut out, diagnostic| {
        let excerpt = if diagnostic.confidential { None } else { reader.read(diagnostic) };
        let _ = writeln!(out, "{}\n", renderer.render(&[group(diagnostic, excerpt.as_ref())]));
        out
    })
}

fn group<'a>(diagnostic: &'a Diagnostic, excerpt: Option<&'a Excerpt>) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(&diagnostic.message);
    let group = if let Some(excerpt) = excerpt {
        let annotation = AnnotationKind::Primary.span(excerpt.marked.clone()).label(label(diagnostic));
        title.element(
            Snippet::source(&excerpt.text)
                .path(&*diagnostic.file)
                .line_start(excerpt.first_line)
                .annotation(annotation),
        )
    } else {
        title.element(Level::NOTE.with_name("at").message(diagnostic.place()))
    };
    let group = match (&diagnostic.object, &*diagnostic.path) {
        (None, "") => group,
        (Some(object), "") => group.element(Level::NOTE.with_name("in").message(object)),
        (None, path) => group.element(Level::NOTE.with_name("in").message(path)),
        (Some(object), path) => {
            group.element(Level::NOTE.with_name("in").message(format!("{object}, {path}")))
        }
    };
    match &diagnostic.hint {
        Some(hint) => group.element(Level::HELP.message(hint)),
        None => group,
    }
}

/// What stands beside the marked text.
fn label(diagnostic: &Diagnostic) -> Option<String> {
    match (&diagnostic.suggestion, &diagnostic.expected) {
        (Some(suggestion), _) => Some(format!("did you mean `{suggestion}`?")),
        (None, Some(expected)) => Some(format!("expected {expected}")),
        (None, None) => None,
    }
}

fn escape_message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_message(text).replace(':', "%3A").replace(',', "%2C")
}

/// Some lines of a source, of which a part is marked.
struct Excerpt {
    text: String,
    first_line: usize,
    marked: Range<usize>,
}

/// Cuts excerpts out of sources; finds the lines of each file once.
struct Excerpts<'a> {
    sources: &'a BTreeMap<Arc<str>, Arc<str>>,
    current: Option<(&'a Arc<str>, Vec<&'a str>)>,
}

// === impl Excerpts ===

impl Excerpts<'_> {
    fn read(&mut self, diagnostic: &Diagnostic) -> Option<Excerpt> {
        const BEFORE: usize = 2;
        let (file, source) = self.sources.get_key_value(&diagnostic.file)?;
        if self.current.as_ref().is_none_or(|(current, _)| *current != file) {
            let source = source.strip_prefix('\u{feff}').unwrap_or(source);
            self.current = Some((file, source.lines().collect()));
        }
        let (_, lines) = self.current.as_ref()?;
        let line = usize::try_from(diagnostic.line).ok()?.saturating_sub(1).min(lines.len().checked_sub(1)?);
        let first = line.saturating_sub(BEFORE);
        let before: usize = lines.get(first..line)?.iter().map(|line| line.len() + 1).sum();
        let marked = lines.get(line)?;
        let start = byte_of_column(marked, diagnostic.column);
        let end = diagnostic.end_column.map_or(marked.len(), |end| byte_of_column(marked, end)).max(start);
        Some(Excerpt {
            text: lines.get(first..=line)?.join("\n"),
            first_line: first + 1,
            marked: before + start..before + end,
        })
    }
}

fn byte_of_column(line: &str, column: u32) -> usize {
    let index = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
    line.char_indices().nth(index).map_or(line.len(), |(byte, _)| byte)
}
