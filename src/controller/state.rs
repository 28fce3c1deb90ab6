//! The last known state on disk: what serves after a restart while the engine is away, or a document is broken.
//!
//! Written by rename and fsynced, so that a crash leaves the old file or the new one. The version guards against reading
//! what another release wrote differently.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{config::store::Past, model::Workload};

const VERSION: u32 = 1;
const WORKLOADS: &str = "workloads.json";
const DOCUMENTS: &str = "documents.json";

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the state file `{path}`")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write the state file `{path}`")]
    Write { path: PathBuf, source: io::Error },
    #[error("the state file `{path}` is not readable by this version")]
    Invalid { path: PathBuf, source: serde_json::Error },
    #[error("the state file `{path}` has version {found}, this program reads version {VERSION}")]
    Version { path: PathBuf, found: u32 },
}

/// What can be read before it is known whether the rest can.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize)]
struct SavedWorkloads<'a> {
    version: u32,
    workloads: Vec<&'a Workload>,
}

#[derive(Default, Deserialize)]
struct LoadedWorkloads {
    workloads: Vec<Workload>,
}

#[derive(Default, Serialize, Deserialize)]
struct Documents {
    version: u32,
    /// Path and contents of each file.
    files: Vec<(PathBuf, Vec<String>)>,
}

/// Reads the workloads that were known last; none if nothing was saved yet.
pub fn load(directory: &Path) -> Result<Vec<Workload>, Error> {
    read::<LoadedWorkloads>(directory.join(WORKLOADS)).map(|loaded| loaded.workloads)
}

/// Writes the workloads that are known now.
pub fn save(directory: &Path, workloads: &[Arc<Workload>]) -> Result<(), Error> {
    let workloads = workloads.iter().map(|workload| &**workload).collect();
    write(directory, WORKLOADS, &SavedWorkloads { version: VERSION, workloads })
}

/// Reads what the documents' last good objects were made of; nothing if nothing was saved yet.
pub fn load_documents(directory: &Path) -> Result<BTreeMap<PathBuf, Past>, Error> {
    let loaded: Documents = read(directory.join(DOCUMENTS))?;
    let past = |contents: Vec<String>| contents.into_iter().map(|text| text.into_bytes().into()).collect();
    Ok(loaded.files.into_iter().map(|(path, contents)| (path, past(contents))).collect())
}

/// Writes what the documents' last good objects are made of. There may be secrets in it: only its owner can read it.
pub fn save_documents(directory: &Path, past: &BTreeMap<PathBuf, Past>) -> Result<(), Error> {
    // What is not UTF-8 is no document, and no object is made of it.
    let text = |content: &Arc<[u8]>| String::from_utf8(content.to_vec()).ok();
    let files = past
        .iter()
        .filter(|(path, _)| path.to_str().is_some())
        .map(|(path, contents)| (path.clone(), contents.iter().filter_map(text).collect()));
    write(directory, DOCUMENTS, &Documents { version: VERSION, files: files.collect() })
}

fn read<T: Default + DeserializeOwned>(path: PathBuf) -> Result<T, Error> {
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
        Err(source) => return Err(Error::Read { path, source }),
    };
    match serde_json::from_slice(&text) {
        Ok(Version { version: VERSION }) => {}
        Ok(Version { version: found }) => return Err(Error::Version { path, found }),
        Err(source) => return Err(Error::Invalid { path, source }),
    }
    serde_json::from_slice(&text).map_err(|source| Error::Invalid { path, source })
}

fn write(directory: &Path, name: &str, value: &impl Serialize) -> Result<(), Error> {
    let path = directory.join(name);
    let text = match serde_json::to_vec(value) {
        Ok(text) => text,
        Err(source) => return Err(Error::Invalid { path, source }),
    };
    replace(directory, name, &text).map_err(|source| Error::Write { path, source })
}

fn replace(directory: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let temporary = directory.join(format!(".{name}.new"));
    // A leftover of a crash may have another mode.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join(name))?;
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_saved_is_nothing_known() {
        let directory = tempfile::tempdir().unwrap();
        assert!(load(directory.path()).unwrap().is_empty());
    }

    #[test]
    fn documents_come_back_as_they_were_and_only_their_owner_can_read_them() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let content = |text: &str| Arc::<[u8]>::from(text.as_bytes());
        let past = BTreeMap::from([
            (PathBuf::from("a.yaml"), vec![content("kind: A"), content("kind: [")]),
            (PathBuf::from("b/c.yaml"), vec![content("")]),
        ]);
        save_documents(directory.path(), &past).unwrap();
        save_documents(directory.path(), &past).unwrap();
        assert_eq!(load_documents(directory.path()).unwrap(), past);
        let mode = fs::metadata(directory.path().join(DOCUMENTS)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn another_version_is_refused_with_both_numbers() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(WORKLOADS), r#"{"version": 99, "workloads": []}"#).unwrap();
        let message = load(directory.path()).unwrap_err().to_string();
        assert!(message.contains("version 99") && message.contains("version 1"), "{message}");
    }

    #[test]
    fn a_truncated_file_is_an_error_and_no_panic() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(WORKLOADS), r#"{"version": 1, "work"#).unwrap();
        assert!(matches!(load(directory.path()), Err(Error::Invalid { .. })));
    }
}
