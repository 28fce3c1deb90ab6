//! Checks a spec that stands alone, such as the value of a label, as if it were in a document.

use std::sync::Arc;

use serde_json::json;

use super::{
    Checked, Checker,
    finding::{Finding, Subject, Words},
    schema, unset_fields,
};
use crate::{
    api::{self, Definition},
    config::{
        diagnostic::{Diagnostic, Severity},
        rules,
        yaml::{self, Document},
    },
};

/// Where findings point.
const SPEC: &str = "/spec";

/// The object with this spec and no name, and what is odd about it; or what is wrong. Places and paths count from the
/// beginning of `text`.
pub(in crate::config) fn check_spec(
    definition: &'static Definition,
    text: &str,
) -> Result<(api::Object, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut checker = Checker { file: "".into(), checked: Checked::default() };
    let parsed = yaml::parse(text);
    if !parsed.faults.is_empty() {
        parsed.faults.into_iter().for_each(|fault| checker.fault(fault));
        return Err(checker.checked.diagnostics);
    }
    let [document] = &parsed.documents[..] else {
        let count = parsed.documents.len();
        let found = if count == 0 { "nothing".to_owned() } else { format!("{count} documents") };
        checker.fault(yaml::Fault {
            span: yaml::Span::START,
            message: format!("found {found}, expected one mapping"),
            hint: Some(format!("write the `spec` of one {}", definition.kind)),
        });
        return Err(checker.checked.diagnostics);
    };
    let (object, findings) = check(definition, document);
    let mut diagnostics: Vec<Diagnostic> =
        findings.into_iter().map(|finding| place(finding, document)).collect();
    diagnostics.sort();
    object.map(|object| (object, diagnostics.clone())).ok_or(diagnostics)
}

fn check(definition: &'static Definition, document: &Document) -> (Option<api::Object>, Vec<Finding>) {
    let mut value = json!({
        "apiVersion": definition.api_version(),
        "kind": definition.kind,
        "metadata": { "name": "unnamed" },
        "spec": document.value,
    });
    let mut findings = unset_fields(&value);
    api::drop_nulls(&mut value);
    findings.extend(schema::validate(definition.kind, &value));
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return (None, findings);
    }
    match api::Object::from_value(definition.kind, value) {
        Err(error) => {
            findings.push(Finding::new(&error.pointer, Words::Of(error.message)));
            (None, findings)
        }
        Ok(object) => {
            let violations = rules::check(&object);
            let is_valid = violations.is_empty();
            findings.extend(violations.into_iter().map(Finding::of_violation));
            if is_valid {
                findings.extend(super::cautions(&object));
            }
            (is_valid.then_some(object), findings)
        }
    }
}

fn place(finding: Finding, document: &Document) -> Diagnostic {
    let pointer = finding.pointer.strip_prefix(SPEC).unwrap_or_default().to_owned();
    let finding = Finding { pointer, ..finding };
    let file = Arc::from("");
    finding.place(&Subject { file: &file, document, object: None, is_secret: false })
}
