//! What stands around documents: lines, the end of the stream, faults and their quotes. Driven by the engine; the
//! inside of a document is the scanner's.

use std::mem;

use memchr::memchr;

use super::head::Head;
use super::name::{Found, List, Lists};
use super::partial::Partial;
use super::scanner::{Scanner, Step};
use super::{Chunk, Fault, FaultKind, Piece};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

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
    /// A piece: what the step took, from this position on, or else what `partial` holds.
    Piece(List, Option<usize>),
    Document {
        hosts: bool,
        credentials: bool,
    },
    /// The quote is in `quote`.
    Fault(FaultKind),
    End,
}

/// Bytes that are to be read again.
struct Again {
    bytes: Vec<u8>,
    /// Where they stand in the stream.
    base: u64,
    /// How many of them have been read.
    used: usize,
}

/// Cuts one stream into pieces.
pub struct Framer {
    state: State,
    scanner: Scanner,
    /// How many bytes of the stream have come.
    offset: u64,
    /// No line has ended yet; the first one may be empty.
    first_line: bool,
    /// What the open document begins with.
    document: Head,
    /// What the current line begins with or, where documents begin or end in it, what follows the last such place.
    line: Head,
    /// What the latest fault quotes.
    quote: Head,
    partial: Partial,
    /// `partial` has been handed out and can go.
    delivered: bool,
    /// What to read before new input.
    again: Option<Again>,
    ignored_bytes: u64,
}

impl Framer {
    /// A larger piece than `piece_bytes_max` is not cut but reported.
    pub fn new(piece_bytes_max: usize) -> Framer {
        Framer {
            state: State::Start(0),
            scanner: Scanner::new(piece_bytes_max),
            offset: 0,
            first_line: true,
            document: Head::new(),
            line: Head::new(),
            quote: Head::new(),
            partial: Partial::new(piece_bytes_max),
            delivered: false,
            again: None,
            ignored_bytes: 0,
        }
    }

    /// The next thing in the stream. Takes what it read off `input`; `None` means that all was taken and more is
    /// needed.
    pub fn next<'p, 'i: 'p>(&'p mut self, input: &mut &'i [u8]) -> Option<Piece<'p>> {
        self.drop_delivered();
        let mut taken: &'i [u8] = &[];
        let mut event = self.step_again();
        if let Event::More = event {
            let used;
            (used, event) = self.step(Chunk { bytes: input, base: self.offset });
            self.offset += used as u64;
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
        self.partial.clear();
        self.piece(event, &[])
    }

    /// How many bytes came after the end of the stream, and were dropped.
    pub fn ignored_bytes(&self) -> u64 {
        self.ignored_bytes
    }

    /// What the framer holds on the heap.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.partial.capacity() + self.again.as_ref().map_or(0, |again| again.bytes.capacity())
    }

    fn drop_delivered(&mut self) {
        if mem::take(&mut self.delivered) {
            self.partial.clear();
        }
    }

    fn piece<'p>(&'p mut self, event: Event, taken: &'p [u8]) -> Option<Piece<'p>> {
        Some(match event {
            Event::More => return None,
            Event::Piece(list, Some(from)) => list.piece(&taken[from..]),
            Event::Piece(list, None) => {
                self.delivered = true;
                list.piece(self.partial.bytes())
            }
            Event::Document { hosts, credentials } => Piece::Document { hosts, credentials },
            Event::Fault(kind) => Piece::Fault(Fault { kind, quote: self.quote.bytes().trim_ascii() }),
            Event::End => Piece::End,
        })
    }

    /// Reads on in the bytes that are to be read again.
    fn step_again(&mut self) -> Event {
        let Some(mut again) = self.again.take() else {
            return Event::More;
        };
        let chunk = Chunk { bytes: &again.bytes, base: again.base }.from(again.used);
        let (used, mut event) = self.step(chunk);
        if let Event::Piece(list, Some(from)) = event {
            // The caller can borrow it from nowhere else.
            self.partial.keep(chunk.place(from), chunk.until(used));
            event = Event::Piece(list, None);
        }
        again.used += used;
        if again.used < again.bytes.len() {
            self.again = Some(again);
        }
        event
    }

    /// Reads until there is something to tell. Returns how many bytes it took.
    fn step(&mut self, chunk: Chunk<'_>) -> (usize, Event) {
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
        let (step, used) = self.scanner.scan(chunk.from(*pos));
        *pos += used;
        match step {
            Step::More => {
                if self.scanner.in_piece() {
                    self.partial.keep(self.scanner.piece_start, chunk);
                }
                Some(Event::More)
            }
            Step::Piece(list) => Some(self.end_piece(list, chunk.until(*pos))),
            Step::Closed => Some(self.end_document(self.scanner.lists, chunk.until(*pos))),
            Step::Fault(kind) => {
                self.partial.clear();
                self.state = State::Bad(kind);
                None
            }
            Step::Anew => {
                let event = self.unfinished(chunk);
                *pos = self.go_back(self.scanner.anew, chunk);
                Some(event)
            }
            Step::Within => {
                let event = self.unfinished(chunk);
                self.partial.clear();
                self.keep_heads(chunk.until(*pos));
                self.document = self.line.clone();
                Some(event)
            }
        }
    }

    /// `chunk` ends where the piece does.
    fn end_piece(&mut self, list: List, chunk: Chunk<'_>) -> Event {
        let start = self.scanner.piece_start;
        let too_large = self.partial.is_too_large(start, chunk);
        if start >= chunk.base && !too_large {
            return Event::Piece(list, Some((start - chunk.base) as usize));
        }
        self.partial.keep(start, chunk);
        if !too_large {
            return Event::Piece(list, None);
        }
        let mut quote = Head::new();
        quote.extend(Chunk { bytes: self.partial.bytes(), base: 0 });
        self.partial.clear();
        self.fault(FaultKind::TooLarge, quote)
    }

    /// `chunk` ends where the document does.
    fn end_document(&mut self, lists: Lists, chunk: Chunk<'_>) -> Event {
        self.state = State::Between { line_is_empty: false };
        self.line.restart(chunk.end());
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

    /// The open document broke off before another one that the scanner has found.
    fn unfinished(&mut self, chunk: Chunk<'_>) -> Event {
        self.document.extend(chunk);
        let mut quote = self.document.clone();
        quote.cut_at(self.scanner.anew);
        self.fault(FaultKind::Unfinished, quote)
    }

    /// Goes back to the brace at `start`, where a new document begins. Returns the position in the chunk to read on
    /// from; what stands before the chunk is in `partial` and will be read first.
    fn go_back(&mut self, start: u64, chunk: Chunk<'_>) -> usize {
        self.state = State::Between { line_is_empty: true };
        self.begin_line(start);
        if start < chunk.base {
            let bytes = self.partial.split_off((start - self.scanner.piece_start) as usize);
            self.again = Some(Again { bytes, base: start, used: 0 });
        }
        self.partial.clear();
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
}

impl List {
    fn piece(self, bytes: &[u8]) -> Piece<'_> {
        match self {
            List::Hosts => Piece::Host(bytes),
            List::Credentials => Piece::Credential(bytes),
        }
    }
}
