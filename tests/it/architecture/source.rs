//! Reads Rust text just well enough for the house rules: tokens without comments and literals, and the paths they name.

use std::collections::BTreeSet;

/// A word, a number, `::`, or one punctuation mark; never a comment or the inside of a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub text: &'a str,
    pub line: usize,
}

/// A path as a file names it, resolved to the crate's root where it starts with `crate`, `self` or `super`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path {
    pub line: usize,
    /// `true` for a path of ours: its first segment is then a module of the crate.
    pub ours: bool,
    pub segments: Vec<String>,
}

// === impl Token ===

impl Token<'_> {
    pub(super) fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Splits `text` into tokens.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (length, keep) = measure(rest, first);
        let (taken, left) = rest.split_at(length);
        if keep {
            found.push(Token { text: taken.trim_start_matches("r#"), line });
        }
        line += taken.matches('\n').count();
        rest = left;
    }
    found
}

/// The length of what `rest` starts with, and whether it is a token.
fn measure(rest: &str, first: char) -> (usize, bool) {
    let word = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), false);
    }
    if let Some(length) = string_literal(rest) {
        return (length, false);
    }
    if first == '\'' {
        return (quote(rest), false);
    }
    if rest.starts_with("::") {
        return (2, true);
    }
    if let Some(raw) = rest.strip_prefix("r#").filter(|raw| raw.starts_with(|c: char| c.is_alphabetic())) {
        return (2 + word(raw), true);
    }
    if first.is_alphanumeric() || first == '_' {
        return (word(rest), true);
    }
    (first.len_utf8(), !first.is_whitespace())
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += 1;
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a string literal with its prefix, if `rest` starts with one.
fn string_literal(rest: &str) -> Option<usize> {
    let prefix = rest.find(|c| !matches!(c, 'b' | 'c' | 'r'))?;
    let after = &rest[prefix..];
    if rest[..prefix].ends_with('r') {
        let hashes = after.find(|c| c != '#')?;
        let body = after[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(prefix + hashes + 1 + body.find(&end).map_or(body.len(), |at| at + end.len()));
    }
    let body = after.strip_prefix('"')?;
    Some(prefix + 1 + closing(body, '"'))
}

/// The length of a character literal, or of a lifetime.
fn quote(rest: &str) -> usize {
    let body = &rest[1..];
    let mut letters = body.chars();
    match (letters.next(), letters.next()) {
        (Some('\\'), _) => 1 + closing(body, '\''),
        (Some(letter), Some('\'')) => 2 + letter.len_utf8(),
        _ => 1 + body.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(body.len()),
    }
}

fn closing(body: &str, end: char) -> usize {
    let mut escaped = false;
    for (at, letter) in body.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            letter if letter == end => return at + letter.len_utf8(),
            _ => {}
        }
    }
    body.len()
}

/// Every path that a file of module `module` names, in `use` trees and in expressions.
pub(super) fn paths(tokens: &[Token<'_>], module: &[String]) -> BTreeSet<Path> {
    let mut found = BTreeSet::new();
    let mut here = module.to_vec();
    let (mut depth, mut inline) = (0_usize, Vec::new());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let follows_path = at > 0 && tokens[at - 1].text == "::";
        match token.text {
            "mod" if tokens.get(at + 2).is_some_and(|t| t.text == "{") => {
                here.push(tokens[at + 1].text.to_owned());
                inline.push(depth);
                (depth, at) = (depth + 1, at + 2);
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if inline.last() == Some(&depth) {
                    inline.pop();
                    here.pop();
                }
            }
            "use" => {
                let mut ends = Vec::new();
                at = tree(tokens, at + 1, &[], &mut ends);
                found.extend(ends.iter().filter_map(|(line, end)| resolve(*line, end, &here)));
                continue;
            }
            _ if token.is_word() && !follows_path => {
                let (line, segments, next) = chain(tokens, at);
                // A lone `crate` or `super` is a visibility.
                found.extend(
                    resolve(line, &segments, &here).filter(|_| segments.len() > 1 || !is_root(&segments[0])),
                );
                at = next;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// `a::b::c` in an expression or a type.
fn chain(tokens: &[Token<'_>], mut at: usize) -> (usize, Vec<String>, usize) {
    let line = tokens[at].line;
    let mut segments = vec![tokens[at].text.to_owned()];
    at += 1;
    while tokens.get(at).is_some_and(|t| t.text == "::") && tokens.get(at + 1).is_some_and(Token::is_word) {
        segments.push(tokens[at + 1].text.to_owned());
        at += 2;
    }
    (line, segments, at)
}

/// One branch of a `use` tree; its leaves go to `ends`. Returns where it stopped.
fn tree(
    tokens: &[Token<'_>],
    mut at: usize,
    prefix: &[String],
    ends: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let mut path = prefix.to_vec();
    let mut grouped = false;
    while let Some(token) = tokens.get(at) {
        match token.text {
            "::" => {}
            "{" => {
                grouped = true;
                at += 1;
                while tokens.get(at).is_some_and(|t| t.text != "}") {
                    at = tree(tokens, at, &path, ends);
                    at += usize::from(tokens.get(at).is_some_and(|t| t.text == ","));
                }
            }
            "as" => at += 1,
            "*" => path.push("*".to_owned()),
            _ if token.is_word() => path.push(token.text.to_owned()),
            _ => break,
        }
        at += 1;
    }
    if !grouped {
        let line = tokens.get(at.saturating_sub(1)).map_or(0, |t| t.line);
        ends.push((line, path));
    }
    if tokens.get(at).is_some_and(|t| t.text == ";") { at + 1 } else { at }
}

fn is_root(segment: &str) -> bool {
    matches!(segment, "crate" | "self" | "super")
}

fn resolve(line: usize, path: &[String], here: &[String]) -> Option<Path> {
    let mut base = here.to_vec();
    let mut ours = false;
    let mut segments = path;
    while let Some((first, rest)) = segments.split_first() {
        match first.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => drop(base.pop()),
            _ => break,
        }
        (ours, segments) = (true, rest);
    }
    if !ours {
        return (!path.is_empty()).then(|| Path { line, ours, segments: path.to_vec() });
    }
    base.extend_from_slice(segments);
    Some(Path { line, ours, segments: base })
}
