//! The messages of HTTP/1 (RFC 9112), for both sides of the proxy: heads are read and written, bodies are told apart from
//! what follows them. Heads and chunk sizes are parsed by `httparse`. Pure, but for [`output`], which writes.

pub(super) mod body;
pub(super) mod fields;
pub(super) mod input;
pub(super) mod output;
pub(super) mod request;
pub(super) mod response;

/// Whether a connection is kept open after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    Open,
    Closes,
}

/// How long the body of a message is that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// There is none.
    None,
    Known(u64),
    Unknown,
}
