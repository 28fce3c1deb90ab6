//! What is wrong with documents and labels, in the words of the model.

use crate::{
    config::{
        self,
        diagnostic::{self, Diagnostic},
    },
    model::{self, Origin, Problem, Severity},
};

pub(super) fn problem(diagnostic: &Diagnostic) -> Problem {
    Problem {
        severity: match diagnostic.severity {
            diagnostic::Severity::Error => Severity::Error,
            diagnostic::Severity::Warning | diagnostic::Severity::Note => Severity::Warning,
        },
        reason: "InvalidDocument",
        message: diagnostic.message.clone(),
        hint: diagnostic.hint.clone(),
        origin: Origin::File {
            path: diagnostic.file.clone(),
            line: diagnostic.line,
            column: diagnostic.column,
        },
    }
}

pub(super) fn shadowed(label: &model::Meta, document: &config::Object) -> Problem {
    Problem {
        severity: Severity::Warning,
        reason: "Conflicted",
        message: format!("{} is also a document ({}), which wins", label.id, document.resource.meta().origin),
        hint: Some("give one of them another name".into()),
        origin: label.origin.clone(),
    }
}
