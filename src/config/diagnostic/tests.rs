//! The words and forms of diagnostics.

use std::{collections::BTreeMap, sync::Arc};

use super::*;

fn example() -> Diagnostic {
    Diagnostic {
        file: "routes/shop.yaml".into(),
        line: 4,
        column: 3,
        end_column: Some(12),
        severity: Severity::Error,
        object: Some("HTTPRoute shop/books".into()),
        path: "spec.hostnamez".into(),
        found: Some("hostnamez".into()),
        expected: None,
        suggestion: Some("hostnames".into()),
        message: "unknown field `hostnamez` in spec, did you mean `hostnames`?".into(),
        hint: None,
        confidential: false,
    }
}

const SOURCE: &str =
    "kind: HTTPRoute\nmetadata: {name: books}\nspec:\n  hostnamez: [a.example.com]\n  rules: []\n";

#[test]
fn the_nearest_name_is_one_that_a_person_could_have_meant() {
    let fields = ["hostnames", "rules", "parentRefs", "useDefaultGateways"];
    assert_eq!(nearest("hostnamez", fields), Some("hostnames"));
    assert_eq!(nearest("host_names", fields), Some("hostnames"));
    assert_eq!(nearest("parentrefs", fields), Some("parentRefs"));
    assert_eq!(nearest("ruels", fields), Some("rules"));
    assert_eq!(nearest("x", fields), None);
    assert_eq!(nearest("backends", fields), None);
    assert_eq!(nearest("host", fields), None);
    assert_eq!(meant("host", fields.into_iter()), Some("hostnames"));
    assert_eq!(meant("hostnamez", fields.into_iter()), Some("hostnames"));
    assert_eq!(meant("name", ["name", "names", "hostnames"].into_iter()), Some("name"));
    assert_eq!(meant("names", ["hostnames", "surnames"].into_iter()), None, "two could be meant");
}

#[test]
fn one_line_says_all() {
    let line = "routes/shop.yaml:4:3: error: unknown field `hostnamez` in spec, did you mean `hostnames`? (path spec.hostnamez)\n";
    assert_eq!(render_lines(&[example()]), line);
}

#[test]
fn json_has_stable_names() {
    let value: serde_json::Value = serde_json::from_str(&render_json(&[example()])).unwrap();
    assert_eq!(
        value,
        serde_json::json!([{
            "file": "routes/shop.yaml", "line": 4, "column": 3, "end_column": 12, "severity": "error",
            "object": "HTTPRoute shop/books", "path": "spec.hostnamez", "found": "hostnamez", "expected": null,
            "suggestion": "hostnames", "hint": null,
            "message": "unknown field `hostnamez` in spec, did you mean `hostnames`?",
        }])
    );
    assert_eq!(render_json(&[]), "[]\n");
}

#[test]
fn a_workflow_command_cannot_be_forged() {
    let forged = Diagnostic {
        file: "a,b:c\n::error::x.yaml".into(),
        message: "50% \r\n::error::no".into(),
        path: String::new(),
        ..example()
    };
    assert_eq!(
        render_github(&[forged]),
        "::error file=a%2Cb%3Ac%0A%3A%3Aerror%3A%3Ax.yaml,line=4,col=3,endColumn=11::50%25 %0D%0A::error::no\n"
    );
}

#[test]
fn a_terminal_shows_the_lines_and_what_was_meant() {
    let sources = BTreeMap::from([(Arc::from("routes/shop.yaml"), Arc::from(SOURCE))]);
    let expected = "\
error: unknown field `hostnamez` in spec, did you mean `hostnames`?
 --> routes/shop.yaml:4:3
  |
4 |   hostnamez: [a.example.com]
  |   ^^^^^^^^^ did you mean `hostnames`?
  |
  = in: HTTPRoute shop/books, spec.hostnamez

";
    let text = render_terminal(&[example()], &sources, Style::Plain);
    assert_eq!(text, expected, "{text}");
    assert!(render_terminal(&[example()], &sources, Style::Colour).contains('\u{1b}'));
}

#[test]
fn the_lines_of_a_secret_are_never_shown() {
    let sources = BTreeMap::from([(Arc::from("routes/shop.yaml"), Arc::from(SOURCE))]);
    let secret = Diagnostic { confidential: true, ..example() };
    let text = render_terminal(&[secret], &sources, Style::Plain);
    assert!(!text.contains("a.example.com") && text.contains("routes/shop.yaml:4:3"), "{text}");
}

#[test]
fn a_place_outside_of_the_text_does_no_harm() {
    let sources = BTreeMap::from([(Arc::from("routes/shop.yaml"), Arc::from("é"))]);
    for (line, column, end_column) in [(9, 9, Some(12)), (1, 1, None), (1, 2, Some(1)), (0, 0, Some(0))] {
        let diagnostic = Diagnostic { line, column, end_column, ..example() };
        assert!(!render_terminal(&[diagnostic], &sources, Style::Plain).is_empty());
    }
    let sources = BTreeMap::from([(Arc::from("routes/shop.yaml"), Arc::from(""))]);
    assert!(render_terminal(&[example()], &sources, Style::Plain).contains("routes/shop.yaml:4:3"));
}

#[test]
fn shown_text_cannot_steer_a_terminal() {
    assert_eq!(shown("a\n\u{1b}[31mb\u{202e}c"), "a\\n\\u{1b}[31mb\\u{202e}c");
    assert_eq!(shown(&"x".repeat(300)).chars().count(), 201);
}
