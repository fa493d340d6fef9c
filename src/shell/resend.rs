//! `agent resend FILE`: posts what a server refused earlier (`refused`), after a person has corrected it or changed something on
//! the server. Works beside a running agent: under the file's lock it renames FILE to FILE.resending, and what is refused again
//! comes back into FILE, where the agent goes on writing meanwhile.
//!
//! FILE.resending stays locked for as long as its lines are sent, and is removed when each of them is with the server or, on
//! disk, in FILE again. Where this is interrupted, it stays, and the next `agent resend FILE` begins with it. So no line is lost;
//! some may be sent twice, and the server merges them.

use std::convert::identity;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::path::Path;

use serde::Deserialize;

use crate::config::settings::{AgentToken, Settings};
use crate::engine::event::Outcome;
use crate::frame::record::Kind;
use crate::frame::{Framer, Piece};
use crate::proto::repair::Repairs;

use super::directory::Directory;
use super::net::http::Api;
use super::net::limits::Limits;
use super::poster::Way;
use super::refused::{Held, Refused, write_line};
use super::state_dir::StateDir;
use super::{StartError, tls_config};

/// One host or credential; as the agent takes them.
const PIECE_BYTES_MAX: usize = 64 << 20;
/// In one body.
const BATCH_LINES_MAX: usize = 100;

/// What became of a file's lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Resent {
    pub taken: u64,
    /// They stand in the file again, each with the reason.
    pub left: u64,
}

/// A line: a document with one piece, and where it belongs.
struct Line {
    pieces: Vec<(Kind, Vec<u8>)>,
    refused: Refused,
    /// Where it ends in the file.
    upto: u64,
}

/// What came of sending a line.
enum Fate {
    Taken,
    Refused(String),
    Unanswered(String),
}

/// Why the lines behind are not sent.
enum Stop {
    /// The server does not answer: each of them would wait for it alone.
    Silence(String),
    Disk(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Disk(error)
    }
}

#[derive(Deserialize)]
struct Beside {
    refused: Refused,
}

/// Sends the lines of `file`, one after the other.
pub fn run(settings: &Settings, file: &Path) -> Result<Resent, StartError> {
    let machine = |words: String| StartError::Machine(words);
    let state = StateDir::open(&settings.agent).map_err(machine)?;
    let stored = state.token().map_err(machine)?;
    let token = settings.token.clone().or(stored).ok_or_else(|| {
        machine("there is no agent token, neither in the configuration nor in the state directory: this agent has not registered yet".to_owned())
    })?;
    let api = Api::new(&settings.server, tls_config(&settings.server)?, &Limits::default());
    send_file(&api, &token, file).map_err(|error| machine(format!("sending {} again: {error}", file.display())))
}

fn send_file(api: &Api, token: &AgentToken, file: &Path) -> io::Result<Resent> {
    let files = Files::of(file)?;
    let held = files.take_away()?;
    let mut sender = Sender { api, token, files: &files, batch: Vec::new(), resent: Resent::default(), settled: 0 };
    let Files { directory, taken_away, .. } = &files;
    sender.send_all(&held).and_then(|()| directory.remove(taken_away)).map_err(|error| files.kept(&error))?;
    directory.sync()?;
    Ok(sender.resent)
}

/// Where the lines are: in the file that a person has named, and, while they are sent, in one beside it.
struct Files {
    directory: Directory,
    file: OsString,
    taken_away: OsString,
}

impl Files {
    fn of(file: &Path) -> io::Result<Files> {
        let (directory, file) = Directory::around(file)?;
        let mut taken_away = file.clone();
        taken_away.push(".resending");
        Ok(Files { directory, file, taken_away })
    }

    fn held(&self, name: &OsStr) -> io::Result<Held> {
        Held::at_once(&self.directory, name)
    }

    /// Moves the lines of `file` to where nobody adds any, behind those that an interrupted call has left there.
    fn take_away(&self) -> io::Result<Held> {
        // Only who has `file` makes the other one: what is not there now is made by nobody else.
        let found = self.held(&self.file);
        let earlier = match self.held(&self.taken_away) {
            Ok(earlier) => earlier,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let found = found?;
                self.directory.rename(&self.file, &self.taken_away)?;
                return Ok(found);
            }
            Err(error) => return Err(self.kept(&error)),
        };
        let left = self.directory.path_of(&self.taken_away);
        log::info!("begins with {}, which an interrupted call has left", left.display());
        let merge = |found: Held| {
            earlier.append(|out| copy_lines(found.read_from(0)?, out), identity)?;
            self.directory.remove(&self.file)
        };
        match found.and_then(merge) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.kept(&error)),
            _ => Ok(earlier),
        }
    }

    /// `file`, made anew if need be. Not to be held any longer than a line takes: the agent writes there too.
    fn left(&self) -> io::Result<Held> {
        Held::when_free(&self.directory, &self.file)
    }

    /// Tells the person where to look.
    fn kept(&self, error: &io::Error) -> io::Error {
        let place = self.directory.path_of(&self.taken_away);
        let words = format!("{error}; lines of it are in {}, and sent when it is called again", place.display());
        io::Error::new(error.kind(), words)
    }
}

/// As they are, and the last one with its newline. Returns how many there are.
fn copy_lines(from: impl Read, out: &mut impl Write) -> io::Result<u64> {
    let (mut reader, mut text, mut count) = (BufReader::new(from), Vec::new(), 0);
    while reader.read_until(b'\n', &mut text)? > 0 {
        out.write_all(text.strip_suffix(b"\n").unwrap_or(&text))?;
        out.write_all(b"\n")?;
        count += u64::from(!text.trim_ascii().is_empty());
        text.clear();
    }
    Ok(count)
}

struct Sender<'s> {
    api: &'s Api,
    token: &'s AgentToken,
    files: &'s Files,
    /// Lines that go to the same place together.
    batch: Vec<Line>,
    resent: Resent,
    /// Up to here each line is with the server or in `file`.
    settled: u64,
}

impl Sender<'_> {
    fn send_all(&mut self, held: &Held) -> io::Result<()> {
        match self.send_lines(held.read_from(0)?) {
            Ok(()) => Ok(()),
            Err(Stop::Disk(error)) => Err(error),
            Err(Stop::Silence(words)) => {
                log::error!("the rest is left as it is, because there is no answer: {words}");
                let rest = held.read_from(self.settled)?;
                self.resent.left += self.files.left()?.append(|out| copy_lines(rest, out), identity)?;
                Ok(())
            }
        }
    }

    fn send_lines(&mut self, from: impl Read) -> Result<(), Stop> {
        let (mut reader, mut text, mut upto) = (BufReader::new(from), Vec::new(), 0);
        while reader.read_until(b'\n', &mut text)? > 0 {
            upto += text.len() as u64;
            match read_line(&text, upto) {
                _ if text.trim_ascii().is_empty() => {}
                Ok(line) => self.add(line)?,
                Err(words) => {
                    self.send_batch()?;
                    log::error!("a line is left as it is: {words}");
                    self.leave(&[text.trim_ascii_end(), b"\n"].concat())?;
                    self.settled = upto;
                }
            }
            text.clear();
        }
        self.send_batch()
    }

    fn add(&mut self, line: Line) -> Result<(), Stop> {
        let fits = self.batch.first().is_none_or(|first| first.goes_with(&line));
        if !fits || self.batch.len() >= BATCH_LINES_MAX {
            self.send_batch()?;
        }
        self.batch.push(line);
        Ok(())
    }

    /// Together; and if that is refused, one by one.
    fn send_batch(&mut self) -> Result<(), Stop> {
        let batch = std::mem::take(&mut self.batch);
        let Some(last) = batch.last().filter(|_| batch.len() > 1) else { return self.send_one_by_one(&batch) };
        match self.send(&batch) {
            Fate::Taken => {
                self.resent.taken += batch.iter().map(|line| line.pieces.len() as u64).sum::<u64>();
                self.settled = last.upto;
                Ok(())
            }
            Fate::Refused(_) => self.send_one_by_one(&batch),
            Fate::Unanswered(words) => Err(Stop::Silence(words)),
        }
    }

    fn send_one_by_one(&mut self, batch: &[Line]) -> Result<(), Stop> {
        let (mut again, mut sent) = (Vec::new(), Ok(()));
        for line in batch {
            match self.send(std::slice::from_ref(line)) {
                Fate::Taken => self.resent.taken += line.pieces.len() as u64,
                Fate::Refused(why) => {
                    log::error!("workspace {}: {why}", line.refused.workspace);
                    again.extend(line.again(why)?);
                }
                Fate::Unanswered(words) => {
                    sent = Err(Stop::Silence(words));
                    break;
                }
            }
            self.settled = line.upto;
        }
        self.leave(&again)?;
        sent
    }

    fn send(&self, lines: &[Line]) -> Fate {
        let Some(Line { refused, .. }) = lines.first() else { return Fate::Taken };
        let way = Way { api: self.api, token: self.token, workspace: &refused.workspace, envelope: &refused.envelope };
        let pieces = lines.iter().flat_map(|line| &line.pieces).map(|(kind, piece)| (*kind, piece.as_slice()));
        match way.send(pieces, None, &mut Repairs::default()) {
            Outcome::Answer { status: 201, .. } => Fate::Taken,
            Outcome::Answer { status, words, .. } => Fate::Refused(format!("{status}: {words}")),
            Outcome::NoAnswer { words } => Fate::Unanswered(words),
            Outcome::Unreadable { words } | Outcome::Hindered { words } => Fate::Refused(words),
            Outcome::SetAside => Fate::Refused("no server was asked".to_owned()),
        }
    }

    /// Puts lines into the file again.
    fn leave(&mut self, text: &[u8]) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.files.left()?.append(|out| out.write_all(text), identity)?;
        self.resent.left += text.iter().filter(|&&byte| byte == b'\n').count() as u64;
        Ok(())
    }
}

impl Line {
    fn goes_with(&self, other: &Line) -> bool {
        self.refused.workspace == other.refused.workspace && self.refused.envelope == other.refused.envelope
    }

    /// As it stands in the file when it was refused once more.
    fn again(&self, why: String) -> io::Result<Vec<u8>> {
        let (mut text, refused) = (Vec::new(), Refused { why, ..self.refused.clone() });
        for (kind, piece) in &self.pieces {
            write_line(&mut text, *kind, piece, &refused)?;
        }
        Ok(text)
    }
}

fn read_line(text: &[u8], upto: u64) -> Result<Line, String> {
    let beside: Beside = serde_json::from_slice(text).map_err(|error| {
        format!(
            "it is not a document with `refused` beside it ({error}); print it by an executor to send it somewhere else"
        )
    })?;
    let (mut framer, mut input, mut pieces) = (Framer::new(PIECE_BYTES_MAX), text, Vec::new());
    while let Some(piece) = framer.next(&mut input) {
        match piece {
            Piece::Host(bytes) => pieces.push((Kind::Host, bytes.to_vec())),
            Piece::Credential(bytes) => pieces.push((Kind::Credential, bytes.to_vec())),
            Piece::Fault(fault) => return Err(fault.kind.to_string()),
            Piece::Document { .. } | Piece::End => {}
        }
    }
    Ok(Line { pieces, refused: beside.refused, upto })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::bulk::Envelope;

    fn refused() -> Refused {
        let envelope = Envelope {
            execution_id: 7,
            tool: "a1".into(),
            command: "ok".into(),
            params: "T=1".into(),
            start_date: "2026-11-24T00:00:00.000000".into(),
        };
        Refused { workspace: "ws1".into(), envelope, why: "400: no".into(), when: "2026-11-24".into() }
    }

    #[test]
    fn a_line_comes_back_as_it_was_written() {
        for (kind, piece) in [
            (Kind::Host, &b"{\"ip\":\"1\",\n \"n\":1.10}"[..]),
            (Kind::Credential, b"{\"username\":\"u\",\"password\":\"p\"}"),
        ] {
            let mut text = Vec::new();
            write_line(&mut text, kind, piece, &refused()).expect("memory");
            assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 1);
            let line = read_line(&text, 0).expect("a line");
            let on_one_line: Vec<u8> = piece.iter().map(|&byte| if byte == b'\n' { b' ' } else { byte }).collect();
            assert_eq!(line.pieces, [(kind, on_one_line)]);
            assert_eq!(line.refused, refused());
        }
    }

    #[test]
    fn what_is_no_such_line_is_told() {
        for text in [&b"{\"hosts\":[]}"[..], b"nonsense", b"{\"hosts\":[1],\"refused\":{\"workspace\":\"w\"}}"] {
            assert!(read_line(text, 0).is_err());
        }
    }
}
