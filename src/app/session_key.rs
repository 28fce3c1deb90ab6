//! The secret by which sessions name endpoints: kept in the state directory, so that they outlive a restart.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use crate::proxy::SessionKey;

const FILE: &str = "session-key";

/// The key of the state directory; it is made when there is none. Without a directory, or where that fails, sessions end
/// with this process.
pub(super) fn of_directory(directory: Option<&Path>) -> SessionKey {
    let Some(directory) = directory else { return SessionKey::random() };
    match load_or_make(directory) {
        Ok(secret) => SessionKey::new(&secret),
        Err(error) => {
            tracing::warn!(
                path = %directory.join(FILE).display(),
                %error,
                "cannot keep the key of sessions: a restart will forget at which endpoint clients are; make the state \
                 directory writable, or name another with `--state-dir`"
            );
            SessionKey::random()
        }
    }
}

fn load_or_make(directory: &Path) -> io::Result<Vec<u8>> {
    let path = directory.join(FILE);
    match fs::read(&path) {
        Ok(secret) if secret.len() == SessionKey::LENGTH => return Ok(secret),
        // Cut short by a crash: made anew.
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::create_dir_all(directory)?;
    let secret = SessionKey::secret();
    let temporary = directory.join(format!("{FILE}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    Ok(secret.to_vec())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_stays_the_same_and_only_its_owner_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let first = load_or_make(&state).unwrap();
        assert_eq!(load_or_make(&state).unwrap(), first);
        let mode = fs::metadata(state.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(state.join(FILE), "short").unwrap();
        let second = load_or_make(&state).unwrap();
        assert_ne!(second, first);
        assert_eq!(second.len(), SessionKey::LENGTH);
    }
}
