//! Self-signed certificates on disk, so that a restart does not make them anew: who has once believed one goes on to.

use std::{
    collections::BTreeSet,
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
    time::Duration,
};

use super::{Made, pem};
use crate::model::{CertifiedKey, HostPattern, ResourceId};

/// A folder with a file for each certificate and its key, which only its owner can read.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// `None` keeps nothing.
    pub(super) folder: Option<PathBuf>,
}

// === impl Kept ===

impl Kept {
    /// The certificate that was made for this object, if it was made for the same names and time.
    pub(super) fn load(
        &self,
        id: &ResourceId,
        names: &[HostPattern],
        valid_for: Duration,
    ) -> Option<CertifiedKey> {
        let text = fs::read(self.path(id)?).ok()?;
        // What a crash or a person has left there is no reason to say anything: it is made anew.
        let key = pem::certified_key(&text, &text).ok()?;
        let is_for = |key: &CertifiedKey| {
            let made: BTreeSet<&HostPattern> = key.names.iter().collect();
            made == names.iter().collect() && key.not_after - key.not_before == super::lifetime(valid_for)
        };
        is_for(&key).then_some(key)
    }

    pub(super) fn save(&self, id: &ResourceId, made: &Made) {
        let Some(path) = self.path(id) else { return };
        if let Err(error) = write(&path, &made.text) {
            tracing::warn!(
                path = %path.display(),
                %error,
                "cannot keep a self-signed certificate: a restart will make another one; make the state directory \
                 writable, or name another with `--state-dir`"
            );
        }
    }

    /// Nobody asks for it any more.
    pub(super) fn forget(&self, id: &ResourceId) {
        if let Some(path) = self.path(id) {
            // It may never have been written.
            let _ = fs::remove_file(path);
        }
    }

    /// A namespace has no dot, hence no two objects have the same file.
    fn path(&self, id: &ResourceId) -> Option<PathBuf> {
        let is_plain = |text: &str, others: &[u8]| {
            let is_fine = |byte: &u8| byte.is_ascii_alphanumeric() || others.contains(byte);
            !text.is_empty() && text.as_bytes().iter().all(is_fine)
        };
        let is_file = is_plain(&id.namespace, b"-") && is_plain(&id.name, b"-.");
        let folder = self.folder.as_ref().filter(|_| is_file)?;
        Some(folder.join(format!("{}.{}.pem", id.namespace, id.name)))
    }
}

fn write(path: &std::path::Path, text: &str) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let temporary = path.with_extension("new");
    // A leftover of a crash may have another mode.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(folder)?.sync_all()
}
