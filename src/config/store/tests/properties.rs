//! The store beside one that puts everything together anew at each step, through any changes.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::config::files::Changes;

/// What a store is to be, said without any regard to what it costs.
#[derive(Default)]
struct Plain {
    files: BTreeMap<PathBuf, (Arc<[u8]>, Arc<Checked>)>,
    objects: BTreeMap<ResourceId, (Arc<Object>, PathBuf, u64)>,
    diagnostics: Vec<Diagnostic>,
    stale: BTreeSet<ResourceId>,
}

impl Plain {
    fn apply(&mut self, scan: Scan) {
        let mut before = std::mem::take(&mut self.files);
        let (mut hidden, mut changed) = (BTreeSet::new(), BTreeSet::new());
        for (path, file) in scan.files {
            let known = before.remove(&path).filter(|known| known.0 == file.content);
            let known = known.unwrap_or_else(|| {
                changed.insert(path.clone());
                (file.content.clone(), Arc::new(check_file(&path, &file.content)))
            });
            self.files.insert(path, known);
        }
        for (path, known) in before {
            if path.ancestors().any(|above| scan.troubles.contains_key(above)) {
                hidden.insert(path.clone());
                self.files.insert(path, known);
            }
        }
        let mut diagnostics: Vec<Diagnostic> =
            scan.troubles.iter().map(|(path, why)| trouble(path, why)).collect();
        let mut items: BTreeMap<ResourceId, (PathBuf, Item)> = BTreeMap::new();
        let mut invalid = BTreeSet::new();
        for (path, (_, checked)) in &self.files {
            diagnostics.extend(checked.diagnostics.iter().cloned());
            invalid.extend(checked.invalid.iter().cloned());
            for item in &checked.items {
                match items.get(&item.id) {
                    Some((_, first)) => diagnostics.push(duplicate(item, first, &label(path))),
                    None => drop(items.insert(item.id.clone(), (path.clone(), item.clone()))),
                }
            }
        }
        diagnostics.sort();
        let (mut objects, mut stale) = (BTreeMap::new(), BTreeSet::new());
        let is_broken = |path: &PathBuf| self.files.get(path).is_some_and(|known| known.1.has_nameless_fault);
        let newly_broken = changed.iter().find(|path| is_broken(path));
        for (id, (object, file, spec)) in &self.objects {
            let keeper = if items.contains_key(id) {
                None
            } else if invalid.contains(id) || is_broken(file) {
                Some(file)
            } else if self.files.contains_key(file) {
                None
            } else {
                newly_broken
            };
            if let Some(keeper) = keeper {
                objects.insert(id.clone(), (object.clone(), keeper.clone(), *spec));
                stale.insert(id.clone());
            }
        }
        for (id, (path, item)) in items {
            let generation = match self.objects.get(&id) {
                Some((object, _, spec)) => object.resource.meta().generation + u64::from(*spec != item.spec),
                None => 1,
            };
            let mut object = item.object.clone();
            Arc::make_mut(&mut object).resource.meta_mut().generation = generation;
            if hidden.contains(&path) {
                stale.insert(id.clone());
            }
            objects.insert(id, (object, path, item.spec));
        }
        (self.objects, self.diagnostics, self.stale) = (objects, diagnostics, stale);
    }

    fn objects(&self) -> BTreeMap<ResourceId, Arc<Object>> {
        self.objects.iter().map(|(id, (object, ..))| (id.clone(), object.clone())).collect()
    }
}

/// What somebody does to the files.
#[derive(Clone, Debug)]
enum Act {
    Write(usize, String),
    Remove(usize),
    Move(usize, usize),
    /// The directory cannot be looked at from now on, or can again.
    Hide(&'static str),
    Show,
    /// The directory is gone for good.
    RemoveAll(&'static str),
}

const PATHS: [&str; 6] = ["c/1.yaml", "c/2.yaml", "c/x/1.yaml", "c/x/2.yaml", "c/x/y/1.yaml", "d/1.yaml"];

fn any_text() -> impl Strategy<Value = String> {
    let document = (select(vec!["a", "b", "c", "d"]), select(vec!["a.org", "b.org", "NOT A HOST"]))
        .prop_map(|(name, host)| route(name, host));
    let garbage =
        select(vec!["kind: [\n---\n", "\u{0}", "apiVersion: v1\nkind: Nonsense\nmetadata: {name: a}\n---\n"]);
    let one = prop_oneof![6 => document, 1 => garbage.prop_map(str::to_owned), 1 => "\\PC{0,20}\n---\n"];
    vec(one, 0..4).prop_map(|documents| documents.concat())
}

fn any_act() -> impl Strategy<Value = Act> {
    let path = || 0..PATHS.len();
    let directory = || select(vec!["c", "c/x", "c/x/y", "c/1.yaml"]);
    prop_oneof![
        6 => (path(), any_text()).prop_map(|(path, text)| Act::Write(path, text)),
        2 => path().prop_map(Act::Remove),
        2 => (path(), path()).prop_map(|(from, to)| Act::Move(from, to)),
        1 => directory().prop_map(Act::Hide),
        1 => Just(Act::Show),
        1 => directory().prop_map(Act::RemoveAll),
    ]
}

/// The files as they are, and those that can be seen.
#[derive(Clone, Default)]
struct Disk {
    files: BTreeMap<PathBuf, String>,
    hidden: BTreeSet<PathBuf>,
}

impl Disk {
    fn act(&mut self, act: Act) {
        match act {
            Act::Write(path, text) => drop(self.files.insert(PATHS[path].into(), text)),
            Act::Remove(path) => drop(self.files.remove(Path::new(PATHS[path]))),
            Act::Move(from, to) => {
                if let Some(text) = self.files.remove(Path::new(PATHS[from])) {
                    self.files.insert(PATHS[to].into(), text);
                }
            }
            Act::Hide(directory) => drop(self.hidden.insert(directory.into())),
            Act::Show => self.hidden.clear(),
            Act::RemoveAll(directory) => self.files.retain(|path, _| !path.starts_with(directory)),
        }
    }

    fn scan(&self) -> Scan {
        let is_seen = |path: &&PathBuf| !path.ancestors().any(|above| self.hidden.contains(above));
        let seen = self.files.keys().filter(is_seen);
        let files = seen.map(|path| (path.clone(), File::new(self.files[path].as_bytes())));
        let troubles = self.hidden.iter().map(|path| (path.clone(), "cannot be read".to_owned()));
        Scan { files: files.collect(), troubles: troubles.collect(), ..Scan::default() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_kept_up_step_by_step_is_what_is_put_together_anew(
        steps in vec((vec(any_act(), 1..4), any::<bool>()), 1..10)
    ) {
        let (mut disk, mut plain, mut store) = (Disk::default(), Plain::default(), Store::default());
        let mut last = Scan::default();
        for (acts, is_whole) in steps {
            for act in acts {
                disk.act(act);
            }
            let scan = disk.scan();
            let before = store.clone();
            let changes = scan.since(&last).unwrap_or_else(|| Changes { troubles: scan.troubles.clone(), ..Changes::default() });
            let change = if is_whole { store.apply(scan.clone()) } else { store.change(changes) };
            plain.apply(scan.clone());
            last = scan;
            prop_assert_eq!(store.objects(), &plain.objects());
            prop_assert_eq!(store.diagnostics(), &*plain.diagnostics);
            prop_assert_eq!(store.stale(), &plain.stale);
            let ids = before.objects.keys().chain(store.objects.keys());
            let different = ids.filter(|id| before.objects.get(*id) != store.objects.get(*id));
            prop_assert_eq!(&change.objects, &different.cloned().collect());
            let is_said = before.diagnostics != store.diagnostics || before.stale != store.stale;
            prop_assert_eq!(change.diagnostics, is_said);
        }
        // Once all is well, nothing is left of what has been.
        disk.act(Act::Show);
        disk.files.retain(|path, text| check_file(path, text.as_bytes()).diagnostics.is_empty());
        store.apply(disk.scan());
        let mut fresh = Store::default();
        fresh.apply(disk.scan());
        prop_assert!(store.objects.keys().eq(fresh.objects.keys()));
        for (id, object) in store.objects() {
            prop_assert_eq!(&object.manifest, &fresh.objects()[id].manifest);
            prop_assert_eq!(&object.resource.meta().origin, &fresh.objects()[id].resource.meta().origin);
        }
        prop_assert_eq!(store.diagnostics(), fresh.diagnostics());
        prop_assert!(store.stale().is_empty());
        let is_used = |mentions: &Mentions| !mentions.valid.is_empty() || mentions.invalid > 0;
        prop_assert!(store.mentions.values().all(is_used), "what nobody says is forgotten");
    }
}

proptest! {
    // Each checks a thousand files.
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn garbage_in_one_file_of_a_hundred_leaves_the_others_as_they_are(
        at in 0..100_usize, garbage in prop_oneof![any::<Vec<u8>>(), any_text().prop_map(String::into_bytes)]
    ) {
        let path = |number: usize| PathBuf::from(format!("{number:03}.yaml"));
        let file = |number: usize| {
            let name = format!("route-{number}");
            (path(number), File::new(route(&name, &format!("{name}.org")).into_bytes()))
        };
        let good: BTreeMap<_, _> = (0..100).map(file).collect();
        let mut bad = good.clone();
        bad.insert(path(at), File::new(garbage));
        let scan = |files: &BTreeMap<PathBuf, File>| Scan { files: files.clone(), ..Scan::default() };
        let mut store = Store::default();
        store.apply(scan(&good));
        let before = store.objects().clone();
        store.apply(scan(&bad));
        // As it is after a restart, and on a first start.
        let mut again = Store::restore(&store.past());
        again.apply(scan(&bad));
        let mut first = Store::default();
        first.apply(scan(&bad));
        for number in (0..100).filter(|number| *number != at) {
            let id = id(&format!("route-{number}"));
            for store in [&store, &again, &first] {
                prop_assert_eq!(store.objects().get(&id), before.get(&id));
                prop_assert!(!store.stale().contains(&id));
            }
        }
    }
}
