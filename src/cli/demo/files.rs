//! The directory of routes that the person at the terminal is invited to edit.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::super::exit::Advised;

/// The directory; a temporary one is removed when this is dropped.
#[derive(Debug)]
pub struct Routes {
    path: PathBuf,
    keep: Keep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    /// The person named it.
    Yes,
    No,
}

/// Names and contents; `{blue}` and so on stand for the ports of the backends.
const FILES: [(&str, &str); 3] = [
    ("backends.yaml", include_str!("files/backends.yaml")),
    ("canary.yaml", include_str!("files/canary.yaml")),
    ("demo.yaml", include_str!("files/demo.yaml")),
];

// === impl Routes ===

impl Routes {
    /// Writes the routes into `directory`, or into a new temporary one. Nothing is ever overwritten.
    pub fn write(directory: Option<&Path>, backends: [SocketAddr; 3]) -> anyhow::Result<Self> {
        let routes = match directory {
            Some(path) => {
                fs::create_dir_all(path).with_context(|| format!("cannot create `{}`", path.display()))?;
                let mut entries =
                    fs::read_dir(path).with_context(|| format!("cannot read `{}`", path.display()))?;
                if entries.next().is_some() {
                    let message = format!("`{}` is not empty", path.display());
                    return Err(Advised::new(message, "name a new directory: nothing is overwritten").into());
                }
                Self { path: path.to_owned(), keep: Keep::Yes }
            }
            None => Self { path: temporary()?, keep: Keep::No },
        };
        for (name, content) in FILES {
            let path = routes.path.join(name);
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path)
                .with_context(|| format!("cannot write `{}`", path.display()))?;
            file.write_all(fill(content, backends).as_bytes())?;
        }
        Ok(routes)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_temporary(&self) -> bool {
        self.keep == Keep::No
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        if self.is_temporary() {
            // It lies among other temporary files; nobody needs to hear of it.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn fill(content: &str, backends: [SocketAddr; 3]) -> String {
    let mut text = content.to_owned();
    for (flavour, address) in super::backends::ALL.into_iter().zip(backends) {
        text = text.replace(&format!("{{{}}}", flavour.name), &address.port().to_string());
    }
    text
}

/// A directory that did not exist before.
fn temporary() -> anyhow::Result<PathBuf> {
    let parent = std::env::temp_dir();
    for number in 0..100 {
        let suffix = if number == 0 { String::new() } else { format!("-{number}") };
        let path = parent.join(format!("portolan-demo{suffix}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot create `{}`", path.display()));
            }
        }
    }
    let message = format!("there are too many directories of former demos in `{}`", parent.display());
    Err(Advised::new(message, "remove them, or name one with `--dir`").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::check_paths;

    fn backends() -> [SocketAddr; 3] {
        [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], 40_000 + port)))
    }

    #[test]
    fn what_is_written_is_valid() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        let routes = Routes::write(Some(&path), backends()).unwrap();
        let report = check_paths(std::slice::from_ref(&path));
        assert!(report.diagnostics.is_empty(), "{:#?}", report.diagnostics);
        assert!(report.objects.len() >= 5, "{:?}", report.objects.keys());
        drop(routes);
        assert!(path.join("demo.yaml").exists());
    }

    #[test]
    fn a_directory_with_something_in_it_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("precious"), "text").unwrap();
        let error = Routes::write(Some(directory.path()), backends()).unwrap_err();
        assert!(error.to_string().contains("is not empty"), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_temporary_directory_is_new_and_goes_away() {
        let first = Routes::write(None, backends()).unwrap();
        let second = Routes::write(None, backends()).unwrap();
        assert_ne!(first.path(), second.path());
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists() && second.path().exists());
    }
}
