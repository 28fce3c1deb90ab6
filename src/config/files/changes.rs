//! What differs between two scans, and how a few changed paths are looked at without looking at all the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{File, Known, MAX_FILES, Scan, Trust, Walker, clean, is_ignored};

/// What a watch has seen: everything at first, then what is different.
#[derive(Clone, Debug)]
pub enum Update {
    Whole(Scan),
    Part(Changes),
}

/// What differs from an earlier scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// `None` for a file that is not there any more, or out of sight.
    pub files: BTreeMap<PathBuf, Option<File>>,
    /// All that cannot be looked at now, not only what is new of it.
    pub troubles: BTreeMap<PathBuf, String>,
}

/// What a changed path is now.
enum Look {
    /// Nothing that is read.
    Nothing,
    Gone(PathBuf),
    /// As it is called in the scan, and its real directory.
    File(PathBuf, PathBuf, Metadata),
}

// === impl Scan ===

impl Scan {
    /// What differs since `before`; `None` if nothing does.
    pub(in crate::config) fn since(&self, before: &Self) -> Option<Changes> {
        let same = |path: &PathBuf, file: &File| before.files.get(path).is_some_and(|known| known == file);
        let new = self.files.iter().filter(|(path, file)| !same(path, file));
        let new = new.map(|(path, file)| (path.clone(), Some(file.clone())));
        let gone = before.files.keys().filter(|path| !self.files.contains_key(*path));
        let files: BTreeMap<_, _> = new.chain(gone.map(|path| (path.clone(), None))).collect();
        if files.is_empty() && self.troubles == before.troubles {
            return None;
        }
        Some(Changes { files, troubles: self.troubles.clone() })
    }

    /// Whether the same directories have to be watched, and links followed.
    pub(in crate::config) fn is_reached_as(&self, other: &Self) -> bool {
        self.directories == other.directories && self.links == other.links
    }

    /// Looks at these paths alone, each in a directory without symlinks, and takes over what is there. `None` if that
    /// may not tell all, for a directory or a link is among them: then everything has to be looked at.
    pub(in crate::config) fn look_at(
        &mut self,
        roots: &[PathBuf],
        paths: &BTreeSet<PathBuf>,
        busy: &BTreeSet<PathBuf>,
    ) -> Option<Changes> {
        // One file that is given by its own name may be found below another path, too.
        if roots.iter().any(|root| self.files.contains_key(&clean(root)))
            || self.files.len() + paths.len() > MAX_FILES
        {
            return None;
        }
        let looks: Vec<Look> = paths.iter().map(|path| self.look(path)).collect::<Option<_>>()?;
        let mut changes = Changes::default();
        let mut troubles = self.troubles.clone();
        for look in looks {
            match look {
                Look::Nothing => {}
                Look::Gone(path) => {
                    troubles.remove(&path);
                    if self.files.remove(&path).is_some() {
                        changes.files.insert(path, None);
                    }
                }
                Look::File(path, directory, meta) => {
                    let mut walker = Walker::new(Known { scan: self, busy, trust: Trust::Nothing });
                    walker.file(&path, &directory, &meta);
                    let Scan { mut files, troubles: more, .. } = walker.scan;
                    troubles.remove(&path);
                    troubles.extend(more);
                    let now = files.remove(&path);
                    if now.as_ref() != self.files.get(&path) {
                        changes.files.insert(path.clone(), now.clone());
                    }
                    match now {
                        Some(file) => drop(self.files.insert(path, file)),
                        None => drop(self.files.remove(&path)),
                    }
                }
            }
        }
        self.troubles.clone_from(&troubles);
        Some(Changes { troubles, ..changes })
    }

    fn look(&self, path: &Path) -> Option<Look> {
        if self.directories.contains_key(path) || self.links.contains(path) {
            return None;
        }
        let (directory, name) = (path.parent()?, path.file_name()?);
        let watched = self.directories.get(directory)?;
        if let Some(names) = &watched.names {
            return (!names.contains(name)).then_some(Look::Nothing);
        }
        let text = name.to_string_lossy();
        if text.starts_with('.') {
            return Some(Look::Nothing);
        }
        let [shown] = &*watched.paths else { return None };
        let shown = shown.join(name);
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() || meta.is_symlink() => None,
            _ if is_ignored(&text) => Some(Look::Nothing),
            // Under its other name it may have been found below another path.
            Ok(meta) if meta.is_file() && meta.nlink() > 1 => None,
            Ok(meta) if meta.is_file() => Some(Look::File(shown, directory.to_path_buf(), meta)),
            Ok(_) => Some(Look::Gone(shown)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Look::Gone(shown)),
            Err(_) => None,
        }
    }
}
