//! Streams that h2 refuses because there are too many: it tells nobody but the client, so they are looked for in what it
//! writes.

/// What is known of the frame that is being written.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// The head of the frame (RFC 9113 section 4.1), with the code if it is a reset.
    begun: [u8; Self::RESET],
    known: usize,
    /// What is left of a payload that is not looked at.
    left: usize,
}

// === impl Refusals ===

impl Refusals {
    const HEAD: usize = 9;
    const RESET: usize = Self::HEAD + 4;
    const RST_STREAM: u8 = 3;
    const REFUSED_STREAM: u8 = 7;

    /// How many there are in the bytes that were written next.
    pub(super) fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut refused = 0;
        while !bytes.is_empty() {
            let skipped = self.left.min(bytes.len());
            (self.left, bytes) = (self.left - skipped, &bytes[skipped..]);
            let is_reset = self.known >= Self::HEAD;
            let whole = if is_reset { Self::RESET } else { Self::HEAD };
            let taken = (whole - self.known).min(bytes.len());
            self.begun[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
            (self.known, bytes) = (self.known + taken, &bytes[taken..]);
            if self.known < whole {
                continue;
            }
            let [high, middle, low, kind, ..] = self.begun;
            if is_reset {
                refused += u64::from(self.begun[Self::HEAD..] == [0, 0, 0, Self::REFUSED_STREAM]);
                self.known = 0;
            } else if kind != Self::RST_STREAM {
                self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                self.known = 0;
            }
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_found_however_the_bytes_are_cut() {
        let frame = |kind: u8, payload: &[u8]| {
            let length = u8::try_from(payload.len()).unwrap();
            [&[0, 0, length, kind, 0, 0, 0, 0, 1], payload].concat()
        };
        let bytes = [
            frame(4, &[]),
            frame(3, &[0, 0, 0, 7]),
            // What looks like one, in data.
            frame(0, &frame(3, &[0, 0, 0, 7])),
            frame(3, &[0, 0, 0, 8]),
            frame(3, &[0, 0, 7, 7]),
            frame(0, &[]),
            frame(3, &[0, 0, 0, 7]),
            frame(1, &[0x88]),
        ]
        .concat();
        for cut in 1..=bytes.len() {
            let mut refusals = Refusals::default();
            let found: u64 = bytes.chunks(cut).map(|part| refusals.count(part)).sum();
            assert_eq!(found, 2, "in pieces of {cut}");
        }
    }
}
