//! What stands around documents – lines, the end of the stream, faults – and the bytes of a piece that several chunks
//! share. Driven by the engine; the inside of a document is the scanner's.

use std::mem;

use memchr::memchr;

use super::head::Head;
use super::scanner::{Found, List, Lists, Scanner, Step};
use super::{Chunk, Fault, FaultKind, Piece};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A buffer that a piece made larger than this is given back.
const PARTIAL_BYTES_KEPT: usize = 16 * 1024;

/// What the framer is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the start of the stream, behind so many bytes of a byte order mark.
    Start(usize),
    /// Between documents; an empty line ends the stream.
    Between {
        line_is_empty: bool,
    },
    Document,
    /// In a line that is skipped.
    Bad(FaultKind),
    Ended,
}

/// What a step came to.
enum Event {
    /// The chunk is used up.
    More,
    /// A piece: what the step took from this position on, or else what `partial` holds.
    Piece(List, Option<usize>),
    Document {
        hosts: bool,
        credentials: bool,
    },
    /// The quote is in `quote`.
    Fault(FaultKind),
    /// The open document broke off where another one begins: read on there. The quote is in `quote`.
    Anew {
        start: u64,
    },
    End,
}

/// Cuts one stream into pieces.
pub struct Framer {
    piece_bytes_max: usize,
    state: State,
    scanner: Scanner,
    /// How many bytes of the stream have been read.
    offset: u64,
    /// No line has ended yet; the first one may be empty.
    first_line: bool,
    /// What the open document begins with.
    document: Head,
    /// What the current line begins with or, where documents begin or end in it, what follows the last such place.
    line: Head,
    /// What the latest fault quotes.
    quote: Head,
    /// What earlier chunks had of the open piece; only its beginning if it is too large.
    partial: Vec<u8>,
    /// `partial` has been handed out and can go.
    delivered: bool,
    /// Bytes to be read again, and how many of them have been.
    again: (Vec<u8>, usize),
    ignored_bytes: u64,
}

impl Framer {
    /// A larger piece than `piece_bytes_max` is not cut but reported.
    pub fn new(piece_bytes_max: usize) -> Framer {
        Framer {
            piece_bytes_max,
            state: State::Start(0),
            scanner: Scanner::new(piece_bytes_max),
            offset: 0,
            first_line: true,
            document: Head::new(),
            line: Head::new(),
            quote: Head::new(),
            partial: Vec::new(),
            delivered: false,
            again: (Vec::new(), 0),
            ignored_bytes: 0,
        }
    }

    /// The next thing in the stream. Takes what it read off `input`; `None` means that all was taken and more is needed.
    pub fn next<'p, 'i: 'p>(&'p mut self, input: &mut &'i [u8]) -> Option<Piece<'p>> {
        self.drop_delivered();
        let mut taken: &'i [u8] = &[];
        let mut event = self.step_again();
        if let Event::More = event {
            let used;
            (used, event) = self.step(input);
            (taken, *input) = input.split_at(used);
        }
        self.piece(event, taken)
    }

    /// The stream is at its end, and `next` has taken all of it. Tells at most one thing.
    pub fn finish(&mut self) -> Option<Piece<'_>> {
        self.drop_delivered();
        let event = match mem::replace(&mut self.state, State::Ended) {
            State::Start(0 | 3) | State::Between { .. } | State::Ended => return None,
            State::Start(_) => self.fault(FaultKind::NotJson, self.line.clone()),
            State::Bad(kind) => self.fault(kind, self.line.clone()),
            State::Document => self.fault(FaultKind::Unfinished, self.document.clone()),
        };
        self.partial = Vec::new();
        self.piece(event, &[])
    }

    /// How many bytes came after the end of the stream, and were dropped.
    pub fn ignored_bytes(&self) -> u64 {
        self.ignored_bytes
    }

    /// What the framer holds on the heap.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.partial.capacity() + self.again.0.capacity()
    }

    fn piece<'p>(&'p mut self, event: Event, taken: &'p [u8]) -> Option<Piece<'p>> {
        Some(match event {
            Event::More => return None,
            Event::Piece(list, Some(from)) => list.piece(&taken[from..]),
            Event::Piece(list, None) => {
                self.delivered = true;
                list.piece(&self.partial)
            }
            Event::Document { hosts, credentials } => Piece::Document { hosts, credentials },
            Event::Fault(kind) => Piece::Fault(Fault { kind, quote: self.quote.bytes().trim_ascii() }),
            Event::Anew { .. } => unreachable!("a step does not end with it"),
            Event::End => Piece::End,
        })
    }

    /// Reads on in the bytes that are to be read again.
    fn step_again(&mut self) -> Event {
        if self.again.0.is_empty() {
            return Event::More;
        }
        let (bytes, pos) = mem::take(&mut self.again);
        let (used, mut event) = self.step(&bytes[pos..]);
        let end = pos + used;
        if let Event::Piece(list, Some(from)) = event {
            self.partial.extend_from_slice(&bytes[pos + from..end]);
            event = Event::Piece(list, None);
        }
        if end < bytes.len() {
            self.again = (bytes, end);
        }
        event
    }

    /// Reads until there is something to tell. Returns how many bytes it took.
    fn step(&mut self, bytes: &[u8]) -> (usize, Event) {
        let chunk = Chunk { bytes, base: self.offset };
        let mut pos = 0;
        let event = loop {
            let event = match self.state {
                State::Start(matched) => self.start(matched, chunk, &mut pos),
                State::Between { line_is_empty } => self.between(line_is_empty, chunk, &mut pos),
                State::Document => self.document(chunk, &mut pos),
                State::Bad(kind) => self.bad_line(kind, chunk, &mut pos),
                State::Ended => self.ended(chunk, &mut pos),
            };
            if let Some(event) = event {
                break event;
            }
        };
        if let Event::Anew { start } = event {
            return (self.go_back(start, chunk), Event::Fault(FaultKind::Unfinished));
        }
        self.offset = chunk.place(pos);
        self.keep_heads(chunk.until(pos));
        (pos, event)
    }

    /// Skips a byte order mark.
    fn start(&mut self, matched: usize, chunk: Chunk<'_>, pos: &mut usize) -> Option<Event> {
        let Some(&byte) = chunk.bytes.get(*pos) else {
            return Some(Event::More);
        };
        self.state = match matched {
            3 => {
                self.begin_line(chunk.place(*pos));
                self.first_line = true;
                State::Between { line_is_empty: true }
            }
            _ if byte == BYTE_ORDER_MARK[matched] => {
                *pos += 1;
                State::Start(matched + 1)
            }
            0 => State::Between { line_is_empty: true },
            _ => State::Bad(FaultKind::NotJson),
        };
        None
    }

    fn between(&mut self, mut line_is_empty: bool, chunk: Chunk<'_>, pos: &mut usize) -> Option<Event> {
        while let Some(&byte) = chunk.bytes.get(*pos) {
            let place = chunk.place(*pos);
            match byte {
                b'{' => {
                    *pos += 1;
                    self.begin_document(place);
                    return None;
                }
                b'\n' if line_is_empty && !self.first_line => {
                    *pos += 1;
                    self.state = State::Ended;
                    return Some(Event::End);
                }
                b'\n' => {
                    self.begin_line(place + 1);
                    line_is_empty = true;
                }
                b'\r' => line_is_empty &= place == self.scanner.line_start,
                b' ' | b'\t' => line_is_empty = false,
                _ => {
                    self.state = State::Bad(FaultKind::NotJson);
                    return None;
                }
            }
            *pos += 1;
        }
        self.state = State::Between { line_is_empty };
        Some(Event::More)
    }

    fn begin_line(&mut self, start: u64) {
        self.first_line = false;
        self.scanner.line_start = start;
        self.line.restart(start);
    }

    fn begin_document(&mut self, start: u64) {
        self.state = State::Document;
        self.document.restart(start);
        self.line.restart(start);
        self.scanner.begin();
    }

    fn document(&mut self, chunk: Chunk<'_>, pos: &mut usize) -> Option<Event> {
        let rest = Chunk { bytes: &chunk.bytes[*pos..], base: chunk.place(*pos) };
        let (step, used) = self.scanner.scan(rest);
        *pos += used;
        match step {
            Step::More => {
                if self.scanner.in_piece() {
                    self.keep(self.scanner.piece_start, chunk);
                }
                Some(Event::More)
            }
            Step::Piece { list, start } => Some(self.end_piece(list, start, chunk.until(*pos))),
            Step::Closed(lists) => Some(self.end_document(lists, chunk.until(*pos))),
            Step::Fault(kind) => {
                self.drop_partial();
                self.state = State::Bad(kind);
                None
            }
            Step::Anew { start } => {
                self.quote_unfinished(start, chunk);
                Some(Event::Anew { start })
            }
            Step::Within { start } => {
                self.drop_partial();
                self.quote_unfinished(start, chunk);
                self.keep_heads(chunk.until(*pos));
                self.document = self.line.clone();
                Some(Event::Fault(FaultKind::Unfinished))
            }
        }
    }

    /// `chunk` ends where the piece does.
    fn end_piece(&mut self, list: List, start: u64, chunk: Chunk<'_>) -> Event {
        let too_large = chunk.place(chunk.bytes.len()) - start > self.piece_bytes_max as u64;
        if start >= chunk.base && !too_large {
            return Event::Piece(list, Some((start - chunk.base) as usize));
        }
        self.keep(start, chunk);
        if !too_large {
            return Event::Piece(list, None);
        }
        let mut quote = Head::new();
        quote.extend(Chunk { bytes: &self.partial, base: 0 });
        self.drop_partial();
        self.fault(FaultKind::TooLarge, quote)
    }

    /// `chunk` ends where the document does.
    fn end_document(&mut self, lists: Lists, chunk: Chunk<'_>) -> Event {
        self.state = State::Between { line_is_empty: false };
        self.line.restart(chunk.place(chunk.bytes.len()));
        let kind = match lists {
            Lists { hosts: Found::Other, .. } => FaultKind::HostsNotList,
            Lists { credentials: Found::Other, .. } => FaultKind::CredentialsNotList,
            Lists { hosts: Found::Absent, credentials: Found::Absent } => FaultKind::NoLists,
            Lists { hosts, credentials } => {
                return Event::Document { hosts: hosts == Found::List, credentials: credentials == Found::List };
            }
        };
        self.document.extend(chunk);
        self.fault(kind, self.document.clone())
    }

    /// Skips the rest of a line, and then tells.
    fn bad_line(&mut self, kind: FaultKind, chunk: Chunk<'_>, pos: &mut usize) -> Option<Event> {
        let Some(len) = memchr(b'\n', &chunk.bytes[*pos..]) else {
            *pos = chunk.bytes.len();
            return Some(Event::More);
        };
        self.keep_heads(chunk.until(*pos + len));
        let event = self.fault(kind, self.line.clone());
        *pos += len + 1;
        self.begin_line(chunk.place(*pos));
        self.state = State::Between { line_is_empty: true };
        Some(event)
    }

    fn ended(&mut self, chunk: Chunk<'_>, pos: &mut usize) -> Option<Event> {
        self.ignored_bytes += (chunk.bytes.len() - *pos) as u64;
        *pos = chunk.bytes.len();
        Some(Event::More)
    }

    fn fault(&mut self, kind: FaultKind, quote: Head) -> Event {
        self.quote = quote;
        Event::Fault(kind)
    }

    /// Quotes the open document, which broke off before `end`.
    fn quote_unfinished(&mut self, end: u64, chunk: Chunk<'_>) {
        self.document.extend(chunk);
        self.quote = self.document.clone();
        self.quote.cut_at(end);
    }

    /// Goes back to the brace at `start`, where a new document begins. Returns the position in the chunk to read on
    /// from; what stands before the chunk is in `partial` and is read first.
    fn go_back(&mut self, start: u64, chunk: Chunk<'_>) -> usize {
        self.state = State::Between { line_is_empty: true };
        self.offset = start;
        self.begin_line(start);
        if start < chunk.base {
            let kept = self.partial.split_off((start - self.scanner.piece_start) as usize);
            self.again = (kept, 0);
        }
        self.drop_partial();
        start.saturating_sub(chunk.base) as usize
    }

    /// Keeps for quotes what the chunk adds to the beginnings of line and document.
    fn keep_heads(&mut self, chunk: Chunk<'_>) {
        if self.line.start() < self.scanner.line_start {
            self.line.restart(self.scanner.line_start);
        }
        self.line.extend(chunk);
        if self.state == State::Document {
            self.document.extend(chunk);
        }
    }

    /// Keeps what the chunk has of the piece that began at `start`, or of its beginning if it is too large.
    fn keep(&mut self, start: u64, chunk: Chunk<'_>) {
        let more = chunk.since(start);
        if chunk.place(chunk.bytes.len()) - start > self.piece_bytes_max as u64 {
            let wanted = Head::BYTES_MAX.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&more[..more.len().min(wanted)]);
            self.partial.truncate(Head::BYTES_MAX);
            self.partial.shrink_to(PARTIAL_BYTES_KEPT);
            return;
        }
        // Doubled as usual, but never above the limit.
        let needed = self.partial.len() + more.len();
        if needed > self.partial.capacity() {
            let capacity = needed.max((2 * self.partial.capacity()).min(self.piece_bytes_max));
            self.partial.reserve_exact(capacity - self.partial.len());
        }
        self.partial.extend_from_slice(more);
    }

    fn drop_delivered(&mut self) {
        if mem::take(&mut self.delivered) {
            self.drop_partial();
        }
    }

    fn drop_partial(&mut self) {
        self.partial.clear();
        self.partial.shrink_to(PARTIAL_BYTES_KEPT);
    }
}

impl List {
    fn piece(self, bytes: &[u8]) -> Piece<'_> {
        match self {
            List::Hosts => Piece::Host(bytes),
            List::Credentials => Piece::Credential(bytes),
        }
    }
}
