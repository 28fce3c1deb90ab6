//! Sockets that others have opened for this process: the one that it takes over from, or a supervisor.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::OwnedFd,
        unix::net::{SocketAddr as UnixAddress, UnixListener},
    },
    path::Path,
    sync::Arc,
};

use crate::{admin, app::settings::AdminAddress, proxy::Opened, runtime::private_socket::SocketFile};

/// What a process finds open when it starts.
#[derive(Debug, Default)]
pub struct Inherited {
    pub(super) opened: Opened,
    pub(super) admin: Vec<AdminSocket>,
    /// What port 0 became in the predecessor.
    pub(super) http: Option<SocketAddr>,
    pub(super) https: Option<SocketAddr>,
    /// The endpoints that the predecessor's checks found healthy, by backend.
    pub(super) healthy: BTreeMap<Arc<str>, BTreeSet<String>>,
    pub(super) has_predecessor: bool,
}

/// A listening socket of a supervisor.
#[derive(Debug)]
pub enum Activated {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A socket for the admin API.
#[derive(Debug)]
pub(super) struct AdminSocket {
    /// Where the API is asked for in the settings; `None` fits anywhere.
    pub(super) asked: Option<String>,
    pub(super) socket: Activated,
    pub(super) file: File,
}

/// Who removes the file of a unix socket in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum File {
    Ours,
    TheSupervisors,
}

/// The name (`FileDescriptorName=`) of the admin API's socket, wherever it listens.
const ADMIN: &str = "admin";

// === impl Inherited ===

impl Inherited {
    /// Sockets of a supervisor, with their names.
    pub fn activated(sockets: impl IntoIterator<Item = (String, Activated)>) -> Self {
        let mut inherited = Self::default();
        for (name, socket) in sockets {
            let is_named = name == ADMIN;
            match socket {
                Activated::Tcp(socket) if !is_named => {
                    // The admin API's, if its address is this.
                    if let (Ok(address), Ok(copy)) = (socket.local_addr(), socket.try_clone()) {
                        let asked = AdminAddress::Tcp(address).to_string();
                        inherited.admin.push(AdminSocket::of_supervisor(Some(asked), Activated::Tcp(copy)));
                    }
                    inherited.opened.activated.push(socket);
                }
                socket @ (Activated::Tcp(_) | Activated::Unix(_)) => {
                    let asked = if is_named { None } else { socket.address() };
                    inherited.admin.push(AdminSocket::of_supervisor(asked, socket));
                }
            }
        }
        inherited
    }

    /// The listener of the admin API, if somebody has opened it.
    pub(super) fn admin(&mut self, address: &AdminAddress) -> Option<io::Result<(admin::Listener, File)>> {
        let address = address.to_string();
        let mut sockets = std::mem::take(&mut self.admin).into_iter();
        let found = sockets.find(|socket| socket.asked.as_ref().is_none_or(|asked| *asked == address))?;
        let file = found.file;
        Some(found.listen().map(|listener| (listener, file)))
    }
}

// === impl AdminSocket ===

impl AdminSocket {
    fn of_supervisor(asked: Option<String>, socket: Activated) -> Self {
        Self { asked, socket, file: File::TheSupervisors }
    }

    fn listen(self) -> io::Result<admin::Listener> {
        match self.socket {
            Activated::Tcp(listener) => admin::Listener::adopt_tcp(listener),
            Activated::Unix(listener) => {
                let address = listener.local_addr()?;
                let file = SocketFile::adopt(address.as_pathname().unwrap_or(Path::new("")));
                match self.file {
                    File::Ours => {}
                    File::TheSupervisors => file.leave(),
                }
                admin::Listener::adopt_unix(listener, file)
            }
        }
    }
}

// === impl Activated ===

impl Activated {
    /// As `--admin` has it.
    fn address(&self) -> Option<String> {
        match self {
            Self::Tcp(socket) => Some(AdminAddress::Tcp(socket.local_addr().ok()?).to_string()),
            Self::Unix(socket) => path(&socket.local_addr().ok()?),
        }
    }

    /// One that arrived as an open file.
    pub(super) fn of(admin: &AdminAddress, descriptor: OwnedFd) -> Self {
        match admin {
            AdminAddress::Tcp(_) => Self::Tcp(descriptor.into()),
            AdminAddress::Unix(_) => Self::Unix(descriptor.into()),
        }
    }
}

fn path(address: &UnixAddress) -> Option<String> {
    Some(AdminAddress::Unix(address.as_pathname()?.to_owned()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> (Activated, AdminAddress) {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = AdminAddress::Tcp(socket.local_addr().unwrap());
        (Activated::Tcp(socket), address)
    }

    #[tokio::test]
    async fn the_admin_apis_socket_is_found_by_its_address_or_its_name() {
        let elsewhere = AdminAddress::Tcp("127.0.0.1:1".parse().unwrap());
        let ((web, web_address), (other, _)) = (socket(), socket());
        let mut inherited = Inherited::activated([("web".to_owned(), web), (String::new(), other)]);
        assert_eq!(inherited.opened.activated.len(), 2);
        assert!(inherited.admin(&elsewhere).is_none());

        let mut inherited =
            Inherited::activated([("web".to_owned(), socket().0), (String::new(), socket().0)]);
        assert!(inherited.admin(&web_address).is_none());
        let (web, web_address) = socket();
        inherited = Inherited::activated([("web".to_owned(), web)]);
        let (listener, owner) = inherited.admin(&web_address).unwrap().unwrap();
        assert_eq!((listener.address(), owner), (web_address.to_string(), File::TheSupervisors));

        let (named, named_address) = socket();
        inherited = Inherited::activated([(ADMIN.to_owned(), named)]);
        assert!(inherited.opened.activated.is_empty(), "it is for nothing else");
        let (listener, _) = inherited.admin(&elsewhere).unwrap().unwrap();
        assert_eq!(listener.address(), named_address.to_string());
    }

    #[tokio::test]
    async fn a_unix_socket_of_a_supervisor_keeps_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let socket = Activated::Unix(UnixListener::bind(&path).unwrap());
        let mut inherited = Inherited::activated([(String::new(), socket)]);
        let (listener, _) = inherited.admin(&AdminAddress::Unix(path.clone())).unwrap().unwrap();
        assert_eq!(listener.address(), format!("unix:{}", path.display()));
        drop(listener);
        assert!(path.exists());
    }
}
