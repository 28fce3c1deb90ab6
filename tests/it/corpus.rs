//! The seeds of the fuzz targets, and texts that are close to them.

#[path = "../../fuzz/checks.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets are other crates")]
mod checks;

use std::{fs, path::Path};

/// What one slip of a hand, or of a careful stranger, makes of a text: cut off anywhere, or with one thing put in.
fn slips(text: &str) -> impl Iterator<Item = String> {
    const PUT_IN: [&str; 12] = ["/", ".", "%", "%2e", "\\", "*", ":", "{", "\"", "\n", "\0", "\u{202e}"];
    let places = text.char_indices().map(|(at, _)| at);
    places.flat_map(move |at| {
        let (front, back) = text.split_at(at);
        let put_in = PUT_IN.iter().map(move |what| format!("{front}{what}{back}"));
        put_in.chain([front.to_owned()])
    })
}

/// Every seed of a target, and each `step`th of its slips.
#[track_caller]
fn holds(target: &str, step: usize, check: impl Fn(&str)) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut count = 0;
    for seed in fs::read_dir(seeds).expect("the seeds") {
        let text = fs::read_to_string(seed.expect("a seed").path()).expect("a text");
        check(&text);
        slips(&text).step_by(step).for_each(|slip| check(&slip));
        count += 1;
    }
    assert!(count >= 8, "{count} seeds of `{target}`");
}

#[test]
fn paths_have_one_canonical_form() {
    holds("path", 1, checks::path);
}

#[test]
fn hosts_have_one_spelling() {
    holds("host", 1, checks::host);
}

#[test]
fn networks_have_one_spelling() {
    holds("network", 1, checks::network);
}

#[test]
fn documents_are_read_or_told_of() {
    // Each is checked as a whole: all of them would take seconds.
    holds("document", 7, checks::document);
}
