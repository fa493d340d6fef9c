//! The bytes of a piece that several chunks share. Driven by the framer; it keeps at most one piece, and no more memory
//! afterwards than a usual one needs.

use super::Chunk;
use super::head::Head;

/// A larger buffer is given back when its piece is done.
const BYTES_KEPT: usize = 16 * 1024;

/// What the chunks until now had of the open piece; only its beginning if it is too large.
pub(super) struct Partial {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Partial {
    /// A piece is too large above `bytes_max`.
    pub(super) fn new(bytes_max: usize) -> Partial {
        Partial { bytes: Vec::new(), bytes_max }
    }

    /// Whether a piece that began at `start` is too large at the end of this chunk.
    pub(super) fn is_too_large(&self, start: u64, chunk: Chunk<'_>) -> bool {
        chunk.end() - start > self.bytes_max as u64
    }

    /// Keeps what the chunk has of the piece that began at `start`.
    pub(super) fn keep(&mut self, start: u64, chunk: Chunk<'_>) {
        let more = chunk.since(start);
        if self.is_too_large(start, chunk) {
            let wanted = Head::BYTES_MAX.saturating_sub(self.bytes.len());
            self.bytes.extend_from_slice(&more[..more.len().min(wanted)]);
            self.bytes.truncate(Head::BYTES_MAX);
            self.bytes.shrink_to(BYTES_KEPT);
            return;
        }
        // Doubled as usual, but never above the limit.
        let needed = self.bytes.len() + more.len();
        if needed > self.bytes.capacity() {
            let capacity = needed.max((2 * self.bytes.capacity()).min(self.bytes_max));
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(more);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes out what stands from this position on.
    pub(super) fn split_off(&mut self, pos: usize) -> Vec<u8> {
        self.bytes.split_off(pos)
    }

    /// The piece is done, or lost.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(BYTES_KEPT);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
