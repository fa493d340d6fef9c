//! Which document a brace in column 0 belongs to.
//!
//! A document may break off in the middle of a line (its program died, or another one wrote into the same pipe) and the
//! next line be a good document, which must not be lost. Where the grammar forbids a value the brace of that document
//! gives it away. Where a value is allowed, as in `{"hosts":[` + newline, it could just as well be the next host of a
//! document that is printed without indentation. Such an object is doubtful, and its own keys tell:
//!
//! * `hosts` – no object inside a document has such a key: it is a new document.
//! * `credentials` – a new document, but not inside a host: hosts have that key too (faraday_plugins prints it,
//!   vulnerabilities take it), and programs that sort their keys print it first. There the object is a new document if
//!   `hosts` comes later, or if it ends without a key that no document has (a host cannot do without `ip`).
//! * all other keys say nothing, and what they hold is not delivered: nothing is lost by waiting.
//!
//! So the scanner is mostly able to go on within the new document, from the key that told. Only credentials that it
//! passed over as part of a host must be read again: the framer, which keeps the bytes of the unfinished host, goes
//! back to the brace.

use std::ops::ControlFlow::{Break, Continue};

use super::Chunk;
use super::name::{List, Name};
use super::scanner::{Flow, Level, Scanner, Step};

/// The outermost doubtful object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    depth: usize,
    /// Where its brace stands in the stream.
    start: u64,
    /// It has credentials that were passed over.
    credentials: bool,
}

impl Scanner {
    /// Begins a doubtful object, whose brace stands at `start`. One around it that looks like a host matters no more.
    pub(super) fn doubt(&mut self, start: u64) {
        let outer = self.doubt.filter(|outer| self.levels[outer.depth - 1] == Level::Doubtful);
        self.doubt = outer.or(Some(Doubt { depth: self.depth, start, credentials: false }));
    }

    /// Takes note of a key of a doubtful object; it ends at `end`.
    pub(super) fn doubtful_key(&mut self, name: Name, chunk: Chunk<'_>, end: usize) -> Flow {
        match name {
            Name::List(List::Credentials) if self.in_host() => {
                if let Some(doubt) = self.doubt.as_mut().filter(|doubt| doubt.depth == self.depth) {
                    doubt.credentials = true;
                }
            }
            Name::List(list) => return self.anew(list, chunk, end),
            Name::Command => {}
            Name::Other => self.levels[self.depth - 1] = Level::Foreign,
        }
        Continue(end)
    }

    fn in_host(&self) -> bool {
        self.list == Some(List::Hosts)
    }

    /// The object is a new document; its key `list` ends at `end`.
    fn anew(&mut self, list: List, chunk: Chunk<'_>, end: usize) -> Flow {
        let here = chunk.place(end);
        let doubt = self.doubt.filter(|doubt| doubt.depth == self.depth);
        self.anew = doubt.map_or(here, |doubt| doubt.start);
        if doubt.is_some_and(|doubt| doubt.credentials) && self.remembered(here) {
            return Break((Step::Anew, end));
        }
        self.begin_within(list);
        Break((Step::Within, end))
    }

    /// A doubtful object ends.
    pub(super) fn settle_doubt(&mut self, chunk: Chunk<'_>, pos: usize) -> Flow {
        let Some(doubt) = self.doubt.take_if(|doubt| doubt.depth == self.depth) else {
            return Continue(pos);
        };
        let document = doubt.credentials && self.level() == Level::Doubtful;
        if document && self.remembered(chunk.place(pos)) {
            self.anew = doubt.start;
            return Break((Step::Anew, pos));
        }
        Continue(pos)
    }

    /// Whether the framer keeps the piece that has been read up to `here`: not if it is too large.
    fn remembered(&self, here: u64) -> bool {
        here - self.piece_start <= self.piece_bytes_max as u64
    }
}
