//! What a worker does for one post: repairs the pieces of a journal that the server could not store, puts a `bulk_create` body
//! around them, sends it, and tells what came back. Holds one body; a piece that is larger than a usual body goes out from where
//! it was read, without a copy.

use std::borrow::Cow;
use std::io::{self, Cursor, Read};
use std::time::Duration;

use crate::config::settings::AgentToken;
use crate::engine::event::{Outcome, Post, Posted};
use crate::frame::record::Kind;
use crate::proto::bulk::{self, Envelope, Part};
use crate::proto::repair::{self, Repairs};

use super::batch::{Batch, LARGE_BYTES_MIN};
use super::is_passing;
use super::journals::Source;
use super::net::http::Api;
use super::server::Server;

/// Sends `post`; `journal` is where its range lies.
pub fn send(server: &Server, journal: Source, post: &Post) -> Posted {
    let range = post.range;
    let batch = match range.from < range.upto {
        true => journal.file().and_then(|file| Batch::read(&file, range, post.pieces_max, post.bytes_max)),
        false => Ok(Batch::empty(range.from)),
    };
    let mut repairs = Repairs::default();
    let (upto, pieces, outcome) = match batch {
        Ok(batch) => (batch.upto, batch.len(), deliver(server, post, &batch, &mut repairs)),
        Err(error) => (range.from, 0, unreadable(&error)),
    };
    Posted { id: post.id, upto, pieces, repairs, outcome }
}

/// Why there is no body.
pub fn unreadable(error: &io::Error) -> Outcome {
    let words = format!("the journal cannot be read back: {error}");
    if is_passing(error) { Outcome::Hindered { words } } else { Outcome::Unreadable { words } }
}

fn deliver(server: &Server, post: &Post, batch: &Batch, repairs: &mut Repairs) -> Outcome {
    let Some(token) = server.token() else {
        return Outcome::NoAnswer { words: "there is no agent token yet".to_owned() };
    };
    let way = Way { api: &server.api, token: &token, workspace: &post.workspace, envelope: &post.envelope };
    way.send(batch.pieces(), post.duration, repairs)
}

/// Where bodies go, and what goes around their pieces.
pub struct Way<'w> {
    pub api: &'w Api,
    pub token: &'w AgentToken,
    pub workspace: &'w str,
    pub envelope: &'w Envelope,
}

impl Way<'_> {
    /// Sends one body; adds to `repairs` what the server could not have stored.
    pub fn send<'p>(
        &self,
        pieces: impl Iterator<Item = (Kind, &'p [u8])>,
        duration: Option<Duration>,
        repairs: &mut Repairs,
    ) -> Outcome {
        let (mut hosts, mut credentials) = (Vec::new(), Vec::new());
        for (kind, piece) in pieces {
            let (list, repaired) = match kind {
                Kind::Credential => (&mut credentials, repair::credential(piece, repairs)),
                _ => (&mut hosts, repair::host(piece, repairs)),
            };
            list.push(repaired.map_or(Cow::Borrowed(piece), Cow::Owned));
        }
        let duration_us = duration.map(|took| took.as_micros() as u64);
        let parts =
            self.envelope.parts(hosts.iter().map(Cow::as_ref), credentials.iter().map(Cow::as_ref), duration_us);
        let (mut body, length) = body(&parts);
        match self.api.bulk_create(self.token, self.workspace, &mut body, length) {
            Ok(answer) => Outcome::Answer {
                status: answer.status,
                words: bulk::answer_words(answer.status, &answer.body),
                retry_after: answer.retry_after,
            },
            Err(fault) => Outcome::NoAnswer { words: fault.words },
        }
    }
}

/// The body and its length in bytes: in one buffer if it is a usual one.
fn body<'p>(parts: &'p [Part<&'p [u8]>]) -> (Box<dyn Read + 'p>, u64) {
    let length = parts.iter().map(|part| part.bytes().len() as u64).sum();
    if length <= LARGE_BYTES_MIN {
        let slices: Vec<&[u8]> = parts.iter().map(Part::bytes).collect();
        return (Box::new(Cursor::new(slices.concat())), length);
    }
    let empty: Box<dyn Read + 'p> = Box::new(io::empty());
    (parts.iter().fold(empty, |body, part| Box::new(body.chain(part.bytes()))), length)
}
