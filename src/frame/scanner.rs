//! The JSON grammar of one document, in chunks of any size: where its pieces begin and end, and where it cannot go on.
//! Driven by the framer from a document's opening brace to its last. It keeps no piece's bytes and knows nothing of
//! the lines around documents.
//!
//! A document of 200 bytes is some 50 tokens and is to pass in 200 ns: every instruction in `run` shows. That is why
//! the byte is asked before the state, why colons and commas are taken along with what stands before them, and why
//! `key` and `value` are inlined there.

use std::convert::Infallible;
use std::ops::ControlFlow::{self, Break, Continue};

use super::doubt::Doubt;
use super::head::Head;
use super::name::{List, Lists, Name};
use super::scalar::{self, Number};
use super::text::{self, Text};
use super::{Chunk, FaultKind};

/// Brackets may be nested this deep; the stack that remembers them has a fixed size.
const DEPTH_MAX: usize = 512;

/// How many brackets are open around a piece: the document's and its list's.
const PIECE_DEPTH: usize = 2;

/// How far a token got in a chunk.
pub(super) enum Reached<T> {
    /// It ends before this position.
    End(usize),
    /// The chunk ended first.
    Open(T),
}

/// What came of reading a token.
pub(super) type Read<T> = Result<Reached<T>, FaultKind>;

/// Why the scanner stopped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The chunk is used up.
    More,
    /// An element of this list ends here; it began at `piece_start`.
    Piece(List),
    /// The document is complete; `lists` tells what it had.
    Closed,
    /// The document cannot go on.
    Fault(FaultKind),
    /// The document broke off: the brace at `anew` begins another one.
    Anew,
    /// The same, and the scanner is in the new document already, behind the name of a list.
    Within,
}

/// Why the scanner stopped, and where in the chunk.
pub(super) type Stop = (Step, usize);

/// Goes on at a position in the chunk, or stops.
pub(super) type Flow = ControlFlow<Stop, usize>;

/// An open bracket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    List,
    Object,
    /// An object that may be the next document, see `doubt.rs`; all its keys until now could be a document's.
    Doubtful,
    /// The same, but some key of it is not a document's.
    Foreign,
}

/// What may come next, apart from blanks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Value,
    /// Behind `[`: a value or `]`.
    FirstElement,
    /// Behind `{`: a key or `}`.
    FirstKey,
    Key,
    Colon,
    /// Behind a value: a comma or the closing bracket.
    Comma,
}

/// A token that the end of a chunk cut.
#[derive(Clone, Copy, Debug)]
enum Token {
    Key(Text),
    String(Text),
    Number(Number),
    Word(&'static [u8]),
}

pub(super) struct Scanner {
    pub(super) piece_bytes_max: usize,
    expect: Expect,
    token: Option<Token>,
    pub(super) depth: usize,
    pub(super) levels: [Level; DEPTH_MAX],
    pub(super) lists: Lists,
    /// What the latest top-level key names.
    pub(super) name: Name,
    /// The list of pieces that is open.
    pub(super) list: Option<List>,
    pub(super) piece_start: u64,
    /// What earlier chunks had of the open key, behind its quote.
    key: Head,
    pub(super) doubt: Option<Doubt>,
    /// Where the document began that the scanner has found in place of the rest of the open one.
    pub(super) anew: u64,
    /// Where the current line begins in the stream; the framer sets it between documents.
    pub(super) line_start: u64,
}

impl Scanner {
    pub(super) fn new(piece_bytes_max: usize) -> Scanner {
        Scanner {
            piece_bytes_max,
            expect: Expect::FirstKey,
            token: None,
            depth: 0,
            levels: [Level::Object; DEPTH_MAX],
            lists: Lists::default(),
            name: Name::Other,
            list: None,
            piece_start: 0,
            key: Head::new(),
            doubt: None,
            anew: 0,
            line_start: 0,
        }
    }

    /// Begins a document; its opening brace has been read.
    pub(super) fn begin(&mut self) {
        self.expect = Expect::FirstKey;
        self.token = None;
        self.depth = 1;
        self.levels[0] = Level::Object;
        self.lists = Lists::default();
        self.list = None;
        self.doubt = None;
    }

    /// Begins a document behind its first key that matters.
    pub(super) fn begin_within(&mut self, list: List) {
        self.begin();
        self.name = Name::List(list);
        self.expect = Expect::Colon;
    }

    /// Whether the chunk's end cut a piece; it began at `piece_start`.
    pub(super) fn in_piece(&self) -> bool {
        self.list.is_some() && (self.depth > PIECE_DEPTH || self.token.is_some())
    }

    /// Reads on until there is something to tell.
    pub(super) fn scan(&mut self, chunk: Chunk<'_>) -> Stop {
        let Break(stop) = self.run(chunk);
        stop
    }

    /// One turn of the loop for each token.
    fn run(&mut self, chunk: Chunk<'_>) -> ControlFlow<Stop, Infallible> {
        let bytes = chunk.bytes;
        let mut pos = match self.token.take() {
            Some(token) => self.resume(token, chunk)?,
            None => 0,
        };
        loop {
            let Some(&byte) = bytes.get(pos) else {
                return Break((Step::More, pos));
            };
            pos = match byte {
                b'"' if self.wants_key() => self.key(text::scan(bytes, pos + 1), chunk, Some(pos + 1))?,
                b':' if self.expect == Expect::Colon => self.expect(Expect::Value, pos),
                b'"' if self.wants_value() => {
                    self.note_value(byte, chunk, pos);
                    self.value(text::scan(bytes, pos + 1), Token::String, chunk, pos)?
                }
                b'{' if self.wants_value() => self.open_object(chunk, pos)?,
                b'[' if self.wants_value() => self.open_list(chunk, pos)?,
                b'-' | b'0'..=b'9' if self.wants_value() => {
                    self.note_value(byte, chunk, pos);
                    self.value(Number::begin(byte).scan(bytes, pos + 1), Token::Number, chunk, pos)?
                }
                b't' | b'f' | b'n' if self.wants_value() => {
                    self.note_value(byte, chunk, pos);
                    self.value(scalar::scan_word(scalar::word(byte), bytes, pos), Token::Word, chunk, pos)?
                }
                b',' if self.expect == Expect::Comma => self.comma(pos),
                b'}' if matches!(self.expect, Expect::FirstKey | Expect::Comma) => self.close_object(chunk, pos)?,
                b']' if matches!(self.expect, Expect::FirstElement | Expect::Comma) => self.close_list(chunk, pos)?,
                _ => self.blank(byte, chunk, pos)?,
            };
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.expect, Expect::FirstKey | Expect::Key)
    }

    fn wants_value(&self) -> bool {
        matches!(self.expect, Expect::FirstElement | Expect::Value)
    }

    fn expect(&mut self, next: Expect, pos: usize) -> usize {
        self.expect = next;
        pos + 1
    }

    fn comma(&mut self, pos: usize) -> usize {
        match self.level() {
            Level::List => self.expect(Expect::Value, pos),
            _ => self.expect(Expect::Key, pos),
        }
    }

    /// The innermost open bracket. There is one as long as a document is open.
    pub(super) fn level(&self) -> Level {
        self.levels[self.depth - 1]
    }

    /// Goes on with the token that the end of the last chunk cut.
    #[cold]
    fn resume(&mut self, token: Token, chunk: Chunk<'_>) -> Flow {
        let bytes = chunk.bytes;
        match token {
            Token::Key(text) => self.key(text::resume(text, bytes), chunk, None),
            Token::String(text) => self.value(text::resume(text, bytes), Token::String, chunk, 0),
            Token::Number(number) => self.value(number.scan(bytes, 0), Token::Number, chunk, 0),
            Token::Word(rest) => self.value(scalar::scan_word(rest, bytes, 0), Token::Word, chunk, 0),
        }
    }

    /// Takes what was read of a key, from `start` on, or from the chunk's beginning on if an earlier one began it.
    #[inline(always)]
    fn key(&mut self, read: Read<Text>, chunk: Chunk<'_>, start: Option<usize>) -> Flow {
        match read {
            Ok(Reached::End(end)) => {
                if self.depth == 1 {
                    self.name = self.key_name(chunk, start, end);
                } else if self.level() != Level::Object {
                    let name = self.key_name(chunk, start, end);
                    self.doubtful_key(name, chunk, end)?;
                }
                if chunk.bytes.get(end) == Some(&b':') {
                    return Continue(self.expect(Expect::Value, end));
                }
                self.expect = Expect::Colon;
                Continue(end)
            }
            Ok(Reached::Open(text)) => {
                if let Some(start) = start {
                    self.key.restart(chunk.place(start));
                }
                self.key.extend(chunk);
                self.cut(Token::Key(text), chunk)
            }
            Err(kind) => fault(kind, start.unwrap_or(0)),
        }
    }

    /// What the key names whose closing quote stands before `end`.
    fn key_name(&mut self, chunk: Chunk<'_>, start: Option<usize>, end: usize) -> Name {
        match start {
            Some(start) => Name::of(&chunk.bytes[start..end - 1]),
            None => {
                // If it does not fit into the head it is no name that matters.
                self.key.extend(chunk.until(end - 1));
                Name::of(self.key.bytes())
            }
        }
    }

    /// Takes what was read, from `pos` on, of a value that is neither list nor object.
    #[inline(always)]
    fn value<T>(&mut self, read: Read<T>, token: fn(T) -> Token, chunk: Chunk<'_>, pos: usize) -> Flow {
        match read {
            Ok(Reached::End(end)) => self.end_value(chunk, end),
            Ok(Reached::Open(rest)) => self.cut(token(rest), chunk),
            Err(kind) => fault(kind, pos),
        }
    }

    #[cold]
    fn cut(&mut self, token: Token, chunk: Chunk<'_>) -> Flow {
        self.token = Some(token);
        Break((Step::More, chunk.bytes.len()))
    }

    /// Takes note of a value that begins: of a piece, or at the top of the document.
    #[inline]
    fn note_value(&mut self, first: u8, chunk: Chunk<'_>, pos: usize) {
        match (self.depth, self.name) {
            (PIECE_DEPTH, Name::List(_)) => self.piece_start = chunk.place(pos),
            (1, Name::List(list)) => self.lists.note(list, first),
            _ => {}
        }
    }

    fn open_object(&mut self, chunk: Chunk<'_>, pos: usize) -> Flow {
        self.note_value(b'{', chunk, pos);
        let place = chunk.place(pos);
        if place == self.line_start {
            self.push(Level::Doubtful, pos)?;
            self.doubt(place);
        } else {
            self.push(Level::Object, pos)?;
        }
        self.expect = Expect::FirstKey;
        Continue(pos + 1)
    }

    fn open_list(&mut self, chunk: Chunk<'_>, pos: usize) -> Flow {
        self.note_value(b'[', chunk, pos);
        if self.depth == 1
            && let Name::List(list) = self.name
        {
            self.list = Some(list);
        }
        self.push(Level::List, pos)?;
        self.expect = Expect::FirstElement;
        Continue(pos + 1)
    }

    fn push(&mut self, level: Level, pos: usize) -> Flow {
        let Some(slot) = self.levels.get_mut(self.depth) else {
            return fault(FaultKind::TooDeep, pos);
        };
        *slot = level;
        self.depth += 1;
        Continue(pos)
    }

    fn close_object(&mut self, chunk: Chunk<'_>, pos: usize) -> Flow {
        match self.level() {
            Level::List => return fault(FaultKind::NotJson, pos),
            Level::Object => {}
            Level::Doubtful | Level::Foreign => _ = self.settle_doubt(chunk, pos)?,
        }
        self.depth -= 1;
        match self.depth {
            0 => Break((Step::Closed, pos + 1)),
            _ => self.end_value(chunk, pos + 1),
        }
    }

    fn close_list(&mut self, chunk: Chunk<'_>, pos: usize) -> Flow {
        if self.level() != Level::List {
            return fault(FaultKind::NotJson, pos);
        }
        self.depth -= 1;
        if self.depth == 1 {
            self.list = None;
        }
        self.end_value(chunk, pos + 1)
    }

    fn end_value(&mut self, chunk: Chunk<'_>, end: usize) -> Flow {
        self.expect = Expect::Comma;
        if self.depth == PIECE_DEPTH
            && let Some(list) = self.list
        {
            return Break((Step::Piece(list), end));
        }
        if chunk.bytes.get(end) == Some(&b',') {
            return Continue(self.comma(end));
        }
        Continue(end)
    }

    /// Skips blanks. Anything else is out of place here, and in column 0 a brace that is out of place begins the next
    /// document.
    fn blank(&mut self, byte: u8, chunk: Chunk<'_>, pos: usize) -> Flow {
        match byte {
            b'\n' => self.line_start = chunk.place(pos + 1),
            b' ' | b'\t' | b'\r' => {}
            b'{' if chunk.place(pos) == self.line_start => {
                self.anew = self.line_start;
                return Break((Step::Anew, pos));
            }
            _ => return fault(FaultKind::NotJson, pos),
        }
        Continue(text::spaces_end(chunk.bytes, pos + 1))
    }
}

pub(super) fn fault(kind: FaultKind, pos: usize) -> Flow {
    Break((Step::Fault(kind), pos))
}
