//! How the sentences of statuses are put together.

use crate::model::Unsupported;

/// A message names this many of its reasons; more would hide the first ones.
const MAX_REASONS: usize = 8;

/// Joins sentences, each once, in their order; those beyond the first few are counted.
pub(super) fn joined(sentences: impl IntoIterator<Item = String>) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut more = 0;
    for sentence in sentences {
        if kept.contains(&sentence) {
            continue;
        }
        if kept.len() < MAX_REASONS {
            kept.push(sentence);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        kept.push(format!("and {more} more"));
    }
    kept.join("; ")
}

/// Lists names in backticks, or says `none`.
pub(super) fn listed<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match names.len() {
        0 => "none".into(),
        many if many > MAX_REASONS => {
            format!("{} and {} more", names[..MAX_REASONS].join(", "), many - MAX_REASONS)
        }
        _ => names.join(", "),
    }
}

/// A group as it is written: that of the core kinds has no letters.
pub(super) fn group(group: &str) -> &str {
    if group.is_empty() { "\"\"" } else { group }
}

/// `` listener `a` ``, or `` listeners `a`, `b` ``.
pub(super) fn named(noun: &str, names: &[&str]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{noun}{plural} {}", listed(names))
}

/// `spec.rules[0].filters[1]: the CORS filter is not served yet`, for each field.
pub(super) fn fields<'u>(
    unsupported: impl IntoIterator<Item = &'u Unsupported>,
) -> impl Iterator<Item = String> {
    unsupported.into_iter().map(|unsupported| format!("{}: {}", unsupported.field, unsupported.why))
}
