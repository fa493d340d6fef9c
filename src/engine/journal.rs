//! A run's journal as the engine sees it: pieces that wait to be written, and which of the files on disk hold what is not
//! settled yet. A journal is one file until that has grown large; then a next one goes on, and files whose pieces are all settled
//! are removed, so that an executor that never ends does not fill the disk. Offsets count through all files, and a file is
//! known by the offset at which it begins.
//!
//! Invariant: pieces lie in `segments` only, in the order in which they were read.

use std::collections::VecDeque;

use crate::frame::record::{self, Kind};

use super::agenda::Agenda;
use super::event::{Action, Range, RunId};

/// A larger buffer is given back when its pieces are written.
const BUFFER_BYTES_KEPT: usize = 256 << 10;

/// A file goes on until it is so many times as large as its head.
const HEADS_PER_FILE: u64 = 4;

/// One file of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub start: u64,
    /// Behind its last piece; behind that there are notes at most.
    pub pieces_end: u64,
}

/// An `Append` that is not answered yet.
#[derive(Debug)]
struct Flying {
    /// Whether it begins a file.
    begins: bool,
    head_bytes: usize,
    pieces_bytes: usize,
}

#[derive(Debug)]
pub struct Journal {
    run: RunId,
    /// Encoded, not written.
    pieces: Vec<u8>,
    /// How many hosts and credentials these are.
    held: (u64, u64),
    segments: VecDeque<Segment>,
    /// Behind the last record.
    end: u64,
    flying: Option<Flying>,
    /// Of the file that is written at present; unknown, and 0, if an earlier agent began it.
    head_bytes: u64,
}

impl Journal {
    pub fn new(run: RunId) -> Journal {
        Journal {
            run,
            pieces: Vec::new(),
            held: (0, 0),
            segments: VecDeque::new(),
            end: 0,
            flying: None,
            head_bytes: 0,
        }
    }

    /// What an earlier agent left.
    pub fn resumed(run: RunId, segments: VecDeque<Segment>, end: u64) -> Journal {
        Journal { segments, end, ..Journal::new(run) }
    }

    pub fn exists(&self) -> bool {
        !self.segments.is_empty()
    }

    /// What it takes of the disk, in bytes.
    pub fn bytes(&self) -> u64 {
        self.end - self.segments.front().map_or(self.end, |first| first.start)
    }

    pub fn add_piece(&mut self, kind: Kind, piece: &[u8]) {
        record::encode(kind, piece, &mut self.pieces);
        match kind {
            Kind::Host => self.held.0 += 1,
            _ => self.held.1 += 1,
        }
    }

    /// How many hosts and credentials are not on disk.
    pub fn held(&self) -> (u64, u64) {
        self.held
    }

    /// Whether there are pieces that are not on disk.
    pub fn holds_pieces(&self) -> bool {
        !self.pieces.is_empty() || self.flying.is_some()
    }

    /// Whether an `Append` is not answered yet.
    pub fn is_writing(&self) -> bool {
        self.flying.is_some()
    }

    #[cfg(test)]
    pub fn buffer_bytes(&self) -> usize {
        self.pieces.capacity()
    }

    /// Behind the last piece that is on disk.
    pub fn pieces_end(&self) -> u64 {
        self.segments.back().map_or(0, |last| last.pieces_end)
    }

    /// The pieces from `from` on, as far as one file goes; `None` if there are none.
    pub fn range(&self, from: u64) -> Option<Range> {
        let segment = self.segments.iter().find(|segment| segment.pieces_end > from)?;
        Some(Range { segment: segment.start, from: from.max(segment.start), upto: segment.pieces_end })
    }

    /// Whether the next record belongs into a new file. `settled` is what every workspace is done with.
    /// When room is wanted, a file is worth leaving as soon as nothing of it is needed.
    pub fn is_due_to_roll(&self, settled: u64, is_room_wanted: bool, agenda: &Agenda) -> bool {
        let Some(last) = self.segments.back() else { return true };
        let bytes = self.end - last.start;
        // The head of a run for many workspaces is long, and a file has to be worth it.
        bytes >= agenda.disk.segment_bytes_max().max(HEADS_PER_FILE * self.head_bytes)
            || (is_room_wanted && self.is_spent(settled))
    }

    /// Whether nothing is needed of the file that is written at present, though there are pieces in it.
    pub fn is_spent(&self, settled: u64) -> bool {
        self.segments.back().is_some_and(|last| settled >= last.pieces_end && last.pieces_end > last.start)
    }

    /// Asks for one write of everything that waits: `head` if a file begins, the pieces, then `notes`. On a disk that takes nothing
    /// a head has to go alone: it is small, and what it makes room for comes after it.
    pub fn write(&mut self, head: Option<Vec<u8>>, notes: &[u8], agenda: &mut Agenda) {
        let begins = head.is_some();
        let mut bytes = head.unwrap_or_default();
        let head_bytes = bytes.len();
        let holds_back = begins && agenda.disk.is_failing();
        let pieces_bytes = if holds_back { 0 } else { self.pieces.len() };
        if !holds_back && bytes.is_empty() {
            bytes = std::mem::take(&mut self.pieces);
        } else if !holds_back {
            bytes.append(&mut self.pieces);
        }
        bytes.extend_from_slice(notes);
        if bytes.is_empty() {
            return;
        }
        debug_assert!(self.flying.is_none(), "an append is answered before anything else of its run");
        self.flying = Some(Flying { begins, head_bytes, pieces_bytes });
        let segment = if begins { self.end } else { self.segments.back().map_or(0, |last| last.start) };
        agenda.act(Action::Append { run: self.run, segment, bytes });
    }

    /// The `Append` was carried out.
    pub fn on_written(&mut self, mut bytes: Vec<u8>, agenda: &mut Agenda) {
        let Some(flying) = self.flying.take() else { return };
        if flying.begins {
            self.head_bytes = flying.head_bytes as u64;
            self.segments.push_back(Segment { start: self.end, pieces_end: self.end });
        }
        if let Some(last) = self.segments.back_mut().filter(|_| flying.pieces_bytes > 0) {
            last.pieces_end = self.end + (flying.head_bytes + flying.pieces_bytes) as u64;
            self.held = (0, 0);
        }
        self.end += bytes.len() as u64;
        agenda.disk.on_written(self.run, bytes.len() as u64);
        if self.pieces.is_empty() {
            bytes.clear();
            bytes.shrink_to(BUFFER_BYTES_KEPT);
            self.pieces = bytes;
        }
    }

    /// It was not: its pieces still wait.
    pub fn on_unwritten(&mut self, mut bytes: Vec<u8>) {
        let Some(flying) = self.flying.take() else { return };
        bytes.truncate(flying.head_bytes + flying.pieces_bytes);
        bytes.drain(..flying.head_bytes);
        bytes.append(&mut self.pieces);
        self.pieces = bytes;
    }

    /// Gives up the files of which everything is settled; the last one stays.
    pub fn trim(&mut self, settled: u64, agenda: &mut Agenda) {
        let before = self.bytes();
        while self.segments.len() > 1 && self.segments[0].pieces_end <= settled {
            self.segments.pop_front();
        }
        let freed = before - self.bytes();
        if freed > 0 {
            agenda.disk.on_spent(freed);
            agenda.act(Action::Trim { run: self.run, before: self.segments[0].start });
        }
    }
}
