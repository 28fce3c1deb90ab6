//! Documents as YAML text, for people.

use serde_json::Value;

/// One document, without a `---` line.
pub fn emit(document: &Value) -> String {
    // JSON values have text keys and finite numbers: nothing that YAML could not hold. Should it fail all the same, JSON
    // is YAML too.
    serde_yaml::to_string(document).unwrap_or_else(|_| format!("{document:#}\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_emitted_reads_back_as_the_same() {
        let document = json!({
            "kind": "HTTPRoute",
            "spec": {"hostnames": ["*.example.com", "yes", "1.5", "null", "a: b", "# c", ""], "n": 1, "t": true},
            "message": "two\nlines: `x`",
        });
        let read = super::super::yaml::parse(&emit(&document));
        assert_eq!(read.documents[0].value, document);
    }
}
