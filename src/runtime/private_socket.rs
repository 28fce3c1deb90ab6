//! A Unix socket that only its owner can connect to, and whose file goes with it.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// The file of a socket; removed when dropped, unless something else has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: Option<(u64, u64)>,
    is_left: AtomicBool,
}

/// Binds a socket file with mode 0600, not blocking. A file that a dead process has left is replaced; one that answers
/// is not.
pub fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    refuse_if_used(path)?;
    let name = path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "no file name"))?;
    // Made in a directory that only we can enter, then moved: at no moment can others connect.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let private = parent.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    fs::DirBuilder::new().create(&private)?;
    let bound = bind_private(&private, path);
    let _ = fs::remove_dir_all(&private);
    bound
}

fn refuse_if_used(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "the file exists and is not a socket"));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(ErrorKind::AddrInUse, "another process answers there"));
    }
    Ok(())
}

fn bind_private(private: &Path, path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    fs::set_permissions(private, fs::Permissions::from_mode(0o700))?;
    let made = private.join("s");
    let listener = UnixListener::bind(&made)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
    let metadata = fs::symlink_metadata(&made)?;
    fs::rename(&made, path)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: Some((metadata.dev(), metadata.ino())),
        is_left: AtomicBool::new(false),
    };
    Ok((listener, file))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

// === impl SocketFile ===

impl SocketFile {
    /// That of a socket which another process has bound, and leaves to us.
    pub fn adopt(path: &Path) -> Self {
        Self { path: path.to_owned(), identity: identity(path), is_left: AtomicBool::new(false) }
    }

    /// Leaves the file to another process.
    pub fn leave(&self) {
        self.is_left.store(true, Ordering::SeqCst);
    }

    /// Whether the file belongs to another process.
    pub fn is_left(&self) -> bool {
        self.is_left.load(Ordering::SeqCst)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_same = identity(&self.path).is_some_and(|found| Some(found) == self.identity);
        if is_same && !self.is_left() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_for_its_owner_and_goes_with_its_listener() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let listener = bind(&path).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        drop(listener);
        assert!(!path.exists());
        let (_listener, file) = bind(&path).unwrap();
        file.leave();
        drop(file);
        assert!(path.exists(), "it is another's");
        drop(SocketFile::adopt(&path));
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_answers_is_not_replaced_but_a_dead_one_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let alive = UnixListener::bind(&path).unwrap();
        assert_eq!(bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(alive);
        let _second = bind(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        fs::write(&path, "text").unwrap();
        assert_eq!(bind(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }
}
