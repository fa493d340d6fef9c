//! `agent resend FILE`: posts what a server refused earlier (`refused`), after a person has corrected it or changed something on
//! the server. Works beside a running agent: it takes the file away first, and what is refused again comes back into it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::settings::{AgentToken, Settings};
use crate::engine::event::Outcome;
use crate::frame::record::Kind;
use crate::frame::{Framer, Piece};
use crate::proto::repair::Repairs;

use super::net::http::Api;
use super::net::limits::Limits;
use super::poster::Way;
use super::refused::{Refused, write_line};
use super::token_store::StateDir;
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
    let taken_away = PathBuf::from(format!("{}.resending", file.display()));
    fs::rename(file, &taken_away)?;
    let mut sender = Sender { api, token, file, batch: Vec::new(), resent: Resent::default(), left: None };
    for text in BufReader::new(File::open(&taken_away)?).split(b'\n') {
        let text = text?;
        match read_line(&text) {
            _ if text.trim_ascii().is_empty() => {}
            Ok(line) => sender.add(line)?,
            Err(words) => {
                log::error!("a line is left as it is: {words}");
                sender.send_batch()?;
                sender.leave(&[&text[..], b"\n"].concat())?;
            }
        }
    }
    sender.send_batch()?;
    sender.left.map_or(Ok(()), |left| left.sync_all())?;
    fs::remove_file(taken_away)?;
    Ok(sender.resent)
}

struct Sender<'s> {
    api: &'s Api,
    token: &'s AgentToken,
    file: &'s Path,
    /// Lines that go to the same place together.
    batch: Vec<Line>,
    resent: Resent,
    /// `file` anew.
    left: Option<File>,
}

impl Sender<'_> {
    fn add(&mut self, line: Line) -> io::Result<()> {
        let fits = self.batch.first().is_none_or(|first| first.goes_with(&line));
        if !fits || self.batch.len() >= BATCH_LINES_MAX {
            self.send_batch()?;
        }
        self.batch.push(line);
        Ok(())
    }

    /// Together; and if that is refused, one by one.
    fn send_batch(&mut self) -> io::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let pieces = batch.iter().map(|line| line.pieces.len() as u64).sum::<u64>();
        if batch.len() > 1 && self.send(&batch).is_ok() {
            self.resent.taken += pieces;
            return Ok(());
        }
        for line in batch {
            match self.send(std::slice::from_ref(&line)) {
                Ok(()) => self.resent.taken += line.pieces.len() as u64,
                Err(why) => {
                    log::error!("workspace {}: {why}", line.refused.workspace);
                    self.leave(&line.again(why)?)?;
                }
            }
        }
        Ok(())
    }

    /// Why not, if it was not taken.
    fn send(&self, lines: &[Line]) -> Result<(), String> {
        let Some(Line { refused, .. }) = lines.first() else { return Ok(()) };
        let way = Way { api: self.api, token: self.token, workspace: &refused.workspace, envelope: &refused.envelope };
        let pieces = lines.iter().flat_map(|line| &line.pieces).map(|(kind, piece)| (*kind, piece.as_slice()));
        match way.send(pieces, None, &mut Repairs::default()) {
            Outcome::Answer { status: 201, .. } | Outcome::SetAside => Ok(()),
            Outcome::Answer { status, words, .. } => Err(format!("{status}: {words}")),
            Outcome::NoAnswer { words } | Outcome::Unreadable { words } | Outcome::Hindered { words } => Err(words),
        }
    }

    fn leave(&mut self, text: &[u8]) -> io::Result<()> {
        self.resent.left += 1;
        let left = match &mut self.left {
            Some(left) => left,
            None => self.left.insert(OpenOptions::new().append(true).create(true).mode(0o600).open(self.file)?),
        };
        left.write_all(text)
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

fn read_line(text: &[u8]) -> Result<Line, String> {
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
    Ok(Line { pieces, refused: beside.refused })
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
            let line = read_line(text.trim_ascii_end()).expect("a line");
            let on_one_line: Vec<u8> = piece.iter().map(|&byte| if byte == b'\n' { b' ' } else { byte }).collect();
            assert_eq!(line.pieces, [(kind, on_one_line)]);
            assert_eq!(line.refused, refused());
        }
    }

    #[test]
    fn what_is_no_such_line_is_told() {
        for text in [&b"{\"hosts\":[]}"[..], b"nonsense", b"{\"hosts\":[1],\"refused\":{\"workspace\":\"w\"}}"] {
            assert!(read_line(text).is_err());
        }
    }
}
