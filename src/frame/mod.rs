//! Cuts the bytes that an executor prints into pieces: hosts and credentials. Pure: bytes in, pieces out, no I/O.
//! The engine drives it with whatever a read returned; the pieces are the same however the stream is split.
//!
//! # What a stream is
//!
//! JSON documents (objects), one after the other: on lines, directly behind each other, or printed over many lines.
//! Each element of a document's lists `hosts` and `credentials` is a piece and is handed out, byte for byte as printed,
//! as soon as it is complete. Everything else in a document is checked and dropped. Memory: one unfinished piece up to
//! the limit, a nesting stack of fixed size, and the first bytes of the document and of the line for quotes.
//!
//! * An empty line (`\n\n`, `\n\r\n`) between documents ends the stream; what follows is counted and dropped. The very
//!   first line of the stream may be empty. A line of blanks is nothing at all. A byte order mark at the start is
//!   skipped.
//! * A line that is not JSON, not an object or not UTF-8 costs that line and the document that was open in it; pieces
//!   that were handed out stay handed out. The next line starts afresh.
//! * A piece above the limit costs that piece.
//! * JSON is what RFC 8259 says, nested at most 512 deep. Lone surrogates (`\ud800`) are grammatical.
//!
//! # Where a document broke off
//!
//! A string cannot contain a newline, so one that is cut is a fault of its line. A document that is cut elsewhere takes
//! the newline for a blank, and must not take the next line for its own. Therefore a brace in column 0 inside an open
//! document begins a new document
//!
//! * if the grammar allows no value there, or
//! * if its object turns out to be a document by its keys, see `doubt.rs`.
//!
//! Documents that are printed over many lines pass, whatever their indentation.

mod doubt;
mod framer;
mod head;
mod name;
mod partial;
pub mod record;
mod scalar;
mod scanner;
mod text;

#[cfg(test)]
mod tests;

use std::fmt;

pub use framer::Framer;

/// Something that the stream contained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'p> {
    /// One element of a document's `hosts`, as printed: valid JSON in valid UTF-8.
    Host(&'p [u8]),
    /// One element of a document's `credentials`, likewise.
    Credential(&'p [u8]),
    /// A document is complete. Which of the two lists it had, be they empty.
    Document { hosts: bool, credentials: bool },
    /// Something that will not be delivered.
    Fault(Fault<'p>),
    /// An empty line: the executor says that it is done. Nothing comes after this.
    End,
}

/// What is wrong with a line, a document or a piece.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fault<'p> {
    pub kind: FaultKind,
    /// What the line, document or piece begins with: at most 120 bytes, of any encoding, cut anywhere.
    pub quote: &'p [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A line is not JSON, or not an object.
    NotJson,
    /// A line is not UTF-8.
    NotUtf8,
    /// Brackets are nested too deep; costs the line.
    TooDeep,
    /// A piece is larger than the limit; costs the piece.
    TooLarge,
    /// A document broke off: another one began in its middle, or the stream ended.
    Unfinished,
    /// A document has neither `hosts` nor `credentials`.
    NoLists,
    /// `hosts` of a document is not a list.
    HostsNotList,
    /// `credentials` of a document is neither a list nor null.
    CredentialsNotList,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FaultKind::NotJson => "not a JSON object",
            FaultKind::NotUtf8 => "not UTF-8",
            FaultKind::TooDeep => "nested too deep",
            FaultKind::TooLarge => "host or credential is too large",
            FaultKind::Unfinished => "document is not finished",
            FaultKind::NoLists => "document has no `hosts`",
            FaultKind::HostsNotList => "`hosts` is not a list",
            FaultKind::CredentialsNotList => "`credentials` is not a list",
        })
    }
}

impl fmt::Debug for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.kind, self.quote.escape_ascii().to_string())
    }
}

/// A part of the stream; its first byte stands at `base`, counted from the stream's beginning.
#[derive(Clone, Copy)]
struct Chunk<'i> {
    bytes: &'i [u8],
    base: u64,
}

impl<'i> Chunk<'i> {
    /// Where in the stream a position of the chunk is.
    fn place(self, pos: usize) -> u64 {
        self.base + pos as u64
    }

    /// Where in the stream the chunk ends.
    fn end(self) -> u64 {
        self.place(self.bytes.len())
    }

    /// The chunk up to one of its positions.
    fn until(self, pos: usize) -> Chunk<'i> {
        Chunk { bytes: &self.bytes[..pos], base: self.base }
    }

    /// The chunk from one of its positions on.
    fn from(self, pos: usize) -> Chunk<'i> {
        Chunk { bytes: &self.bytes[pos..], base: self.place(pos) }
    }

    /// What the chunk has from a place in the stream on.
    fn since(self, place: u64) -> &'i [u8] {
        let pos = place.saturating_sub(self.base).min(self.bytes.len() as u64);
        &self.bytes[pos as usize..]
    }
}
