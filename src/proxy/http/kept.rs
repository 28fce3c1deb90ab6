//! What is kept of a request's body, so that it can be sent again. Bounded: a longer body is sent once.

use std::collections::VecDeque;

use bytes::Bytes;
use http_body::Frame;

#[derive(Debug)]
pub(super) struct Kept {
    pieces: Vec<Bytes>,
    bytes: usize,
    most: usize,
    /// The next piece to be sent again.
    next: usize,
    /// Whether nothing that has come is missing here.
    is_whole: bool,
}

// === impl Kept ===

impl Kept {
    /// Keeps up to `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { pieces: Vec::new(), bytes: 0, most, next: 0, is_whole: true }
    }

    /// Takes note of what has come.
    pub(super) fn note(&mut self, frame: &Frame<Bytes>) {
        match frame.data_ref() {
            Some(data) if self.is_whole && self.bytes + data.len() <= self.most => {
                self.bytes += data.len();
                self.pieces.push(data.clone());
                self.next = self.pieces.len();
            }
            // Trailers end a stream, which is not kept either.
            Some(_) | None => {
                *self = Self { is_whole: false, ..Self::new(0) };
            }
        }
    }

    /// Keeps up to `most` bytes, if that is more.
    pub(super) fn extend(&mut self, most: usize) {
        self.most = self.most.max(most);
    }

    /// What has come.
    pub(super) fn pieces(&self) -> VecDeque<Bytes> {
        self.pieces.iter().cloned().collect()
    }

    /// How much of it is kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// From the start again.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
    }

    /// The next piece of those that have come already.
    pub(super) fn replay(&mut self) -> Option<Bytes> {
        let piece = self.pieces.get(self.next)?;
        self.next += 1;
        Some(piece.clone())
    }

    /// Bytes that have come already and are still to be sent again.
    pub(super) fn left(&self) -> u64 {
        self.pieces.iter().skip(self.next).map(|piece| piece.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(bytes: &'static [u8]) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(bytes))
    }

    #[test]
    fn what_came_is_told_again_from_the_start() {
        let mut kept = Kept::new(5);
        kept.note(&data(b"ab"));
        assert_eq!(kept.replay(), None, "it was sent already");
        kept.note(&data(b"cde"));
        kept.rewind();
        assert_eq!((kept.left(), kept.is_whole()), (5, true));
        assert_eq!(kept.replay().unwrap(), "ab");
        assert_eq!(kept.left(), 3);
        kept.rewind();
        let again: Vec<Bytes> = std::iter::from_fn(|| kept.replay()).collect();
        assert_eq!(again.concat(), b"abcde");
    }

    #[test]
    fn what_is_too_long_is_not_kept_at_all() {
        let mut kept = Kept::new(5);
        kept.note(&data(b"abc"));
        kept.note(&data(b"def"));
        kept.note(&data(b"g"));
        kept.rewind();
        assert_eq!((kept.is_whole(), kept.replay(), kept.left()), (false, None, 0));
        let mut kept = Kept::new(5);
        kept.note(&Frame::trailers(http::HeaderMap::new()));
        assert!(!kept.is_whole());
    }
}
