//! JSON writes a character beyond U+FFFF as two escapes, YAML as one.

use std::{borrow::Cow, fmt::Write as _};

/// Writes each pair of surrogate escapes (RFC 8259 section 7) as YAML's `\U…`. What follows on the same line moves by
/// two columns for each pair.
pub(super) fn join(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        joined.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(character) = pair(rest) {
            // Writing to text cannot fail.
            let _ = write!(joined, "\\U{:08X}", u32::from(character));
            rest = &rest[12..];
        } else {
            // The escaped character goes along: a backslash must not begin another escape.
            let width = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
            joined.push_str(&rest[..width]);
            rest = &rest[width..];
        }
    }
    joined.push_str(rest);
    Cow::Owned(joined)
}

/// The character of the two escapes with which `text` begins.
fn pair(text: &str) -> Option<char> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    char::decode_utf16([unit(0)?, unit(6)?]).next()?.ok().filter(|character| character.len_utf16() == 2)
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn pairs_are_joined_and_nothing_else_is_touched() {
        for (json, yaml) in [
            (r#""\ud83d\ude00""#, r#""\U0001F600""#),
            (r#""a\uD83D\uDE00b\u00e9""#, r#""a\U0001F600b\u00e9""#),
            (r#""\\ud83d\\ude00""#, r#""\\ud83d\\ude00""#),
            (r#""\ud83d""#, r#""\ud83d""#),
            (r#""\ude00\ud83d""#, r#""\ude00\ud83d""#),
            ("\"\\", "\"\\"),
            ("\\é", "\\é"),
        ] {
            assert_eq!(join(json), yaml);
        }
    }
}
