//! Keeps the last good: what a scan can read replaces what was there, what it cannot read stays as it was. Pure: a
//! scan in, the difference out.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Object,
    check::{Checked, Item, check_file},
    diagnostic::{Diagnostic, Severity},
    files::{File, Scan, label},
};
use crate::model::{Origin, ResourceId};

/// The objects of a configuration over time.
#[derive(Clone, Debug, Default)]
pub struct Store {
    files: BTreeMap<PathBuf, Known>,
    objects: BTreeMap<ResourceId, Object>,
    held: BTreeMap<ResourceId, Held>,
    diagnostics: Vec<Diagnostic>,
    stale: BTreeSet<ResourceId>,
}

/// What a scan changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Objects that are new, different (if only in place), or gone.
    pub objects: BTreeSet<ResourceId>,
    /// Other things are wrong than before.
    pub diagnostics: bool,
}

/// A file as it was read last.
#[derive(Clone, Debug)]
struct Known {
    content: Arc<[u8]>,
    checked: Arc<Checked>,
    past: Past,
}

/// The contents of a file since it was valid as a whole, that one first: what its last good objects are made of.
pub type Past = Vec<Arc<[u8]>>;

/// Where an object was read last, and its state.
#[derive(Clone, Debug)]
struct Held {
    file: PathBuf,
    spec: u64,
    generation: u64,
}

/// The objects of all files together.
#[derive(Default)]
struct Gathered<'a> {
    items: BTreeMap<&'a ResourceId, (&'a Path, &'a Item)>,
    invalid: BTreeSet<&'a ResourceId>,
    diagnostics: Vec<Diagnostic>,
}

// === impl Store ===

impl Store {
    /// Every object that is served, the last good versions of broken ones included.
    pub fn objects(&self) -> &BTreeMap<ResourceId, Object> {
        &self.objects
    }

    /// By file and place.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// How many documents there are, right or wrong.
    pub fn documents(&self) -> usize {
        self.files.values().map(|known| known.checked.documents).sum()
    }

    /// Whether all that there is could be read and is right.
    pub fn is_valid(&self) -> bool {
        self.diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error)
    }

    /// Objects of which a former version is used, as the present one cannot be read or is wrong.
    pub fn stale(&self) -> &BTreeSet<ResourceId> {
        &self.stale
    }

    /// Of more broken contents than this the oldest are forgotten.
    const MOST_PAST: usize = 8;

    /// What it takes to have the last good again after a restart.
    pub fn past(&self) -> BTreeMap<PathBuf, Past> {
        self.files.iter().map(|(path, known)| (path.clone(), known.past.clone())).collect()
    }

    /// A store as it was when it gave this past. What is there now is still to be applied.
    pub fn restore(past: &BTreeMap<PathBuf, Past>) -> Self {
        let mut store = Self::default();
        let steps = past.values().map(Vec::len).max().unwrap_or_default();
        for step in 0..steps {
            let at = |contents: &Past| contents.get(step.min(contents.len().checked_sub(1)?)).cloned();
            let files =
                past.iter().filter_map(|(path, contents)| Some((path.clone(), File::new(at(contents)?))));
            store.apply(Scan { files: files.collect(), ..Scan::default() });
        }
        store
    }

    /// Takes over what a scan has read.
    pub fn apply(&mut self, scan: Scan) -> Change {
        let mut hidden = BTreeSet::new();
        let mut changed = BTreeSet::new();
        let mut files = BTreeMap::new();
        for (path, file) in scan.files {
            let known = match self.files.remove(&path) {
                Some(known) if known.content == file.content => known,
                before => {
                    changed.insert(path.clone());
                    let checked = Arc::new(check_file(&path, &file.content));
                    let past = past(before, &checked, &file.content);
                    Known { content: file.content, checked, past }
                }
            };
            files.insert(path, known);
        }
        // What is left of the old files is gone, or only out of sight.
        for (path, known) in std::mem::take(&mut self.files) {
            if path.ancestors().any(|above| scan.troubles.contains_key(above)) {
                hidden.insert(path.clone());
                files.insert(path, known);
            }
        }
        self.files = files;
        let gathered = gather(&self.files);
        let kept = self.keep(&gathered, &changed);
        let mut diagnostics = gathered.diagnostics.clone();
        diagnostics.extend(scan.troubles.iter().map(|(path, why)| trouble(path, why)));
        let (mut objects, mut held) = (BTreeMap::new(), BTreeMap::new());
        let mut stale = BTreeSet::new();
        for (id, (file, item)) in gathered.items {
            let (object, now) = self.next(item, file);
            if hidden.contains(file) {
                stale.insert(id.clone());
            }
            objects.insert(id.clone(), object);
            held.insert(id.clone(), now);
        }
        for (id, file) in kept {
            if let (Some(object), Some(state)) = (self.objects.get(&id), self.held.get(&id)) {
                objects.insert(id.clone(), object.clone());
                held.insert(id.clone(), Held { file, ..state.clone() });
                stale.insert(id);
            }
        }
        diagnostics.sort();
        self.replace(objects, held, diagnostics, stale)
    }

    /// The objects that no file gives any more but that stay, each with the file that is to blame.
    fn keep(&self, gathered: &Gathered<'_>, changed: &BTreeSet<PathBuf>) -> Vec<(ResourceId, PathBuf)> {
        let is_broken =
            |path: &Path| self.files.get(path).is_some_and(|known| known.checked.has_nameless_fault);
        let newly_broken = changed.iter().find(|path| is_broken(path));
        self.held
            .iter()
            .filter(|(id, _)| !gathered.items.contains_key(id))
            .filter_map(|(id, state)| {
                let file = if gathered.invalid.contains(id) || is_broken(&state.file) {
                    &state.file
                } else if self.files.contains_key(&state.file) {
                    return None;
                } else {
                    // The file is gone; the object may have moved into a document that cannot be read.
                    newly_broken?
                };
                Some((id.clone(), file.clone()))
            })
            .collect()
    }

    /// The next version of an object.
    fn next(&self, item: &Item, file: &Path) -> (Object, Held) {
        let generation = match self.held.get(&item.id) {
            Some(state) if state.spec == item.spec => state.generation,
            Some(state) => state.generation + 1,
            None => 1,
        };
        let mut object = item.object.clone();
        if generation != 1 {
            object.resource.meta_mut().generation = generation;
        }
        let object = match self.objects.get(&item.id) {
            Some(before) if *before == object => before.clone(),
            _ => object,
        };
        (object, Held { file: file.to_path_buf(), spec: item.spec, generation })
    }

    fn replace(
        &mut self,
        objects: BTreeMap<ResourceId, Object>,
        held: BTreeMap<ResourceId, Held>,
        diagnostics: Vec<Diagnostic>,
        stale: BTreeSet<ResourceId>,
    ) -> Change {
        let different = |id: &&ResourceId| self.objects.get(*id) != objects.get(*id);
        let change = Change {
            objects: self.objects.keys().chain(objects.keys()).filter(different).cloned().collect(),
            diagnostics: self.diagnostics != diagnostics || self.stale != stale,
        };
        self.objects = objects;
        self.held = held;
        self.diagnostics = diagnostics;
        self.stale = stale;
        change
    }
}

/// The past of a file that now has this content.
fn past(before: Option<Known>, checked: &Checked, content: &Arc<[u8]>) -> Past {
    let is_valid = checked.diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error);
    let mut past = before.filter(|_| !is_valid).map(|known| known.past).unwrap_or_default();
    if past.len() >= Store::MOST_PAST {
        // The first was valid as a whole.
        past.remove(1);
    }
    past.push(content.clone());
    past
}

/// Puts the files together in the order of their paths; the first object of a name stays.
fn gather(files: &BTreeMap<PathBuf, Known>) -> Gathered<'_> {
    let mut gathered = Gathered::default();
    for (path, known) in files {
        gathered.diagnostics.extend(known.checked.diagnostics.iter().cloned());
        gathered.invalid.extend(&known.checked.invalid);
        for item in &known.checked.items {
            match gathered.items.get(&item.id) {
                Some((_, first)) => gathered.diagnostics.push(duplicate(item, first, &label(path))),
                None => drop(gathered.items.insert(&item.id, (path, item))),
            }
        }
    }
    gathered
}

fn duplicate(item: &Item, first: &Item, file: &Arc<str>) -> Diagnostic {
    let origin: &Origin = &first.object.resource.meta().origin;
    let mut diagnostic =
        plain(file, format!("`{}` is already defined at {origin}; this one is not used", item.id));
    diagnostic.line = item.position.line;
    diagnostic.column = item.position.column;
    diagnostic.object = Some(item.id.to_string());
    diagnostic.hint = Some("remove one of the two, or give it another name".to_owned());
    diagnostic
}

fn trouble(path: &Path, why: &str) -> Diagnostic {
    let file = label(path);
    let message = format!("`{file}` {why}");
    plain(&file, message)
}

fn plain(file: &Arc<str>, message: String) -> Diagnostic {
    Diagnostic {
        file: Arc::clone(file),
        line: 1,
        column: 1,
        end_column: None,
        severity: Severity::Error,
        object: None,
        path: String::new(),
        found: None,
        expected: None,
        suggestion: None,
        message,
        hint: None,
        confidential: false,
    }
}

// === impl Change ===

impl Change {
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && !self.diagnostics
    }
}
