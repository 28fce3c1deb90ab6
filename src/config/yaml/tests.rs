//! What is read, what is refused, and where it says that it is.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn one(text: &str) -> Document {
    let mut parsed = parse(text);
    assert_eq!(parsed.faults, [], "{text}");
    assert_eq!(parsed.documents.len(), 1, "{text}");
    parsed.documents.remove(0)
}

fn fault(text: &str) -> String {
    let parsed = parse(text);
    let [fault] = &*parsed.faults else { panic!("{text:?} gives {parsed:?}") };
    format!("{}:{}: {}", fault.span.start.line, fault.span.start.column, fault.message)
}

fn at(document: &Document, pointer: &str) -> (Option<(u32, u32)>, (u32, u32)) {
    let place = document.locate(pointer);
    (
        place.key.map(|key| (key.start.line, key.start.column)),
        (place.value.start.line, place.value.start.column),
    )
}

#[test]
fn every_key_and_value_has_a_position() {
    let document = one("a: 1\nb:\n  c: [x, \"y\"]\n  d:\n  - e: 2\n    f:\n");
    assert_eq!(document.value, json!({"a": 1, "b": {"c": ["x", "y"], "d": [{"e": 2, "f": null}]}}));
    assert_eq!(at(&document, "/a"), (Some((1, 1)), (1, 4)));
    assert_eq!(at(&document, "/b/c/1"), (None, (3, 10)));
    assert_eq!(at(&document, "/b/d/0/e"), (Some((5, 5)), (5, 8)));
    assert_eq!(at(&document, "/b/d/0/f"), (Some((6, 5)), (6, 5)));
    assert_eq!(at(&document, "/b/d/7/x"), (Some((4, 3)), at(&document, "/b/d").1));
}

#[test]
fn positions_are_those_of_the_file_in_every_document() {
    let parsed = parse("# head\n---\na: 1\n---\n\n--- # empty\n# c\n...\n%YAML 1.2\n---\nb:\n  c: 2\n");
    assert_eq!(parsed.faults, []);
    let values: Vec<_> = parsed.documents.iter().map(|document| document.value.clone()).collect();
    assert_eq!(values, [json!({"a": 1}), json!({"b": {"c": 2}})]);
    assert_eq!(at(&parsed.documents[1], "/b/c"), (Some((12, 3)), (12, 6)));
    assert_eq!(parsed.documents[1].start(), Position { line: 11, column: 1 });
}

#[test]
fn a_document_that_cannot_be_read_costs_only_itself() {
    let parsed = parse("a: 1\n---\nb: [\n---\nc: 3\n");
    let values: Vec<_> = parsed.documents.iter().map(|document| document.value.clone()).collect();
    assert_eq!(values, [json!({"a": 1}), json!({"c": 3})]);
    assert_eq!(parsed.faults.len(), 1);
}

#[test]
fn byte_order_mark_crlf_and_columns_in_characters() {
    let document = one("\u{feff}ä: 'é': x\r\n".replace("'é': x", "{é: x}").as_str());
    assert_eq!(at(&document, "/ä/é"), (Some((1, 5)), (1, 8)));
    let document = one("a: |\r\n  x\r\n  y\r\nb: 2\r\n");
    assert_eq!(document.value, json!({"a": "x\ny\n", "b": 2}));
    assert_eq!(at(&document, "/b"), (Some((4, 1)), (4, 4)));
}

#[test]
fn scalars_follow_the_core_schema() {
    let document = one(
        "[1, -2, +3, 0x1F, 0o17, 0b11, 010, 1.5, 1e3, yes, on, True, ~, null, 1_000, '1', .5, 10s, 1.2.3, -x]",
    );
    assert_eq!(
        document.value,
        json!([
            1, -2, 3, 31, 15, 3, "010", 1.5, 1000.0, "yes", "on", true, null, null, "1_000", "1", 0.5, "10s",
            "1.2.3", "-x"
        ])
    );
}

#[test]
fn aliases_and_merge_keys_are_applied() {
    let document = one("a: &a {x: 1, y: 2}\nb: *a\nc:\n  <<: *a\n  y: 3\nd:\n  <<: [{x: 4}, *a]\n");
    assert_eq!(
        document.value,
        json!({"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}, "d": {"x": 4, "y": 2}})
    );
    assert_eq!(fault("a:\n  <<: 1\n"), "2:3: `<<` takes an alias of a mapping, or a list of them");
}

#[test]
fn what_is_refused_says_where_and_why() {
    assert_eq!(fault("a: 1\nb: 2\na: 3\n"), "3:1: duplicate key `a`, first written on line 1");
    assert_eq!(fault("a: {b: 1, \"b\": 2}\n"), "1:11: duplicate key `b`, first written on line 1");
    assert_eq!(fault("x: 1\n---\na: !Ref b\n"), "3:4: the tag `!Ref` is not supported");
    assert_eq!(fault("a: !!str 1\n"), "1:4: the tag `!!str` is not supported");
    assert_eq!(
        fault("%TAG ! tag:x,2000:\n---\na: 1\n").as_str(),
        "1:1: the directive `%TAG` is not supported"
    );
    assert_eq!(fault("a: x\0y\n"), "1:5: the text holds a NUL character");
    assert_eq!(fault("a: 1\rb: 2\n"), "1:5: the text holds a carriage return that does not end a line");
    assert_eq!(fault("[a]: 1\n"), "1:1: a key must be a text, found a list");
    assert_eq!(fault("null: 1\n"), "1:1: a key must be a text, found `null`");
    assert_eq!(
        fault("a: 99999999999999999999999\n"),
        "1:4: the number `99999999999999999999999` is out of range"
    );
    assert_eq!(fault("a: .inf\n"), "1:4: the number `.inf` is out of range");
    assert_eq!(fault("a: &x [*x]\n"), "1:8: the alias stands for a value that contains it");
    assert!(fault("a: \"x\n").starts_with("1:4: not valid YAML: "), "{}", fault("a: \"x\n"));
    assert!(fault(&"[".repeat(200_000)).ends_with("nested more than 64 levels deep"));
    assert!(fault(&"- ".repeat(100)).ends_with("nested more than 64 levels deep"));
}

#[test]
fn keys_that_are_numbers_are_texts() {
    assert_eq!(one("80: a\ntrue: b\n").value, json!({"80": "a", "true": "b"}));
    assert_eq!(fault("0x50: a\n"), "1:1: a key must be a text, found `0x50`");
}

#[test]
fn an_alias_bomb_is_refused_before_it_grows() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        text.extend([&format!("a{level}: &a{level} ["), below.trim_end_matches(", "), "]\n"]);
    }
    assert!(
        fault(&text).ends_with("anchors and aliases stand for more than 100000 values"),
        "{}",
        fault(&text)
    );
}

#[test]
fn tabs_and_stars_get_a_hint() {
    let hint = |text: &str| parse(text).faults[0].hint.clone().unwrap_or_default();
    assert!(hint("a:\n\tb: 1\n").contains("tab"), "{:?}", parse("a:\n\tb: 1\n"));
    assert!(hint("a: *.example.com\n").contains("quotes"));
}

#[test]
fn json_has_positions_and_its_own_messages() {
    let parsed = parse_json("{\n\t\"a\": {\"b/c\": [1, \"\\u003c\"]}\n}");
    assert_eq!(parsed.faults, []);
    assert_eq!(parsed.documents[0].value, json!({"a": {"b/c": [1, "<"]}}));
    assert_eq!(at(&parsed.documents[0], "/a/b~1c/1"), (None, (2, 19)));
    let message = |text: &str| parse_json(text).faults[0].message.clone();
    assert_eq!(message("{\"a\": 1,}"), "not valid JSON: trailing comma");
    assert_eq!(message("{\"a\": 1, \"a\": 2}"), "duplicate key `a`, first written on line 1");
}

#[test]
fn bytes_that_are_not_utf8_have_a_position() {
    let fault = decode(b"a: 1\nb: \xff\n").unwrap_err();
    assert_eq!((fault.span.start.line, fault.span.start.column), (2, 4));
    assert_eq!(fault.message, "the byte 0xff is not valid UTF-8");
    assert_eq!(decode(b"\xff\xfea\0").unwrap_err().message, "the text is UTF-16");
}

const VALID: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: books, namespace: &n shop}\nspec:\n  hostnames: [\"books.example.com\", '*.x.org']\n  rules:\n  - matches: [{path: {type: PathPrefix, value: /api}}]\n    backendRefs:\n    - {name: *n, port: 8080, weight: 9}\n    # comment\n    timeouts: {request: 10s}\n  note: |\n    text: here\n    --- no\n  fold: >-\n    a\n    b\n---\na: \"\\u00e9\"\n...\n";

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _ = (parse(&text), parse_json(&text), decode(text.as_bytes()).is_ok());
    }

    #[test]
    fn any_text_of_yaml_signs_is_read_or_refused(text in "[-a:{}\\[\\],&*!|>'\"%#? \n\t0.~<]{0,60}") {
        let parsed = parse(&text);
        let lines = u32::try_from(text.split('\n').count()).unwrap();
        for fault in &parsed.faults {
            prop_assert!(fault.span.start.line >= 1 && fault.span.start.line <= lines + 1);
        }
    }

    #[test]
    fn any_mutation_of_a_valid_text_is_read_or_refused(at in 0..VALID.len(), cut in 0..8_usize, put in "[-a:{}\\[\\],&*!|>'\"%#? \n\t\u{e9}\u{2028}]{0,4}") {
        let head: String = VALID.chars().take(at).collect();
        let tail: String = VALID.chars().skip(at + cut).collect();
        let _ = parse(&format!("{head}{put}{tail}"));
    }
}

#[test]
fn json_may_write_a_character_as_two_surrogates() {
    let parsed = parse_json(r#"{"a": "\ud83d\ude00", "b": "\u00e9"}"#);
    assert!(parsed.faults.is_empty(), "{:?}", parsed.faults);
    assert_eq!(parsed.documents[0].value["a"], "😀");
    assert!(!parse_json(r#"{"a": "\ud83d"}"#).faults.is_empty());
}
