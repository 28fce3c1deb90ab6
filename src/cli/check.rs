//! `portolan check`: what is wrong with files, before they are served.

use super::{
    args::{CheckArgs, CheckFormat},
    exit::Exit,
    print::{self, Paint},
};
use crate::config::{
    check::{Report, check_paths},
    diagnostic::{Severity, Style, render_github, render_json, render_lines, render_terminal},
};

/// Prints what is wrong, then one line that sums it up.
pub fn check(args: &CheckArgs) -> anyhow::Result<Exit> {
    let report = check_paths(&args.paths);
    print::data(&render(&report, args.output))?;
    print::message(&summary(&report));
    Ok(verdict(&report))
}

fn render(report: &Report, format: CheckFormat) -> String {
    match format {
        CheckFormat::Json => render_json(&report.diagnostics),
        CheckFormat::Github => render_github(&report.diagnostics),
        // Beside an excerpt there is nothing to search for; a file or a pipe gets lines that can be.
        CheckFormat::Text if print::stdout_is_terminal() => {
            let style = match Paint::of_stdout() {
                Paint::Plain => Style::Plain,
                Paint::Colour => Style::Colour,
            };
            render_terminal(&report.diagnostics, &report.sources, style)
        }
        CheckFormat::Text => render_lines(&report.diagnostics),
    }
}

/// `12 documents in 3 files: 1 error, 2 warnings`.
fn summary(report: &Report) -> String {
    let found = |severity, one| {
        let number = report.diagnostics.iter().filter(|found| found.severity == severity).count();
        (number != 0).then(|| count(number, one))
    };
    let findings: Vec<_> =
        [found(Severity::Error, "error"), found(Severity::Warning, "warning"), found(Severity::Note, "note")]
            .into_iter()
            .flatten()
            .collect();
    let verdict = if findings.is_empty() { "valid".to_owned() } else { findings.join(", ") };
    format!("{} in {}: {verdict}", count(report.documents, "document"), count(report.files, "file"))
}

/// `1 file`, `2 files`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

fn verdict(report: &Report) -> Exit {
    if report.is_incomplete {
        Exit::Trouble
    } else if report.is_valid() {
        Exit::Yes
    } else {
        Exit::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::check_text;

    const VALID: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

    #[test]
    fn the_last_line_counts_documents_files_and_findings() {
        for (text, expected) in [
            (VALID.to_owned(), "1 document in 1 file: valid"),
            (format!("{VALID}---\n{}", VALID.replace("name: a", "name: b")), "2 documents in 1 file: valid"),
            (VALID.replace("metadata: ", "metadatum: "), "1 document in 1 file: 2 errors"),
            (VALID.replace("ConfigMap", "Pod"), "1 document in 1 file: 1 note"),
        ] {
            assert_eq!(summary(&check_text("a.yaml", &text)), expected, "{text}");
        }
    }

    #[test]
    fn the_exit_code_tells_invalid_from_unreadable() {
        assert_eq!(verdict(&check_text("a.yaml", VALID)), Exit::Yes);
        assert_eq!(verdict(&check_text("a.yaml", "kind: [")), Exit::No);
        assert_eq!(verdict(&check_paths(&["/does/not/exist".into()])), Exit::Trouble);
    }
}
