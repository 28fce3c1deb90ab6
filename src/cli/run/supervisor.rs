//! What a supervisor such as systemd gives to a process, and wants to hear from it.
//!
//! Sockets that it has opened (`LISTEN_FDS`), and its notifications (`NOTIFY_SOCKET`); see `sd_listen_fds(3)` and
//! `sd_notify(3)`.

use std::{
    ffi::OsString,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

use listenfd::ListenFd;

use crate::app::Activated;

/// Where notifications go, if anywhere.
#[derive(Debug)]
pub struct Supervisor {
    address: Option<OsString>,
}

/// The sockets that a supervisor has opened for this process, with their names. Reads the environment and removes the
/// variables from it: it has to be called before there are threads.
pub fn sockets() -> Vec<(String, Activated)> {
    let names =
        std::env::var_os("LISTEN_FDNAMES").and_then(|names| names.into_string().ok()).unwrap_or_default();
    let mut names = names.split(':');
    let mut given = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..given.len() {
        let name = names.next().unwrap_or_default().to_owned();
        let socket = match given.take_tcp_listener(index) {
            Ok(Some(listener)) => Ok(Activated::Tcp(listener)),
            Ok(None) => continue,
            Err(_) => given
                .take_unix_listener(index)
                .map(|listener| listener.map(Activated::Unix))
                .and_then(is_there),
        };
        match socket {
            Ok(socket) => sockets.push((name, socket)),
            Err(error) => {
                tracing::warn!(name, index, "a socket that the supervisor has opened is not used: {error}");
            }
        }
    }
    sockets
}

fn is_there<T>(found: Option<T>) -> io::Result<T> {
    found.ok_or_else(|| io::ErrorKind::NotFound.into())
}

// === impl Supervisor ===

impl Supervisor {
    pub fn find() -> Self {
        Self { address: std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) }
    }

    /// This process serves.
    pub fn ready(&self) {
        self.tell(&format!("READY=1\nMAINPID={}\nSTATUS=serving", std::process::id()));
    }

    /// Another process serves instead of this one.
    pub fn relieved(&self, successor: u32) {
        if successor != 0 {
            self.tell(&format!("MAINPID={successor}\nSTATUS=serving"));
        }
    }

    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=draining");
    }

    fn tell(&self, words: &str) {
        let Some(address) = &self.address else { return };
        if let Err(error) = send(address.as_bytes(), words) {
            tracing::warn!(%error, "the supervisor cannot be told how it goes");
        }
    }
}

fn send(address: &[u8], words: &str) -> io::Result<()> {
    let address = match address {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(std::path::Path::new(std::ffi::OsStr::from_bytes(path)))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(words.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_hears_which_process_serves() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let abstract_name = format!("portolan-test-{}", std::process::id());
        let named = UnixDatagram::bind(&path).unwrap();
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let unnamed = UnixDatagram::bind_addr(&address).unwrap();
        for (socket, address) in
            [(named, path.into_os_string()), (unnamed, format!("@{abstract_name}").into())]
        {
            let supervisor = Supervisor { address: Some(address) };
            supervisor.ready();
            supervisor.relieved(0);
            supervisor.relieved(7);
            supervisor.stopping();
            let mut words = [0; 100];
            let mut next = || {
                let length = socket.recv(&mut words).unwrap();
                String::from_utf8_lossy(&words[..length]).into_owned()
            };
            assert_eq!(next(), format!("READY=1\nMAINPID={}\nSTATUS=serving", std::process::id()));
            assert_eq!(next(), "MAINPID=7\nSTATUS=serving");
            assert_eq!(next(), "STOPPING=1\nSTATUS=draining");
        }
        Supervisor { address: None }.ready();
    }
}
