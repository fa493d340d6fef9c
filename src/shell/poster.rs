//! What a worker does for one post: reads a range of a journal, puts a `bulk_create` body around it, sends it, and tells what
//! came back. Holds one body of about `bytes_max`; a piece that is larger goes from the file to the socket.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::engine::event::{Outcome, Post, Posted};
use crate::frame::record::{self, DecodeError, HEADER_BYTES, Header, Kind};
use crate::proto::bulk::{self, Part};

use super::server::Server;

/// Sends `post`; `journal` is `None` only for a body without pieces.
pub fn send(server: &Server, journal: Option<&File>, post: &Post) -> Posted {
    let batch = match Batch::read(journal, post) {
        Ok(batch) => batch,
        Err(error) => {
            let outcome = Outcome::Unreadable { words: format!("the journal cannot be read back: {error}") };
            return Posted { id: post.id, upto: post.from, pieces: 0, outcome };
        }
    };
    let (upto, pieces) = (batch.upto, batch.pieces());
    let (body, length) = batch.into_body(post);
    Posted { id: post.id, upto, pieces, outcome: deliver(server, &post.workspace, body, length) }
}

fn deliver(server: &Server, workspace: &str, mut body: Box<dyn Read + '_>, length: u64) -> Outcome {
    let Some(token) = server.token() else {
        return Outcome::NoAnswer { words: "there is no agent token yet".to_owned() };
    };
    match server.api.bulk_create(&token, workspace, &mut body, length) {
        Ok(answer) => Outcome::Answer {
            status: answer.status,
            words: bulk::answer_words(answer.status, &answer.body),
            retry_after: answer.retry_after,
        },
        Err(fault) => Outcome::NoAnswer { words: fault.words },
    }
}

/// The pieces of one body: either some whose bytes are in `bytes`, or one that is too large for that.
#[derive(Debug, Default)]
struct Batch<'f> {
    bytes: Vec<u8>,
    hosts: Vec<Range<usize>>,
    credentials: Vec<Range<usize>>,
    large: Option<(Kind, Stretch<'f>)>,
    /// Journal offset behind the last piece.
    upto: u64,
}

impl<'f> Batch<'f> {
    fn read(journal: Option<&'f File>, post: &Post) -> io::Result<Batch<'f>> {
        let mut batch = Batch { upto: post.from, ..Batch::default() };
        let Some(file) = journal.filter(|_| post.from < post.upto) else {
            return Ok(batch);
        };
        batch.bytes = vec![0; usize::try_from(post.bytes_max.min(post.upto - post.from)).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut batch.bytes, post.from)?;
        let mut at = 0;
        while batch.pieces() < post.pieces_max {
            let found = match record::decode(&batch.bytes[at..]) {
                Ok(found) => found,
                Err(DecodeError::Incomplete { .. }) => break,
                Err(damage) => return Err(io::Error::other(damage)),
            };
            let (kind, payload) = (found.kind, at + HEADER_BYTES..at + found.bytes_used);
            at = payload.end;
            batch.take(kind, payload);
        }
        batch.upto += at as u64;
        if batch.pieces() == 0 {
            batch.read_large(file, at)?;
        }
        Ok(batch)
    }

    fn take(&mut self, kind: Kind, payload: Range<usize>) {
        match kind {
            Kind::Host => self.hosts.push(payload),
            Kind::Credential => self.credentials.push(payload),
            _ => {}
        }
    }

    /// The record at `upto`, which is `at` in the buffer, does not fit into the buffer: it goes alone, and its checksum is read ahead of it.
    fn read_large(&mut self, file: &'f File, at: usize) -> io::Result<()> {
        let header = Header::decode(&self.bytes[at..]).map_err(io::Error::other)?;
        let start = self.upto + HEADER_BYTES as u64;
        let piece = Stretch { file, at: start, end: start + header.payload_bytes as u64 };
        let (mut check, mut reader, mut chunk) = (header.check(), piece.clone(), vec![0; 64 << 10]);
        loop {
            match reader.read(&mut chunk)? {
                0 => break,
                bytes => check.update(&chunk[..bytes]),
            }
        }
        let kind = check.finish().map_err(io::Error::other)?;
        self.bytes = Vec::new();
        self.upto = piece.end;
        self.large = Some((kind, piece));
        Ok(())
    }

    fn pieces(&self) -> u32 {
        (self.hosts.len() + self.credentials.len()) as u32 + u32::from(self.large.is_some())
    }

    /// The body and its length in bytes.
    fn into_body(self, post: &Post) -> (Box<dyn Read + 'f>, u64) {
        let duration_us = post.duration.map(|took| took.as_micros() as u64);
        let Some((kind, piece)) = self.large else {
            let slices = |ranges: Vec<Range<usize>>| -> Vec<&[u8]> {
                ranges.into_iter().map(|range| &self.bytes[range]).collect()
            };
            let body = post.envelope.body(&slices(self.hosts), &slices(self.credentials), duration_us);
            let length = body.len() as u64;
            return (Box::new(Cursor::new(body)), length);
        };
        let (hosts, credentials) = if kind == Kind::Credential { (None, Some(piece)) } else { (Some(piece), None) };
        let parts = post.envelope.parts(hosts, credentials, duration_us);
        let empty: (Box<dyn Read + 'f>, u64) = (Box::new(io::empty()), 0);
        parts.into_iter().fold(empty, |(body, length), part| match part {
            Part::Text(text) => {
                let bytes = text.into_owned().into_bytes();
                let more = bytes.len() as u64;
                (Box::new(body.chain(Cursor::new(bytes))), length + more)
            }
            Part::Piece(piece) => {
                let more = piece.end - piece.at;
                (Box::new(body.chain(piece)), length + more)
            }
        })
    }
}

/// A range of a file, read without moving the file's own position.
#[derive(Clone, Debug)]
struct Stretch<'f> {
    file: &'f File,
    at: u64,
    end: u64,
}

impl Read for Stretch<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        let bytes = self.file.read_at(&mut buffer[..room], self.at)?;
        if bytes == 0 && room > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += bytes as u64;
        Ok(bytes)
    }
}
