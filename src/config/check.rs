//! Checks documents: what each is, its JSON Schema, the rules that a schema cannot say, and that no two have one name.
//! A document that is wrong costs only itself.

mod finding;
mod fragment;
mod header;
mod schema;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use super::{
    Object, convert,
    diagnostic::{Diagnostic, Severity, shown},
    files::{self, File, Scan},
    rules,
    store::Store,
    yaml::{self, Document, Fault, Parsed, Position, escape_pointer},
};
use crate::{
    api::{self, Definition},
    model::{Kind, Origin, ResourceId},
};
use finding::{Finding, Spot, Subject, Words};
pub(super) use fragment::check_spec;
use header::Header;

/// So many findings of one file are told.
const MOST_FINDINGS: usize = 1000;

/// What a configuration holds and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By file and place.
    pub diagnostics: Vec<Diagnostic>,
    pub objects: BTreeMap<ResourceId, Arc<Object>>,
    /// The texts of the files of which `diagnostics` tells.
    pub sources: BTreeMap<Arc<str>, Arc<str>>,
    /// Something could not be read at all.
    pub is_incomplete: bool,
    /// How many files were read.
    pub files: usize,
    /// How many documents they hold; the items of a list count each.
    pub documents: usize,
}

/// What one file holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Checked {
    pub(super) items: Vec<Item>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Objects that are there but wrong.
    pub(super) invalid: Vec<ResourceId>,
    /// What policies among them are about, as far as that can be told: by name.
    pub(super) targets: Vec<(ResourceId, Arc<str>)>,
    /// A document could not be read so far that its name is known.
    pub(super) has_nameless_fault: bool,
    /// How many documents there are, right or wrong.
    pub(super) documents: usize,
}

/// A valid object of a file.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: ResourceId,
    pub(super) object: Arc<Object>,
    pub(super) position: Position,
    /// Of all but metadata: differs if the spec does.
    pub(super) spec: u64,
}

/// Checks files and directories; `-` is standard input.
pub fn check_paths(paths: &[PathBuf]) -> Report {
    let (input, paths): (Vec<_>, Vec<_>) = paths.iter().cloned().partition(|path| path == Path::new("-"));
    let mut scan = files::scan(&paths);
    if !input.is_empty() {
        let name = PathBuf::from("<stdin>");
        match standard_input() {
            Ok(content) => {
                scan.files.insert(name, File::new(content));
            }
            Err(error) => {
                scan.troubles.insert(name, format!("cannot be read: {error}"));
            }
        }
    }
    report(scan)
}

/// Checks the text of one file.
pub fn check_text(file: &str, text: &str) -> Report {
    let files = BTreeMap::from([(PathBuf::from(file), File::new(text.as_bytes()))]);
    report(Scan { files, ..Scan::default() })
}

fn standard_input() -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let limit = u64::try_from(yaml::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    io::stdin().lock().take(limit).read_to_end(&mut content)?;
    Ok(content)
}

fn report(scan: Scan) -> Report {
    let contents: BTreeMap<Arc<str>, Arc<[u8]>> =
        scan.files.iter().map(|(path, file)| (files::label(path), Arc::clone(&file.content))).collect();
    let is_incomplete = !scan.troubles.is_empty();
    let mut store = Store::default();
    store.apply(scan);
    let diagnostics = store.diagnostics().to_vec();
    let mut sources = BTreeMap::new();
    for diagnostic in &diagnostics {
        if let Some(content) = contents.get(&diagnostic.file) {
            let text = || String::from_utf8_lossy(content).into_owned().into();
            sources.entry(Arc::clone(&diagnostic.file)).or_insert_with(text);
        }
    }
    let (files, documents) = (contents.len(), store.documents());
    Report { diagnostics, objects: store.objects().clone(), sources, is_incomplete, files, documents }
}

/// Checks the content of one file, alone.
pub(super) fn check_file(path: &Path, content: &[u8]) -> Checked {
    let mut checker = Checker { file: files::label(path), checked: Checked::default() };
    let is_json = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
    match yaml::decode(content) {
        Ok(text) if is_json => {
            let Parsed { documents, faults } = yaml::parse_json(text);
            for document in &documents {
                checker.document(document);
            }
            for fault in faults {
                checker.fault(fault);
            }
        }
        Ok(text) => {
            for read in yaml::documents(text) {
                match read {
                    Ok(document) => checker.document(&document),
                    Err(fault) => checker.fault(fault),
                }
            }
        }
        Err(fault) => checker.fault(fault),
    }
    checker.checked.diagnostics.sort();
    checker.checked
}

struct Checker {
    file: Arc<str>,
    checked: Checked,
}

// === impl Checker ===

impl Checker {
    fn fault(&mut self, fault: Fault) {
        self.checked.has_nameless_fault = true;
        self.checked.documents += 1;
        let span = fault.span;
        self.tell(Diagnostic {
            file: Arc::clone(&self.file),
            line: span.start.line,
            column: span.start.column,
            end_column: (span.end.line == span.start.line).then_some(span.end.column),
            severity: Severity::Error,
            object: None,
            path: String::new(),
            found: None,
            expected: None,
            suggestion: None,
            message: shown(&fault.message),
            hint: fault.hint,
            confidential: false,
        });
    }

    fn tell(&mut self, diagnostic: Diagnostic) {
        if self.checked.diagnostics.len() < MOST_FINDINGS {
            self.checked.diagnostics.push(diagnostic);
        }
    }

    fn document(&mut self, document: &Document) {
        match header::read(&document.value) {
            Header::Object(definition) => {
                self.checked.documents += 1;
                self.object(document, definition);
            }
            Header::List => {
                let count = document.value.get("items").and_then(Value::as_array).map_or(0, Vec::len);
                for index in 0..count {
                    if let Some(item) = document.part(&format!("/items/{index}")) {
                        self.document(&item);
                    }
                }
            }
            Header::Not(findings) => {
                self.checked.documents += 1;
                if findings.iter().any(|finding| finding.severity == Severity::Error) {
                    match identify(&document.value, None) {
                        Some(id) => self.refuse(id, &document.value),
                        None => self.checked.has_nameless_fault = true,
                    }
                }
                let subject = Subject { file: &self.file.clone(), document, object: None, is_secret: false };
                for finding in findings {
                    self.tell(finding.place(&subject));
                }
            }
        }
    }

    fn refuse(&mut self, id: ResourceId, value: &Value) {
        if id.kind == Kind::BackendTlsPolicy {
            let targets = value.pointer("/spec/targetRefs").and_then(Value::as_array);
            let names = targets.into_iter().flatten().filter_map(|target| target.get("name")?.as_str());
            self.checked.targets.extend(names.map(|name| (id.clone(), name.into())));
        }
        self.checked.invalid.push(id);
    }

    fn object(&mut self, document: &Document, definition: &'static Definition) {
        let id = identify(&document.value, Some(definition));
        let file = Arc::clone(&self.file);
        let subject = Subject {
            file: &file,
            document,
            object: Some(id.as_ref().map_or_else(|| definition.kind.to_owned(), ToString::to_string)),
            is_secret: definition.kind == "Secret",
        };
        let mut value = document.value.clone();
        let mut findings = unset_fields(&value);
        api::drop_nulls(&mut value);
        findings.extend(schema::validate(definition.kind, &value));
        let is_valid =
            |findings: &[Finding]| findings.iter().all(|finding| finding.severity != Severity::Error);
        let mut item = None;
        if is_valid(&findings) {
            match build(definition, value, &file, document.start()) {
                Ok((built, cautions)) => {
                    item = Some(built);
                    findings.extend(cautions);
                }
                Err(more) => findings.extend(more),
            }
        }
        for finding in findings {
            self.tell(finding.place(&subject));
        }
        match (item, id) {
            (Some(item), _) => self.checked.items.push(item),
            (None, Some(id)) => self.refuse(id, &document.value),
            (None, None) => self.checked.has_nameless_fault = true,
        }
    }
}

/// The object that a document describes, as far as that can be told.
fn identify(value: &Value, definition: Option<&Definition>) -> Option<ResourceId> {
    let kind =
        definition.map_or_else(|| value.get("kind").and_then(Value::as_str), |known| Some(known.kind))?;
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    let name = value.pointer("/metadata/name")?.as_str()?;
    let namespace = value.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default");
    Some(ResourceId::new(kind, namespace, name))
}

/// Keys of the spec without a value: they count as not set, which is seldom meant.
fn unset_fields(document: &Value) -> Vec<Finding> {
    fn look(value: &Value, pointer: &str, found: &mut Vec<Finding>) {
        match value {
            Value::Object(entries) => {
                for (name, entry) in entries {
                    let pointer = format!("{pointer}/{}", escape_pointer(name));
                    if entry.is_null() {
                        let words = Words::Of("has no value and counts as not set".to_owned());
                        let finding = Finding::new(&pointer, words).on(Spot::Key).severity(Severity::Warning);
                        found.push(finding.hint("give it a value, or remove it"));
                    }
                    look(entry, &pointer, found);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    look(item, &format!("{pointer}/{index}"), found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    if let Some(spec) = document.get("spec") {
        look(spec, "/spec", &mut found);
    }
    found
}

fn build(
    definition: &'static Definition,
    value: Value,
    file: &Arc<str>,
    position: Position,
) -> Result<(Item, Vec<Finding>), Vec<Finding>> {
    let spec = spec_hash(&value);
    let version = value.get("apiVersion").cloned();
    let mut object = api::Object::from_value(definition.kind, value)
        .map_err(|error| vec![Finding::new(&error.pointer, Words::Of(shown(&error.message)))])?;
    let violations = rules::check(&object);
    if !violations.is_empty() {
        return Err(violations.into_iter().map(Finding::of_violation).collect());
    }
    let cautions = cautions(&object);
    let namespace = &mut object.metadata_mut().namespace;
    if definition.is_cluster_scoped {
        *namespace = None;
    } else if namespace.is_none() {
        *namespace = Some("default".into());
    }
    let origin = Origin::File { path: Arc::clone(file), line: position.line, column: position.column };
    let resource = convert::resource(&object, origin, 1)
        .map_err(|violations| violations.into_iter().map(Finding::of_violation).collect::<Vec<_>>())?;
    let mut manifest = object.to_value();
    if let (Some(written), Some(slot)) = (version, manifest.get_mut("apiVersion")) {
        *slot = written;
    }
    let id = resource.meta().id.clone();
    let object = Arc::new(Object { resource, manifest: manifest.to_string().into() });
    Ok((Item { id, object, position, spec }, cautions))
}

/// What has no effect in a valid object.
fn cautions(object: &api::Object) -> Vec<Finding> {
    let warning = |caution| Finding::of_violation(caution).severity(Severity::Warning);
    rules::cautions(object).into_iter().map(warning).collect()
}

/// Of all that an object says beside its metadata.
fn spec_hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, field) in value.as_object().into_iter().flatten() {
        if !matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status") {
            (name, field.to_string()).hash(&mut hasher);
        }
    }
    hasher.finish()
}

impl Report {
    /// Whether nothing is wrong. Warnings and notes are not wrong.
    pub fn is_valid(&self) -> bool {
        self.diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error)
    }
}
