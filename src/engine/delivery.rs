//! One run's way into one workspace: what is posted next, and what an answer means. Holds a cursor into the journal and nothing
//! of its content; the worker that reads the journal tells how far it came. One post at a time, so order holds.
//!
//! Invariant: everything before `cursor` is settled, that is delivered or refused by the server; nothing behind it is.
//!
//! A 400 speaks of a whole body. To find the piece that it means, the next body is half as large, and so on down to one piece,
//! which is refused; then bodies grow again from one. Before a piece is blamed, an empty body shows whether the server takes
//! anything at all for this execution (it does not when the execution was deleted or belongs to another workspace).

use std::sync::Arc;
use std::time::Duration;

use crate::frame::record::HEADER_BYTES;
use crate::proto::bulk::Envelope;
use crate::proto::excerpt::excerpt;

use super::agenda::Agenda;
use super::backoff::Backoff;
use super::event::{Outcome, Post, PostId, Posted};
use super::timers::Timer;

/// A body holds at most this many pieces …
pub const PIECES_MAX: u32 = 500;
/// … and about this many bytes, unless one piece alone is larger.
pub const BYTES_MAX: u64 = 1_000_000;
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// A server that asks for more by `Retry-After` is asked again after this all the same.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);
/// A journal that could not be read so often in a row will not be.
const READS_MAX: u32 = 5;

/// The way from a refused body to the piece that it was refused for.
#[derive(Debug)]
enum Search {
    Idle,
    /// The next so many pieces were refused together. Does the server take anything at all?
    Probing {
        suspects: u32,
        upto: u64,
        words: String,
    },
    /// It does: one of the next so many pieces is bad.
    Narrowing {
        suspects: u32,
    },
}

/// What an answer came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Settled {
    /// The server took the body, or said no to it; the next one may go.
    Answered,
    /// Neither yes nor no; `Timer::Post` is set. `reachable` tells whether the server answered at all.
    Waiting { reachable: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pieces,
    /// An empty body, to learn whether the server takes anything for this execution.
    Probe,
    Closing,
}

#[derive(Debug)]
pub struct Delivery {
    pub id: PostId,
    workspace: Arc<str>,
    envelope: Arc<Envelope>,
    /// Journal offset before which everything is settled.
    cursor: u64,
    /// What is under way.
    flying: Option<Kind>,
    /// Whether this delivery stands in the engine's queue.
    pub queued: bool,
    /// Pieces in the next body at most, and bytes; a 413 makes the latter smaller for good.
    pieces_max: u32,
    bytes_max: u64,
    search: Search,
    closed: bool,
    unreached: bool,
    /// Tries to read the journal that failed.
    unread: u32,
    backoff: Backoff,
    trouble: Option<String>,
    refusals: Refusals,
}

/// What the server did not take.
#[derive(Debug, Default)]
pub struct Refusals {
    pub pieces: u64,
    /// The server's words for the first one.
    pub first: Option<String>,
    /// The server takes nothing (more) of this run; its words.
    pub barred: Option<String>,
}

impl Refusals {
    pub fn is_empty(&self) -> bool {
        self.pieces == 0 && self.barred.is_none()
    }
}

impl Delivery {
    pub fn new(id: PostId, workspace: Arc<str>, envelope: Arc<Envelope>, start: u64) -> Delivery {
        Delivery {
            id,
            workspace,
            envelope,
            cursor: start,
            flying: None,
            queued: false,
            pieces_max: PIECES_MAX,
            bytes_max: BYTES_MAX,
            search: Search::Idle,
            closed: false,
            unreached: false,
            unread: 0,
            backoff: Backoff::new(RETRY_FIRST, RETRY_MAX),
            trouble: None,
            refusals: Refusals::default(),
        }
    }

    /// The workspace's name as a person may see it: the server chose it, and it may hold anything.
    pub fn shown_workspace(&self) -> String {
        excerpt(&self.workspace, 80)
    }

    /// Whether nothing more will be posted.
    pub fn is_closed(&self) -> bool {
        self.closed || self.refusals.barred.is_some()
    }

    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// What is waited for, for the log of an agent that has to go.
    pub fn waiting_words(&self) -> String {
        format!(
            "workspace {}: {}",
            self.shown_workspace(),
            self.trouble.as_deref().unwrap_or("its posts are under way")
        )
    }

    /// Whether it ended because of the journal and not of the server.
    pub fn is_unread(&self) -> bool {
        self.unread == READS_MAX && self.refusals.barred.is_some()
    }

    /// The next try need not wait, and the one after it not long.
    pub fn hurry(&mut self, agenda: &mut Agenda) {
        self.backoff.reset();
        agenda.timers.clear(Timer::Post(self.id));
    }

    /// Whether it waits because the last post got no answer at all.
    pub fn is_unreached(&self) -> bool {
        self.unreached
    }

    /// Whether there is something to post, as `next_post` sees it.
    pub fn has_post(&self, end: u64, ended: Option<Duration>) -> bool {
        self.flying.is_none() && !self.is_closed() && (self.cursor < end || ended.is_some())
    }

    /// The next body: pieces of the journal up to `end`, or the closing one once `ended` says how long the run took.
    pub fn next_post(&mut self, end: u64, ended: Option<Duration>) -> Option<Post> {
        if !self.has_post(end, ended) {
            return None;
        }
        let (kind, upto, duration) = if let Search::Probing { .. } = self.search {
            (Kind::Probe, self.cursor, None)
        } else if self.cursor < end {
            (Kind::Pieces, end, None)
        } else {
            (Kind::Closing, self.cursor, Some(ended?))
        };
        self.flying = Some(kind);
        Some(Post {
            id: self.id,
            workspace: self.workspace.clone(),
            envelope: self.envelope.clone(),
            from: self.cursor,
            upto,
            pieces_max: match self.search {
                Search::Narrowing { suspects } => (suspects / 2).max(1),
                _ => self.pieces_max,
            },
            bytes_max: self.bytes_max,
            duration,
        })
    }

    pub fn on_posted(&mut self, posted: Posted, agenda: &mut Agenda) -> Settled {
        self.unreached = false;
        let Some(kind) = self.flying.take() else {
            debug_assert!(false, "an answer to no post");
            return Settled::Answered;
        };
        match posted.outcome {
            Outcome::Answer { status: 201, .. } => self.on_taken(kind, posted.upto, posted.pieces),
            Outcome::Answer { status: 413, .. } if posted.pieces > 1 => {
                self.bytes_max = ((posted.upto - self.cursor) / 2).min(self.bytes_max / 2).max(HEADER_BYTES as u64);
            }
            Outcome::Answer { status: status @ (400 | 413), words, .. } => {
                self.on_refused(kind, posted.upto, posted.pieces, format!("{status}: {words}"));
            }
            Outcome::Answer { status, words, retry_after } => {
                let words = format!("{status}: {words}{}", advice(status));
                self.wait(words, retry_after.unwrap_or_default().min(RETRY_AFTER_MAX), agenda);
                return Settled::Waiting { reachable: true };
            }
            Outcome::NoAnswer { words } => {
                self.wait(words, Duration::ZERO, agenda);
                self.unreached = true;
                return Settled::Waiting { reachable: false };
            }
            Outcome::Unreadable { words } if self.unread < READS_MAX => {
                self.unread += 1;
                self.wait(words, Duration::ZERO, agenda);
                return Settled::Waiting { reachable: true };
            }
            Outcome::Unreadable { words } => self.bar(words),
        }
        self.backoff.reset();
        if self.trouble.take().is_some() {
            log::info!("{self}: the server answers again");
        }
        Settled::Answered
    }

    fn on_taken(&mut self, kind: Kind, upto: u64, pieces: u32) {
        self.unread = 0;
        match kind {
            Kind::Closing => self.closed = true,
            Kind::Probe => match std::mem::replace(&mut self.search, Search::Idle) {
                Search::Probing { suspects: 1, upto, words } => self.refuse_piece(upto, words),
                Search::Probing { suspects, .. } => self.search = Search::Narrowing { suspects },
                _ => debug_assert!(false, "a probe without a question"),
            },
            Kind::Pieces => {
                debug_assert!(upto > self.cursor);
                self.cursor = upto;
                self.pieces_max = (self.pieces_max * 2).min(PIECES_MAX);
                if let Search::Narrowing { suspects } = &mut self.search {
                    *suspects = suspects.saturating_sub(pieces);
                    if *suspects == 0 {
                        self.search = Search::Idle;
                    }
                }
            }
        }
    }

    fn on_refused(&mut self, kind: Kind, upto: u64, pieces: u32, words: String) {
        match (kind, &self.search) {
            // The run's own data are settled by now; a refused end date is not worth a failed run.
            (Kind::Closing, _) => {
                log::warn!("{self}: the closing post was refused: {words}");
                self.closed = true;
            }
            (Kind::Probe, _) => self.bar(words),
            (Kind::Pieces, Search::Narrowing { .. }) if pieces == 1 => self.refuse_piece(upto, words),
            (Kind::Pieces, Search::Narrowing { .. }) => self.search = Search::Narrowing { suspects: pieces },
            (Kind::Pieces, _) => self.search = Search::Probing { suspects: pieces, upto, words },
        }
    }

    fn refuse_piece(&mut self, upto: u64, words: String) {
        log::warn!("{self}: the server refused a host or credential: {words}");
        self.cursor = upto;
        self.search = Search::Idle;
        self.pieces_max = 1;
        self.refusals.pieces += 1;
        self.refusals.first.get_or_insert(words);
    }

    fn bar(&mut self, words: String) {
        log::error!("{self}: nothing of this run is taken: {words}");
        self.refusals.barred = Some(words);
    }

    fn wait(&mut self, words: String, at_least: Duration, agenda: &mut Agenda) {
        let pause = agenda.back_off(&mut self.backoff, at_least, Timer::Post(self.id));
        if self.trouble.as_deref() == Some(words.as_str()) {
            log::debug!("{self}: {words}; trying again in {:.1} s", pause.as_secs_f32());
        } else {
            log::warn!("{self}: {words}; kept, and tried again until the server takes it");
            self.trouble = Some(words);
        }
    }
}

impl std::fmt::Display for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "run {}: workspace {}", self.id.run, self.shown_workspace())
    }
}

/// What a person can do about a status that neither takes nor refuses a body. Source: bulk-create.md 1.
fn advice(status: u16) -> &'static str {
    match status {
        401 | 404 => " (the workspace does not exist or is switched off: create it or switch it on)",
        403 => " (the workspace is read-only, or this agent was deleted on the server)",
        300..=399 => " (a redirect: check server.host, server.ssl and server.base_route)",
        200..=299 => " (not the answer of a Faraday server: check server.host and server.base_route)",
        _ => "",
    }
}
