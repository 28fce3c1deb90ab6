//! `portolan diff`: what files would change about what runs, before they do.

use std::fmt::Write as _;

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    args::{DiffArgs, DiffFormat},
    check::count,
    client::{Client, block_on, refused},
    exit::{Advised, Exit},
    get::table::text,
    print::{self, Paint},
};
use crate::config::files;

/// Prints the differences. Exit code 0 for none, 1 for some, 2 for a document that cannot be used.
pub fn diff(args: &DiffArgs) -> anyhow::Result<Exit> {
    let scan = files::scan(&args.paths);
    if let Some((path, why)) = scan.troubles.iter().next() {
        let message = format!("`{}` {why}", path.display());
        return Err(Advised::new(message, "name files and directories that can be read").into());
    }
    let mut documents = Vec::new();
    for (path, file) in &scan.files {
        // Invalid UTF-8 is found and told where the documents are read.
        documents.push((path.to_string_lossy(), String::from_utf8_lossy(&file.content)));
    }
    let client = Client::new(args.server.admin.clone());
    let answer = block_on(client.post("/api/v1/plan", json!({ "files": documents }).to_string()))?;
    if answer.status != StatusCode::OK {
        return Err(refused(&answer));
    }
    let answer: Value = serde_json::from_slice(&answer.body)?;
    let differences = answer["differences"].as_array().map_or(&[][..], Vec::as_slice);
    match args.output {
        DiffFormat::Text => {
            print::data(&page(differences, Paint::of_stdout()))?;
            print::message(&summary(differences));
        }
        DiffFormat::Json => print::data(&format!("{answer:#}\n"))?,
    }
    Ok(verdict(differences))
}

fn verdict(differences: &[Value]) -> Exit {
    if differences.iter().any(|one| one["kind"] == "invalid") {
        Exit::Trouble
    } else if differences.is_empty() {
        Exit::Yes
    } else {
        Exit::No
    }
}

fn page(differences: &[Value], paint: Paint) -> String {
    let mut out = String::new();
    for one in differences {
        let (mark, code) = match one["kind"].as_str() {
            Some("added") => ("+", "32"),
            Some("removed") => ("-", "31"),
            Some("invalid") => ("!", "1;31"),
            _ => ("~", "33"),
        };
        let _ = writeln!(out, "{}", paint.paint(code, &format!("{mark} {}", text(&one["sentence"]))));
        for detail in one["details"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "    {}", text(detail));
        }
    }
    out
}

/// `3 differences: 1 added, 2 changed`.
fn summary(differences: &[Value]) -> String {
    if differences.is_empty() {
        return "nothing would change".to_owned();
    }
    let kinds = ["added", "changed", "removed", "invalid"];
    let number = |kind: &str| differences.iter().filter(|one| one["kind"] == kind).count();
    let counts = kinds.map(|kind| (number(kind), kind)).into_iter().filter(|(number, _)| *number > 0);
    let counts: Vec<_> = counts.map(|(number, kind)| format!("{number} {kind}")).collect();
    format!("{}: {}", count(differences.len(), "difference"), counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_reads_like_a_review() {
        let differences = [
            json!({"kind": "changed", "sentence": "HTTPRoute shop/books has changed (a.yaml:1:1)", "details": ["~ spec.x: 1 → 2"]}),
            json!({"kind": "added", "sentence": "Backend shop/new is new (b.yaml:1:1)", "details": []}),
        ];
        assert_eq!(
            page(&differences, Paint::Plain),
            "~ HTTPRoute shop/books has changed (a.yaml:1:1)\n    ~ spec.x: 1 → 2\n+ Backend shop/new is new (b.yaml:1:1)\n"
        );
        assert_eq!(summary(&differences), "2 differences: 1 added, 1 changed");
        assert_eq!(summary(&[]), "nothing would change");
    }

    #[test]
    fn the_exit_code_tells_nothing_from_changes_from_mistakes() {
        let one = |kind: &str| json!({ "kind": kind });
        assert_eq!(verdict(&[]), Exit::Yes);
        assert_eq!(verdict(&[one("removed")]), Exit::No);
        assert_eq!(verdict(&[one("added"), one("invalid")]), Exit::Trouble);
    }
}
