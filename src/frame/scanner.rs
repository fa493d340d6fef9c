//! The JSON grammar of one document, in chunks of any size: where its pieces begin and end, and where it cannot go on.
//! Driven by the framer from a document's opening brace to its last. It keeps no piece's bytes and knows nothing of
//! the lines around documents.

use std::convert::Infallible;
use std::ops::ControlFlow::{self, Break, Continue};

use super::doubt::Doubt;
use super::head::Head;
use super::scalar::{self, Number};
use super::text::{self, Text};
use super::{Chunk, FaultKind};

/// Brackets may be nested this deep; the stack that remembers them has a fixed size.
const DEPTH_MAX: usize = 512;

/// No value is at this depth.
const NO_DEPTH: usize = usize::MAX;

/// How far a token got in a chunk.
pub(super) enum Reached<T> {
    /// It ends before this position.
    End(usize),
    /// The chunk ended first.
    Open(T),
}

/// Why the scanner stopped. Places (`start`) are counted from the beginning of the stream.
#[derive(Debug)]
pub(super) enum Step {
    /// The chunk is used up.
    More,
    /// An element of this list ends here.
    Piece { list: List, start: u64 },
    /// The document is complete.
    Closed(Lists),
    /// The document cannot go on.
    Fault(FaultKind),
    /// The document broke off: the brace at `start` begins another one.
    Anew { start: u64 },
    /// The same, and the scanner is in the new document already, behind the name of a list.
    Within { start: u64 },
}

/// Why the scanner stopped, and where in the chunk.
pub(super) type Stop = (Step, usize);

/// Goes on at a position in the chunk, or stops.
pub(super) type Flow = ControlFlow<Stop, usize>;

/// A list of pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Hosts,
    Credentials,
}

/// What a document has under the name of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    #[default]
    Absent,
    List,
    /// Some other value.
    Other,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lists {
    pub(super) hosts: Found,
    pub(super) credentials: Found,
}

/// The keys that the server knows at the top of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    List(List),
    /// `command` or `execution_id`.
    Command,
    Other,
}

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
    lists: Lists,
    /// What the latest top-level key names.
    pub(super) name: Name,
    /// The depth of values that are pieces: 2 inside a list of pieces, else [`NO_DEPTH`].
    piece_depth: usize,
    pub(super) piece_start: u64,
    /// The latest key, begun where its quote stands; its bytes are kept only if a chunk's end cut it.
    key: Head,
    pub(super) doubt: Option<Doubt>,
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
            piece_depth: NO_DEPTH,
            piece_start: 0,
            key: Head::new(),
            doubt: None,
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
        self.piece_depth = NO_DEPTH;
        self.doubt = None;
    }

    /// Begins a document behind its first key that matters.
    pub(super) fn begin_within(&mut self, list: List) {
        self.begin();
        self.name = Name::List(list);
        self.expect = Expect::Colon;
    }

    /// Whether the scanner is among the elements of a list of pieces, or in one of them.
    pub(super) fn in_list(&self) -> bool {
        self.depth >= self.piece_depth
    }

    /// Whether the chunk's end cut a piece; it began at `piece_start`.
    pub(super) fn in_piece(&self) -> bool {
        self.depth > self.piece_depth || self.depth == self.piece_depth && self.token.is_some()
    }

    /// Reads on until there is something to tell.
    pub(super) fn scan(&mut self, chunk: Chunk<'_>) -> Stop {
        let Break(stop) = self.run(chunk);
        stop
    }

    fn run(&mut self, chunk: Chunk<'_>) -> ControlFlow<Stop, Infallible> {
        use Expect::*;
        let mut pos = match self.token.take() {
            Some(token) => self.resume(token, chunk)?,
            None => 0,
        };
        loop {
            let Some(&byte) = chunk.bytes.get(pos) else {
                return Break((Step::More, pos));
            };
            pos = match (self.expect, byte) {
                (FirstKey | Key, b'"') => self.begin_key(chunk, pos)?,
                (Colon, b':') => self.expect(Value, pos),
                (Value | FirstElement, b'"') => {
                    self.begin_value(byte, chunk, pos);
                    self.string(Text::Plain, chunk, pos + 1)?
                }
                (Value | FirstElement, b'{') => self.open_object(chunk, pos)?,
                (Value | FirstElement, b'[') => self.open_list(chunk, pos)?,
                (Value | FirstElement, b'-' | b'0'..=b'9') => {
                    self.begin_value(byte, chunk, pos);
                    self.number(Number::begin(byte), chunk, pos + 1)?
                }
                (Value | FirstElement, b't' | b'f' | b'n') => {
                    self.begin_value(byte, chunk, pos);
                    self.word(scalar::word(byte), chunk, pos)?
                }
                (Comma, b',') => match self.level() {
                    Level::List => self.expect(Value, pos),
                    _ => self.expect(Key, pos),
                },
                (FirstKey | Comma, b'}') => self.close_object(chunk, pos)?,
                (FirstElement | Comma, b']') => self.close_list(pos)?,
                _ => self.blank(byte, chunk, pos)?,
            };
        }
    }

    fn expect(&mut self, next: Expect, pos: usize) -> usize {
        self.expect = next;
        pos + 1
    }

    /// The innermost open bracket. There is one as long as a document is open.
    pub(super) fn level(&self) -> Level {
        self.levels[self.depth - 1]
    }

    /// Goes on with the token that the end of the last chunk cut.
    fn resume(&mut self, token: Token, chunk: Chunk<'_>) -> Flow {
        match token {
            Token::Key(text) => self.key(text, chunk, 0),
            Token::String(text) => self.string(text, chunk, 0),
            Token::Number(number) => self.number(number, chunk, 0),
            Token::Word(rest) => self.word(rest, chunk, 0),
        }
    }

    fn begin_key(&mut self, chunk: Chunk<'_>, pos: usize) -> Flow {
        self.key.restart(chunk.place(pos));
        self.key(Text::Plain, chunk, pos + 1)
    }

    fn key(&mut self, text: Text, chunk: Chunk<'_>, pos: usize) -> Flow {
        match text::scan(text, chunk.bytes, pos) {
            Ok(Reached::End(end)) => {
                self.expect = Expect::Colon;
                if self.depth == 1 || self.level() != Level::Object {
                    return self.named(chunk, end);
                }
                Continue(end)
            }
            Ok(Reached::Open(text)) => {
                self.key.extend(chunk);
                self.cut(Token::Key(text), chunk)
            }
            Err(kind) => fault(kind, pos),
        }
    }

    /// What the key that ends at `end` names.
    pub(super) fn key_name(&mut self, chunk: Chunk<'_>, end: usize) -> Name {
        let start = self.key.start();
        if start >= chunk.base {
            return Name::of(&chunk.since(start)[..(chunk.place(end) - start) as usize]);
        }
        self.key.extend(Chunk { bytes: &chunk.bytes[..end], ..chunk });
        // A longer key is cut here, and then has no closing quote.
        Name::of(self.key.bytes())
    }

    fn string(&mut self, text: Text, chunk: Chunk<'_>, pos: usize) -> Flow {
        match text::scan(text, chunk.bytes, pos) {
            Ok(Reached::End(end)) => self.end_value(end),
            Ok(Reached::Open(text)) => self.cut(Token::String(text), chunk),
            Err(kind) => fault(kind, pos),
        }
    }

    fn number(&mut self, number: Number, chunk: Chunk<'_>, pos: usize) -> Flow {
        match number.scan(chunk.bytes, pos) {
            Ok(Reached::End(end)) => self.end_value(end),
            Ok(Reached::Open(number)) => self.cut(Token::Number(number), chunk),
            Err(kind) => fault(kind, pos),
        }
    }

    fn word(&mut self, rest: &'static [u8], chunk: Chunk<'_>, pos: usize) -> Flow {
        match scalar::scan_word(rest, chunk.bytes, pos) {
            Ok(Reached::End(end)) => self.end_value(end),
            Ok(Reached::Open(rest)) => self.cut(Token::Word(rest), chunk),
            Err(kind) => fault(kind, pos),
        }
    }

    fn cut(&mut self, token: Token, chunk: Chunk<'_>) -> Flow {
        self.token = Some(token);
        Break((Step::More, chunk.bytes.len()))
    }

    fn begin_value(&mut self, first: u8, chunk: Chunk<'_>, pos: usize) {
        if self.depth == self.piece_depth {
            self.piece_start = chunk.place(pos);
        } else if self.depth == 1 {
            self.begin_top_value(first);
        }
    }

    /// Takes note of what a document has as `hosts` or `credentials`. Without credentials, as an executor may well
    /// say with null, nothing is left undelivered.
    fn begin_top_value(&mut self, first: u8) {
        let (found, null) = match self.name {
            Name::List(List::Hosts) => (&mut self.lists.hosts, Found::Other),
            Name::List(List::Credentials) => (&mut self.lists.credentials, Found::Absent),
            _ => return,
        };
        let this = match first {
            b'[' => Found::List,
            b'n' => null,
            _ => Found::Other,
        };
        *found = this.max(*found);
    }

    fn open_object(&mut self, chunk: Chunk<'_>, pos: usize) -> Flow {
        self.begin_value(b'{', chunk, pos);
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
        self.begin_value(b'[', chunk, pos);
        if self.depth == 1 && matches!(self.name, Name::List(_)) {
            self.piece_depth = 2;
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
            0 => Break((Step::Closed(self.lists), pos + 1)),
            _ => self.end_value(pos + 1),
        }
    }

    fn close_list(&mut self, pos: usize) -> Flow {
        if self.level() != Level::List {
            return fault(FaultKind::NotJson, pos);
        }
        self.depth -= 1;
        if self.depth == 1 {
            self.piece_depth = NO_DEPTH;
        }
        self.end_value(pos + 1)
    }

    fn end_value(&mut self, end: usize) -> Flow {
        self.expect = Expect::Comma;
        match self.name {
            Name::List(list) if self.depth == self.piece_depth => {
                Break((Step::Piece { list, start: self.piece_start }, end))
            }
            _ => Continue(end),
        }
    }

    /// Skips blanks. Anything else is out of place here, and in column 0 a brace that is out of place begins the next
    /// document.
    fn blank(&mut self, byte: u8, chunk: Chunk<'_>, pos: usize) -> Flow {
        match byte {
            b' ' | b'\t' | b'\r' => {}
            b'\n' => self.line_start = chunk.place(pos + 1),
            b'{' if chunk.place(pos) == self.line_start => {
                return Break((Step::Anew { start: self.line_start }, pos));
            }
            _ => return fault(FaultKind::NotJson, pos),
        }
        Continue(pos + 1)
    }
}

impl Name {
    /// `quoted` is the key as printed. Escapes in it are undone, as the server does.
    fn of(quoted: &[u8]) -> Name {
        if quoted.contains(&b'\\') {
            return serde_json::from_slice::<String>(quoted).map_or(Name::Other, |key| Name::plain(key.as_bytes()));
        }
        quoted.get(1..quoted.len() - 1).map_or(Name::Other, Name::plain)
    }

    fn plain(key: &[u8]) -> Name {
        match key {
            b"hosts" => Name::List(List::Hosts),
            b"credentials" => Name::List(List::Credentials),
            b"command" | b"execution_id" => Name::Command,
            _ => Name::Other,
        }
    }
}

pub(super) fn fault(kind: FaultKind, pos: usize) -> Flow {
    Break((Step::Fault(kind), pos))
}
