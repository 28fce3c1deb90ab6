//! The last known state on disk: what serves after a restart while the engine is away.
//!
//! Written by rename and fsynced, so that a crash leaves the old file or the new one. The version guards against reading
//! what another release wrote differently.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::model::Workload;

const VERSION: u32 = 1;
const FILE: &str = "workloads.json";

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

#[derive(Serialize)]
struct Saved<'a> {
    version: u32,
    workloads: Vec<&'a Workload>,
}

#[derive(Deserialize)]
struct Loaded {
    version: u32,
    workloads: Vec<Workload>,
}

/// Reads the workloads that were known last; none if nothing was saved yet.
pub fn load(directory: &Path) -> Result<Vec<Workload>, Error> {
    let path = directory.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::Read { path, source }),
    };
    let loaded: Loaded = match serde_json::from_slice(&text) {
        Ok(loaded) => loaded,
        Err(source) => return Err(Error::Invalid { path, source }),
    };
    if loaded.version != VERSION {
        return Err(Error::Version { path, found: loaded.version });
    }
    Ok(loaded.workloads)
}

/// Writes the workloads that are known now.
pub fn save(directory: &Path, workloads: &[Arc<Workload>]) -> Result<(), Error> {
    let path = directory.join(FILE);
    let saved = Saved { version: VERSION, workloads: workloads.iter().map(|workload| &**workload).collect() };
    let text = match serde_json::to_vec(&saved) {
        Ok(text) => text,
        Err(source) => return Err(Error::Invalid { path, source }),
    };
    replace(directory, &path, &text).map_err(|source| Error::Write { path, source })
}

fn replace(directory: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let temporary = directory.join(format!(".{FILE}.new"));
    let mut file = fs::File::create(&temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
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
    fn another_version_is_refused_with_both_numbers() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), r#"{"version": 99, "workloads": []}"#).unwrap();
        let message = load(directory.path()).unwrap_err().to_string();
        assert!(message.contains("version 99") && message.contains("version 1"), "{message}");
    }

    #[test]
    fn a_truncated_file_is_an_error_and_no_panic() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), r#"{"version": 1, "work"#).unwrap();
        assert!(matches!(load(directory.path()), Err(Error::Invalid { .. })));
    }
}
