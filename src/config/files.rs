//! Finds and reads the files of a configuration. A scan says what could not be looked at, so that nothing is taken
//! for removed only because it could not be seen.

mod changes;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, File as Handle, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

pub use changes::{Changes, Update};

use super::{diagnostic::shown, yaml::MAX_BYTES};

/// More files than this are not read.
pub const MAX_FILES: usize = 100_000;

/// Directories deeper than this below a given path are not entered.
pub const MAX_DIRECTORY_DEPTH: usize = 32;

/// A file changed this short a time before it was read may change again without a new time stamp.
const STAMP_GRANULARITY: Duration = Duration::from_millis(50);

/// The files below some paths at one moment.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// By path, as it was reached from the given paths.
    pub files: BTreeMap<PathBuf, File>,
    /// What could not be looked at: nothing at or below such a path is known to be gone.
    pub troubles: BTreeMap<PathBuf, String>,
    /// Directories, without symlinks in their paths, whose changes may change the scan.
    pub(super) directories: BTreeMap<PathBuf, Watched>,
    /// The symlinks on the way to something that is read, each in its directory without symlinks.
    pub(super) links: BTreeSet<PathBuf>,
}

/// A directory to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) identity: Identity,
    /// The names in it that matter; `None` if all do.
    pub(super) names: Option<BTreeSet<OsString>>,
    /// As what it was reached from the given paths, if all its files are read.
    paths: Vec<PathBuf>,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct File {
    pub content: Arc<[u8]>,
    /// The state in which the content was read; `None` if it may have changed unseen since.
    stamp: Option<Stamp>,
}

/// Device and inode.
pub(super) type Identity = (u64, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    identity: Identity,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Which files need not be read again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) scan: &'a Scan,
    /// Files that are being written, without symlinks in their directories: what was read before still counts.
    pub(super) busy: &'a BTreeSet<PathBuf>,
    pub(super) trust: Trust,
}

/// Whether a file whose time stamps did not change is taken for unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    Stamps,
    Nothing,
}

/// Reads every file below `paths`.
pub fn scan(paths: &[PathBuf]) -> Scan {
    let nothing = Scan::default();
    rescan(paths, Known { scan: &nothing, busy: &BTreeSet::new(), trust: Trust::Nothing })
}

/// Reads what is not known already.
pub(super) fn rescan(paths: &[PathBuf], known: Known<'_>) -> Scan {
    Walker::new(known).walk(paths)
}

/// Looks at everything, a little at a time, so that nobody notices. Hurries once `hurry` is set.
pub(super) fn scan_gently(paths: &[PathBuf], (known, trust): (&Scan, Trust), hurry: &AtomicBool) -> Scan {
    let busy = BTreeSet::new();
    let mut walker = Walker::new(Known { scan: known, busy: &busy, trust });
    walker.hurry = Some(hurry);
    walker.walk(paths)
}

/// How a path is shown to people.
pub fn label(path: &Path) -> Arc<str> {
    shown(&path.to_string_lossy()).into()
}

/// Whether a file in a directory is left out by its name: hidden, or an editor's temporary.
pub(super) fn is_ignored(name: &str) -> bool {
    let is_document = [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end));
    !is_document || name.starts_with('.') || name.starts_with('#')
}

/// The path without `.` in it, so that one file has one name.
fn clean(path: &Path) -> PathBuf {
    let path: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}

struct Walker<'a> {
    known: Known<'a>,
    scan: Scan,
    root: usize,
    /// The given path through which a file or directory was reached first.
    seen: BTreeMap<Identity, usize>,
    now: SystemTime,
    /// Present where it rests now and then, unless this is set.
    hurry: Option<&'a AtomicBool>,
}

// === impl Walker ===

impl<'a> Walker<'a> {
    fn new(known: Known<'a>) -> Self {
        let now = SystemTime::now();
        Self { known, scan: Scan::default(), root: 0, seen: BTreeMap::new(), now, hurry: None }
    }

    fn walk(mut self, paths: &[PathBuf]) -> Scan {
        for (index, path) in paths.iter().enumerate() {
            self.root = index;
            self.root(&clean(path));
        }
        self.scan
    }

    #[expect(clippy::disallowed_methods, reason = "on a thread that may block")]
    fn rest(&self) {
        const EVERY: usize = 50;
        const REST: Duration = Duration::from_millis(4);
        let is_due = self.scan.files.len() % EVERY == EVERY - 1;
        if is_due && self.hurry.is_some_and(|hurry| !hurry.load(Ordering::Relaxed)) {
            std::thread::sleep(REST);
        }
    }

    fn root(&mut self, path: &Path) {
        self.watch_links(path);
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => self.directory(path, &meta, &mut Vec::new()),
            Ok(meta) if meta.is_file() => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                if let Ok(parent) = fs::canonicalize(parent.unwrap_or(Path::new("."))) {
                    self.file(path, &parent, &meta);
                }
            }
            Ok(_) => self.trouble(path, "is neither a file nor a directory"),
            Err(error) => self.trouble(path, &reason(&error)),
        }
    }

    /// Watches every directory in which one name of the path could be replaced: those that hold a symlink on the
    /// way, and the last that exists.
    fn watch_links(&mut self, path: &Path) {
        const MOST: usize = 40;
        let mut pending: Vec<PathBuf> = vec![path.to_path_buf()];
        let mut followed = 0;
        while let Some(path) = pending.pop() {
            for part in path.ancestors() {
                let parent = match part.parent() {
                    Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
                    Some(parent) => parent,
                    None => continue,
                };
                match fs::symlink_metadata(part) {
                    Ok(meta) if meta.is_symlink() => {
                        self.watch(parent, part);
                        if let (Ok(real), Some(name)) = (fs::canonicalize(parent), part.file_name()) {
                            self.scan.links.insert(real.join(name));
                        }
                        followed += 1;
                        if let (true, Ok(target)) = (followed < MOST, fs::read_link(part)) {
                            pending.push(parent.join(target));
                        }
                    }
                    Ok(_) => {}
                    Err(_) => self.watch(parent, part),
                }
            }
        }
        // The path itself may be replaced by a rename.
        if let Ok(real) = fs::canonicalize(path)
            && let Some(parent) = real.parent()
        {
            self.watch(parent, &real);
        }
    }

    /// Watches one name in a directory.
    fn watch(&mut self, directory: &Path, path: &Path) {
        let Some(name) = path.file_name() else { return };
        let Ok(real) = fs::canonicalize(directory) else { return };
        let Ok(meta) = fs::metadata(&real) else { return };
        if !meta.is_dir() {
            return;
        }
        let watched = Watched { identity: identity(&meta), names: Some(BTreeSet::new()), paths: Vec::new() };
        if let Some(names) = &mut self.scan.directories.entry(real).or_insert(watched).names {
            names.insert(name.to_owned());
        }
    }

    fn directory(&mut self, path: &Path, meta: &Metadata, above: &mut Vec<Identity>) {
        let own = identity(meta);
        if above.contains(&own) || *self.seen.entry(own).or_insert(self.root) != self.root {
            return;
        }
        if above.len() >= MAX_DIRECTORY_DEPTH {
            let message = format!("is more than {MAX_DIRECTORY_DEPTH} directories deep: not read");
            return self.trouble(path, &message);
        }
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) => return self.trouble(path, &reason(&error)),
        };
        let watched = self.scan.directories.entry(real.clone()).or_insert_with(|| Watched {
            identity: own,
            names: None,
            paths: Vec::new(),
        });
        (watched.identity, watched.names) = (own, None);
        watched.paths.push(path.to_path_buf());
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.trouble(path, &reason(&error)),
        };
        above.push(own);
        let mut names = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => names.push(entry.file_name()),
                Err(error) => self.trouble(path, &reason(&error)),
            }
        }
        names.sort_unstable();
        for name in names {
            if !name.to_string_lossy().starts_with('.') {
                self.entry(&path.join(&name), &real, above);
            }
        }
        above.pop();
    }

    fn entry(&mut self, path: &Path, real_directory: &Path, above: &mut Vec<Identity>) {
        let ignored = is_ignored(&path.file_name().unwrap_or_default().to_string_lossy());
        let is_link = || fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                if is_link() {
                    self.watch_links(path);
                }
                self.directory(path, &meta, above);
            }
            Ok(meta) if meta.is_file() && !ignored => {
                if is_link() {
                    self.watch_links(path);
                }
                self.file(path, real_directory, &meta);
            }
            Ok(_) => {}
            // A link whose target is gone, perhaps only until the next step of a swap.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if is_link() && !ignored {
                    self.watch_links(path);
                    self.trouble(path, "points to nothing");
                }
            }
            Err(_) if ignored => {}
            Err(error) => self.trouble(path, &reason(&error)),
        }
    }

    fn file(&mut self, path: &Path, real_directory: &Path, meta: &Metadata) {
        let stamp = Stamp::new(meta);
        if *self.seen.entry(stamp.identity).or_insert(self.root) != self.root {
            return;
        }
        if self.scan.files.len() >= MAX_FILES {
            return self.trouble(path, &format!("is one of more than {MAX_FILES} files: not read"));
        }
        self.rest();
        let known = self.known.scan.files.get(path);
        if let Some(known) = known {
            let busy = !self.known.busy.is_empty()
                && path.file_name().is_some_and(|name| self.known.busy.contains(&real_directory.join(name)));
            if busy || (self.known.trust == Trust::Stamps && known.stamp == Some(stamp)) {
                self.scan.files.insert(path.to_path_buf(), known.clone());
                return;
            }
        }
        match read(path) {
            Ok(content) => {
                let content = match known {
                    Some(known) if *known.content == *content => Arc::clone(&known.content),
                    _ => content.into(),
                };
                let settled = meta.modified().ok().and_then(|time| self.now.duration_since(time).ok());
                let settled = settled.is_some_and(|age| age > STAMP_GRANULARITY);
                let file = File { content, stamp: settled.then_some(stamp) };
                self.scan.files.insert(path.to_path_buf(), file);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.trouble(path, &reason(&error)),
        }
    }

    fn trouble(&mut self, path: &Path, message: &str) {
        self.scan.troubles.entry(path.to_path_buf()).or_insert_with(|| message.to_owned());
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    let mut content = Vec::new();
    Handle::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() > MAX_BYTES {
        let message = format!("has more than {MAX_BYTES} bytes: not read");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(content)
}

fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino())
}

/// Why something could not be read, to stand behind its name.
fn reason(error: &io::Error) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::NotFound {
        "does not exist".to_owned()
    } else if kind == io::ErrorKind::PermissionDenied {
        "cannot be read: permission denied".to_owned()
    } else if kind == io::ErrorKind::FileTooLarge {
        error.to_string()
    } else {
        format!("cannot be read: {error}")
    }
}

// === impl Stamp ===

impl Stamp {
    fn new(meta: &Metadata) -> Self {
        Self {
            identity: identity(meta),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

// === impl Scan ===

/// Equal if the same is to be read from it.
impl PartialEq for Scan {
    fn eq(&self, other: &Self) -> bool {
        self.files == other.files && self.troubles == other.troubles
    }
}

impl Eq for Scan {}

impl FromIterator<(PathBuf, File)> for Scan {
    fn from_iter<I: IntoIterator<Item = (PathBuf, File)>>(files: I) -> Self {
        Self { files: files.into_iter().collect(), ..Self::default() }
    }
}

// === impl File ===

impl File {
    /// A file with this content.
    pub fn new(content: impl Into<Arc<[u8]>>) -> Self {
        Self { content: content.into(), stamp: None }
    }
}

impl PartialEq for File {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.content, &other.content) || self.content == other.content
    }
}

impl Eq for File {}
