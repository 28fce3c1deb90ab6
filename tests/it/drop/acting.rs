//! A scene in which an operator may act: Portolan knows a token, and so does whoever asks it.

use std::{
    net::SocketAddr,
    process::{Command, Output},
    thread::{self, JoinHandle},
};

use super::Scene;
use crate::support::{engine::Engine, http::Connection, portolan::command, scratch, wait};

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    Nothing,
    Drains,
    Everything,
}

pub(super) struct Acting {
    pub(super) scene: Scene,
    folder: tempfile::TempDir,
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) text: String,
}

// === impl Acting ===

impl Acting {
    pub(super) fn start(allowed: Allowed) -> Option<Self> {
        let engine = Engine::local()?;
        let folder = scratch();
        let token = folder.path().join("token");
        std::fs::write(&token, "a-word-that-nobody-guesses\n").unwrap();
        let token = token.to_str().unwrap();
        let all = ["--admin-token-file", token, "--allow-container-actions"];
        let scene = match allowed {
            Allowed::Nothing => Scene::with(engine, &[]),
            Allowed::Drains => Scene::with(engine, &all[..2]),
            Allowed::Everything => Scene::with(engine, &all),
        };
        Some(Self { scene, folder })
    }

    /// `portolan ARGUMENTS`, which knows where to ask and the token.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command();
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("DOCKER_HOST", self.scene.engine.url())
            .env("PORTOLAN_ADMIN", self.scene.portolan.admin.to_string())
            .env("PORTOLAN_ADMIN_TOKEN_FILE", self.folder.path().join("token"));
        command
    }

    pub(super) fn runs(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).output().unwrap())
    }
}

// === impl Said ===

impl Said {
    fn of(output: &Output) -> Self {
        let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        Self { code: output.status.code().unwrap(), text: format!("{err}{out}") }
    }

    /// It ended with this code and said all of these.
    #[track_caller]
    pub(super) fn is(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}", self.text);
        for words in words {
            assert!(self.text.contains(words), "`{words}` is not in:\n{}", self.text);
        }
    }
}

/// A WebSocket that is open until it is dropped.
pub(super) struct Tunnel(Connection);

// === impl Tunnel ===

impl Tunnel {
    pub(super) fn open(address: SocketAddr, host: &str) -> Self {
        let mut connection = Connection::open(address).unwrap();
        let ask = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        connection.send(format!("GET /ws HTTP/1.1\r\nHost: {host}\r\n{ask}\r\n")).unwrap();
        let head = connection.head().unwrap();
        assert_eq!(head.status, 101, "{head}");
        Self(connection)
    }

    /// It still echoes.
    #[track_caller]
    pub(super) fn lives(&mut self) {
        // A frame of text, masked by zeros, and the one that comes back.
        self.0.send([0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).unwrap();
        let mut back = Vec::new();
        while back.len() < 4 {
            let more = self.0.some().unwrap();
            assert!(!more.is_empty(), "it was closed after {back:?}");
            back.extend(more);
        }
        assert_eq!(back, [0x81, 2, b'h', b'i']);
    }
}

/// A download of so many pieces, half a second apart, that has begun when this returns. Its end tells whether every byte
/// came.
pub(super) fn download(address: SocketAddr, host: &str, pieces: usize) -> JoinHandle<Result<(), String>> {
    const PIECE: usize = 64 << 10;
    let all = pieces * PIECE;
    let mut connection = Connection::open(address).unwrap();
    connection
        .send(format!("GET /bytes?n={all}&ms=500 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
        .unwrap();
    let head = connection.head().unwrap();
    assert_eq!(head.status, 200, "{head}");
    thread::spawn(move || {
        let body = connection.rest().map_err(|error| error.to_string())?;
        let is_right = |(at, byte): (usize, &u8)| usize::from(*byte - b'a') == at % PIECE % 26;
        let right = body.iter().enumerate().take_while(|pair| is_right(*pair)).count();
        if right == all {
            Ok(())
        } else {
            Err(format!("{right} of {all} bytes are right, {} came", body.len()))
        }
    })
}

/// Waits for the end of a download: every byte has come.
#[track_caller]
pub(super) fn is_whole(download: JoinHandle<Result<(), String>>) {
    wait::eventually(wait::SOON, "the download ends", || {
        if download.is_finished() { Ok(()) } else { Err("it goes on") }
    });
    assert_eq!(download.join().unwrap(), Ok(()));
}
