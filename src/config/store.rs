//! Keeps the last good: what a scan can read replaces what was there, what it cannot read stays as it was. Pure: a
//! scan, or what differs from the last, in; the difference out.

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
    files::{Changes, File, Scan, Update, label},
};
use crate::model::{Kind, Origin, ResourceId};

/// The objects of a configuration over time.
#[derive(Clone, Debug, Default)]
pub struct Store {
    files: BTreeMap<Arc<Path>, Known>,
    /// Files that are out of sight: what they held stays.
    hidden: BTreeSet<Arc<Path>>,
    /// Files with something to say.
    noisy: BTreeSet<Arc<Path>>,
    troubles: BTreeMap<PathBuf, String>,
    mentions: BTreeMap<ResourceId, Mentions>,
    /// Objects that are written more than once.
    disputed: BTreeSet<ResourceId>,
    objects: BTreeMap<ResourceId, Arc<Object>>,
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
    file: Arc<Path>,
    spec: u64,
    generation: u64,
}

/// Where an object is written now.
#[derive(Clone, Debug, Default)]
struct Mentions {
    /// File, and position among its items: the first counts.
    valid: Vec<(Arc<Path>, usize)>,
    /// How often it is there but wrong.
    invalid: usize,
}

/// What one step touches.
#[derive(Default)]
struct Step {
    objects: BTreeSet<ResourceId>,
    /// Files with another content.
    files: BTreeSet<Arc<Path>>,
    /// Files that have changed or are not there any more.
    sources: BTreeSet<Arc<Path>>,
}

// === impl Store ===

impl Store {
    /// Every object that is served, the last good versions of broken ones included.
    pub fn objects(&self) -> &BTreeMap<ResourceId, Arc<Object>> {
        &self.objects
    }

    /// By file and place.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Objects of these kinds that are written, are not valid, and never were: where, and why.
    pub fn refused(&self, kinds: &[Kind]) -> BTreeMap<ResourceId, Arc<str>> {
        let mut refused = BTreeMap::new();
        for known in self.noisy.iter().filter_map(|path| self.files.get(path)) {
            let ids = known.checked.invalid.iter().filter(|id| kinds.contains(&id.kind));
            for id in ids.filter(|id| !self.objects.contains_key(id)) {
                let name = id.to_string();
                let errors = known.checked.diagnostics.iter().filter(|one| one.severity == Severity::Error);
                if let Some(first) = errors.into_iter().find(|one| one.object.as_deref() == Some(&*name)) {
                    refused.insert(id.clone(), format!("{}: {}", first.place(), first.message).into());
                }
            }
        }
        refused
    }

    /// What policies for TLS are about that are written, are not valid, and never were: by namespace and name, with why.
    pub fn unsecured(&self) -> BTreeMap<(Arc<str>, Arc<str>), Arc<str>> {
        let refused = self.refused(&[Kind::BackendTlsPolicy]);
        let targets = self
            .noisy
            .iter()
            .filter_map(|path| self.files.get(path))
            .flat_map(|known| &known.checked.targets);
        let unsecured = targets.filter_map(|(id, name)| {
            let why = format!("{id} is not valid ({})", refused.get(id)?);
            Some(((id.namespace.clone(), name.clone()), why.into()))
        });
        unsecured.collect()
    }

    /// How many files there are.
    pub fn files(&self) -> u32 {
        u32::try_from(self.files.len()).unwrap_or(u32::MAX)
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
        self.files.iter().map(|(path, known)| (path.to_path_buf(), known.past.clone())).collect()
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

    /// Takes over what a watch has seen.
    pub fn update(&mut self, update: Update) -> Change {
        match update {
            Update::Whole(scan) => self.apply(scan),
            Update::Part(changes) => self.change(changes),
        }
    }

    /// Takes over what a scan has read.
    pub fn apply(&mut self, scan: Scan) -> Change {
        let Scan { files, troubles, .. } = scan;
        let gone = self.files.keys().filter(|path| !files.contains_key(&***path));
        let mut all: BTreeMap<PathBuf, Option<File>> = gone.map(|path| (path.to_path_buf(), None)).collect();
        all.extend(files.into_iter().map(|(path, file)| (path, Some(file))));
        self.change(Changes { files: all, troubles })
    }

    /// Takes over what is different. What it costs does not depend on how much is not.
    pub fn change(&mut self, changes: Changes) -> Change {
        let mut step = Step::default();
        self.troubles = changes.troubles;
        for (path, file) in changes.files {
            let path: Arc<Path> = path.into();
            match file {
                Some(file) => self.put(path, file.content, &mut step),
                None if self.is_out_of_sight(&path) => self.hide(path, &mut step),
                None => self.remove(&path, &mut step),
            }
        }
        let gone = self.hidden.iter().filter(|path| !self.is_out_of_sight(path));
        for path in gone.cloned().collect::<Vec<_>>() {
            self.remove(&path, &mut step);
        }
        let is_concerned =
            |id: &&ResourceId| self.held.get(*id).is_some_and(|held| step.sources.contains(&held.file));
        step.objects.extend(self.stale.iter().filter(is_concerned).cloned());
        self.settle(&step)
    }

    fn put(&mut self, path: Arc<Path>, content: Arc<[u8]>, step: &mut Step) {
        if self.hidden.remove(&path) {
            self.touch(&path, step);
        }
        if self.files.get(&path).is_some_and(|known| known.content == content) {
            return;
        }
        let checked = Arc::new(check_file(&path, &content));
        self.forget(&path, step);
        let past = past(self.files.remove(&path), &checked, &content);
        for (index, item) in checked.items.iter().enumerate() {
            step.objects.insert(item.id.clone());
            let valid = &mut self.mentions.entry(item.id.clone()).or_default().valid;
            let mention = (path.clone(), index);
            valid.insert(valid.partition_point(|other| *other < mention), mention);
            if valid.len() > 1 {
                self.disputed.insert(item.id.clone());
            }
        }
        for id in &checked.invalid {
            step.objects.insert(id.clone());
            self.mentions.entry(id.clone()).or_default().invalid += 1;
        }
        if !checked.diagnostics.is_empty() {
            self.noisy.insert(path.clone());
        }
        step.files.insert(path.clone());
        step.sources.insert(path.clone());
        self.files.insert(path, Known { content, checked, past });
    }

    fn is_out_of_sight(&self, path: &Path) -> bool {
        path.ancestors().any(|above| self.troubles.contains_key(above))
    }

    fn hide(&mut self, path: Arc<Path>, step: &mut Step) {
        if self.files.contains_key(&path) {
            self.touch(&path, step);
            self.hidden.insert(path);
        }
    }

    fn remove(&mut self, path: &Arc<Path>, step: &mut Step) {
        self.forget(path, step);
        self.hidden.remove(path);
        self.files.remove(path);
    }

    /// Every object that the file mentions has to be looked at.
    fn touch(&self, path: &Arc<Path>, step: &mut Step) {
        if let Some(known) = self.files.get(path) {
            let items = known.checked.items.iter().map(|item| &item.id);
            step.objects.extend(items.chain(&known.checked.invalid).cloned());
            step.sources.insert(path.clone());
        }
    }

    /// Takes back what the file says.
    fn forget(&mut self, path: &Arc<Path>, step: &mut Step) {
        self.touch(path, step);
        self.noisy.remove(path);
        let Some(known) = self.files.get(path) else { return };
        for item in &known.checked.items {
            let Some(mentions) = self.mentions.get_mut(&item.id) else { continue };
            mentions.valid.retain(|(file, _)| file != path);
            if mentions.valid.len() < 2 {
                self.disputed.remove(&item.id);
            }
        }
        for id in &known.checked.invalid {
            if let Some(mentions) = self.mentions.get_mut(id) {
                mentions.invalid = mentions.invalid.saturating_sub(1);
            }
        }
    }

    /// Decides anew what becomes of the objects that were touched.
    fn settle(&mut self, step: &Step) -> Change {
        let newly_broken = step.files.iter().find(|path| self.is_broken(path));
        let stale_before = self.stale.clone();
        let mut change = Change::default();
        for id in &step.objects {
            let mentions = self.mentions.get(id);
            let written = mentions.and_then(|mentions| mentions.valid.first());
            let written = written.and_then(|(path, index)| {
                Some((path.clone(), self.files.get(path)?.checked.items.get(*index)?.clone()))
            });
            let is_stale = if let Some((path, item)) = written {
                let is_hidden = self.hidden.contains(&path);
                if self.take(&item, path) {
                    change.objects.insert(id.clone());
                }
                is_hidden
            } else {
                let keeper = self.keeper(id, newly_broken);
                let is_kept = keeper.is_some();
                match (self.held.get_mut(id), keeper) {
                    (Some(held), Some(keeper)) => held.file = keeper,
                    (Some(_), None) => {
                        self.held.remove(id);
                        self.objects.remove(id);
                        change.objects.insert(id.clone());
                    }
                    (None, _) => {}
                }
                is_kept
            };
            if is_stale {
                self.stale.insert(id.clone());
            } else {
                self.stale.remove(id);
            }
            if self
                .mentions
                .get(id)
                .is_some_and(|mentions| mentions.valid.is_empty() && mentions.invalid == 0)
            {
                self.mentions.remove(id);
            }
        }
        let diagnostics = self.tell();
        change.diagnostics = self.diagnostics != diagnostics || self.stale != stale_before;
        self.diagnostics = diagnostics;
        change
    }

    fn is_broken(&self, path: &Arc<Path>) -> bool {
        self.files.get(path).is_some_and(|known| known.checked.has_nameless_fault)
    }

    /// The file that is to blame where no file gives an object any more and it stays all the same.
    fn keeper(&self, id: &ResourceId, newly_broken: Option<&Arc<Path>>) -> Option<Arc<Path>> {
        let held = self.held.get(id)?;
        let is_invalid = self.mentions.get(id).is_some_and(|mentions| mentions.invalid > 0);
        if is_invalid || self.is_broken(&held.file) {
            Some(held.file.clone())
        } else if self.files.contains_key(&held.file) {
            None
        } else {
            // The file is gone; the object may have moved into a document that cannot be read.
            newly_broken.cloned()
        }
    }

    /// Takes the next version of an object; says whether it is another.
    fn take(&mut self, item: &Item, file: Arc<Path>) -> bool {
        let generation = match self.held.get(&item.id) {
            Some(state) if state.spec == item.spec => state.generation,
            Some(state) => state.generation + 1,
            None => 1,
        };
        self.held.insert(item.id.clone(), Held { file, spec: item.spec, generation });
        let mut object = item.object.clone();
        if generation != 1 {
            Arc::make_mut(&mut object).resource.meta_mut().generation = generation;
        }
        if self.objects.get(&item.id).is_some_and(|before| *before == object) {
            return false;
        }
        self.objects.insert(item.id.clone(), object);
        true
    }

    /// All that is wrong, in order.
    fn tell(&self) -> Vec<Diagnostic> {
        let own = self.noisy.iter().filter_map(|path| self.files.get(path));
        let mut all: Vec<Diagnostic> =
            own.flat_map(|known| known.checked.diagnostics.iter().cloned()).collect();
        let item = |(path, index): &(Arc<Path>, usize)| self.files.get(path)?.checked.items.get(*index);
        for mentions in self.disputed.iter().filter_map(|id| self.mentions.get(id)) {
            let Some((first, others)) = mentions.valid.split_first() else { continue };
            let Some(first) = item(first) else { continue };
            for other in others {
                all.extend(item(other).map(|again| duplicate(again, first, &label(&other.0))));
            }
        }
        all.extend(self.troubles.iter().map(|(path, why)| trouble(path, why)));
        all.sort();
        all
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
    Diagnostic { line: 0, column: 0, ..plain(&file, message) }
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
