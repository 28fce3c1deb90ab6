//! What two processes say to each other: JSON, each with its length before it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::Arc,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::app::inherited::File;

/// Changes when an older process could not understand.
pub(super) const VERSION: u32 = 1;

/// A word has no more bytes than this: thousands of sockets and endpoints.
const MOST: usize = 16 << 20;

/// The first word of the running process; the sockets follow it, in the same order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Greeting {
    pub(super) version: u32,
    pub(super) program: String,
    pub(super) network: Option<u64>,
    pub(super) http: Option<SocketAddr>,
    pub(super) https: Option<SocketAddr>,
    pub(super) healthy: BTreeMap<Arc<str>, BTreeSet<String>>,
    pub(super) sockets: Vec<Place>,
}

/// What a socket is for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub(super) enum Place {
    /// The address is the one that was asked for.
    Listener {
        address: SocketAddr,
    },
    /// A supervisor's, whatever it is used for.
    Activated,
    Admin {
        asked: String,
        file: File,
    },
}

/// The word of the successor: it serves.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {}

/// The last word of the running process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "answer")]
pub(super) enum Answer {
    /// It accepts nothing more.
    Yours,
    /// It goes on, and the other must not.
    No { reason: String },
}

pub(super) async fn write(stream: &mut UnixStream, word: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(word)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), &text[..]].concat()).await
}

/// Reads one word and not a byte more: sockets may follow.
pub(super) async fn read<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MOST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no hand-over"));
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text).await?;
    Ok(serde_json::from_slice(&text)?)
}
