//! The first bytes of a stretch of the stream, kept for a quote while the stretch itself passes by.
//! Driven by the framer and the scanner whenever a chunk ends; it knows nothing of JSON.

use super::Chunk;

/// What a stretch of the stream begins with, at most [`Head::BYTES_MAX`] bytes of it.
#[derive(Clone)]
pub(super) struct Head {
    /// Where in the stream the stretch begins.
    start: u64,
    len: usize,
    bytes: [u8; Head::BYTES_MAX],
}

impl Head {
    pub(super) const BYTES_MAX: usize = 120;

    pub(super) fn new() -> Head {
        Head { start: 0, len: 0, bytes: [0; Head::BYTES_MAX] }
    }

    /// Forgets the old stretch; a new one begins at `start`.
    pub(super) fn restart(&mut self, start: u64) {
        self.start = start;
        self.len = 0;
    }

    /// Takes what `chunk` adds to the stretch. Chunks must come without gaps.
    pub(super) fn extend(&mut self, chunk: Chunk<'_>) {
        let wanted = Head::BYTES_MAX - self.len;
        let rest = chunk.since(self.start + self.len as u64);
        let rest = &rest[..rest.len().min(wanted)];
        self.bytes[self.len..self.len + rest.len()].copy_from_slice(rest);
        self.len += rest.len();
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Only what stands before `end` in the stream.
    pub(super) fn cut_at(&mut self, end: u64) {
        self.len = self.len.min(end.saturating_sub(self.start) as usize);
    }
}
