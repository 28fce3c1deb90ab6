//! After a switch of protocols: bytes both ways, until both ends are done.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::{
    connection::Connection,
    upstream::{Stream, Visit},
};

/// The backend's half of a connection that is not HTTP any more.
pub(super) struct Tunnel {
    stream: Stream,
    /// What the backend sent right after its answer.
    early: Bytes,
    /// It is under way at the endpoint, to its end.
    _visit: Option<Visit>,
}

// === impl Tunnel ===

impl Tunnel {
    /// For each direction: enough for a frame, little for ten thousand idle WebSockets.
    const BUFFER: usize = 8 << 10;

    pub(super) fn new(stream: Stream, early: Bytes, visit: Option<Visit>) -> Self {
        Self { stream, early, _visit: visit }
    }

    /// Copies until both directions have ended, one broke, or the connection is told to abort. `early` is what the
    /// client sent before it saw the answer. An end in one direction is passed on; the other goes on.
    pub(super) async fn run<C>(mut self, connection: &Connection, mut client: C, early: Bytes)
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let copy = async {
            client.write_all(&self.early).await?;
            self.stream.write_all(&early).await?;
            tokio::io::copy_bidirectional_with_sizes(
                &mut client,
                &mut self.stream,
                Self::BUFFER,
                Self::BUFFER,
            )
            .await
        };
        // Either way both sockets are closed: a broken tunnel has nobody left to tell.
        tokio::select! {
            _ = copy => {}
            () = connection.aborted() => {}
        }
    }
}
