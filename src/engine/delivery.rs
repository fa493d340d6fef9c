//! One run's way into one workspace: what is posted next, and what an answer means. Holds a cursor into the journal and nothing
//! of its content; the worker that reads the journal tells how far it came. One post at a time, so order holds.
//!
//! Invariant: everything before `cursor` is settled, that is delivered or set aside; nothing behind it is, but for a piece that
//! was sent ahead to clear another one of suspicion.

mod patience;
mod refusal;
mod search;

use std::sync::Arc;
use std::time::Duration;

use crate::frame::record::HEADER_BYTES;
use crate::proto::bulk::Envelope;
use crate::proto::excerpt::excerpt;
use crate::proto::repair::Repairs;

use super::agenda::Agenda;
use super::event::{Action, Outcome, Post, PostId, Posted, Range, SetAside};
use super::journal::Journal;
use super::note::Settled;
use super::timers::Timer;

use patience::{Patience, Trouble};
use search::{Blame, Search};

/// A body holds at most this many pieces …
pub const PIECES_MAX: u32 = 500;
/// … and about this many bytes, unless one piece alone is larger.
pub const BYTES_MAX: u64 = 1_000_000;
/// A journal that could not be read so often in a row will not be.
const READS_MAX: u32 = 5;

/// What a delivery may ask a worker for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pieces,
    /// An empty body, to learn whether the server takes anything for this execution.
    Probe,
    /// Pieces behind the one under suspicion.
    Beyond,
    Closing,
    SetAside,
}

/// What is under way.
#[derive(Clone, Copy, Debug)]
struct Flight {
    kind: Kind,
    sending: Sending,
}

/// Where a post stands among those of all deliveries.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// Posts are numbered in the order in which they are handed out to be sent.
    pub number: u64,
    /// The newest one with pieces in it that the server was known to have taken by then.
    pub passed: u64,
    /// When that was.
    pub at: Duration,
}

/// Pieces on their way into the file of refused ones.
#[derive(Debug)]
struct Aside {
    upto: u64,
    words: String,
}

/// Pieces that the server has though those before them are not settled.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    from: u64,
    upto: u64,
    pieces: u32,
}

/// What an answer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Whether the server answered at all; `None` if it was not asked.
    pub reachable: Option<bool>,
    /// The number of the post, if the server took it and it had pieces in it.
    pub took: Option<u64>,
    /// How long after it was handed out, if the server answered.
    pub after: Option<Duration>,
    /// The run's status says something else now.
    pub news: bool,
}

#[derive(Debug)]
pub struct Delivery {
    pub id: PostId,
    workspace: Arc<str>,
    envelope: Arc<Envelope>,
    /// Journal offset before which everything is settled.
    cursor: u64,
    /// How many pieces that is.
    settled: u64,
    /// What had to be repaired of what the server took.
    repairs: Repairs,
    flying: Option<Flight>,
    /// Pieces in the next body at most, and bytes; a 413 makes the latter smaller for good.
    pieces_max: u32,
    bytes_max: u64,
    search: Search,
    blame: Blame,
    ahead: Option<Ahead>,
    aside: Option<Aside>,
    closed: bool,
    /// Tries to read the journal that failed.
    unread: u32,
    patience: Patience,
    refusals: Refusals,
    /// The journal does not know yet how far this is.
    pub note_is_due: bool,
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
    /// `settled` is what an agent before this one knew, if there was one.
    pub fn new(id: PostId, workspace: Arc<str>, envelope: Arc<Envelope>, settled: Settled) -> Delivery {
        Delivery {
            id,
            workspace,
            envelope,
            cursor: settled.upto,
            settled: settled.pieces,
            repairs: settled.repairs,
            flying: None,
            pieces_max: PIECES_MAX,
            bytes_max: BYTES_MAX,
            search: Search::Idle,
            blame: Blame::default(),
            ahead: None,
            aside: None,
            closed: settled.closed,
            unread: 0,
            patience: Patience::new(Duration::from_secs(settled.waited_s)),
            refusals: Refusals { pieces: settled.refused, first: settled.first, barred: settled.barred },
            note_is_due: false,
        }
    }

    /// What the journal has to know of it.
    pub fn note(&self, now: Duration) -> Settled {
        Settled {
            workspace: self.id.workspace,
            upto: self.cursor,
            pieces: self.settled,
            repairs: self.repairs.clone(),
            refused: self.refusals.pieces,
            first: self.refusals.first.clone(),
            barred: self.refusals.barred.clone(),
            closed: self.closed,
            waited_s: self.patience.waited(now).as_secs(),
        }
    }

    pub fn workspace(&self) -> &Arc<str> {
        &self.workspace
    }

    /// The workspace's name as a person may see it: the server chose it, and it may hold anything.
    pub fn shown_workspace(&self) -> String {
        excerpt(&self.workspace, 80)
    }

    /// Everything before this offset is settled.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// How many pieces are settled.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    pub fn repairs(&self) -> &Repairs {
        &self.repairs
    }

    /// Whether nothing of what the journal holds is left to post, nor an end to tell.
    pub fn is_done(&self, journal: &Journal) -> bool {
        let is_settled = self.cursor >= journal.pieces_end() && self.aside.is_none();
        self.closed || self.is_unreadable() || (self.refusals.barred.is_some() && is_settled)
    }

    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Why the server has not taken what waits, if that was asked already.
    pub fn trouble_words(&self) -> Option<&str> {
        self.patience.trouble().map(|trouble| trouble.words.as_str())
    }

    /// Whether somebody has to do something on the server.
    pub fn wants_person(&self) -> bool {
        self.patience.trouble().is_some_and(|trouble| trouble.wants_person)
    }

    /// Whether it ended because of the journal and not of the server.
    pub fn is_unreadable(&self) -> bool {
        self.unread > READS_MAX
    }

    /// The next try need not wait, and the one after it not long.
    pub fn hurry(&mut self, agenda: &mut Agenda) {
        self.patience.hurry();
        agenda.timers.clear(Timer::Post(self.id));
    }

    /// Whether it waits because the last post got no answer at all.
    pub fn is_unreached(&self) -> bool {
        self.patience.trouble().is_some_and(|trouble| trouble.unreached)
    }

    /// Whether there is something for a worker to do.
    pub fn has_post(&self, journal: &Journal, has_ended: bool) -> bool {
        self.next(journal, has_ended).is_some()
    }

    /// What comes next, and with which pieces.
    fn next(&self, journal: &Journal, has_ended: bool) -> Option<(Kind, Range)> {
        if self.flying.is_some() || self.closed || self.is_unreadable() {
            return None;
        }
        let none = Range { segment: self.cursor, from: self.cursor, upto: self.cursor };
        let pieces = journal.range(self.cursor).map(|range| match self.ahead {
            Some(ahead) if range.from < ahead.from => Range { upto: range.upto.min(ahead.from), ..range },
            _ => range,
        });
        if let Some(aside) = &self.aside {
            let range = pieces?;
            return Some((Kind::SetAside, Range { upto: range.upto.min(aside.upto), ..range }));
        }
        match (&self.search, pieces) {
            (Search::Probing { .. }, _) => Some((Kind::Probe, none)),
            (Search::Beyond { from }, _) => match journal.range(*from) {
                Some(beyond) => Some((Kind::Beyond, beyond)),
                None => Some((Kind::Probe, none)),
            },
            (_, Some(range)) if self.refusals.barred.is_some() => Some((Kind::SetAside, range)),
            (_, Some(range)) => Some((Kind::Pieces, range)),
            (_, None) if has_ended && self.refusals.barred.is_none() => Some((Kind::Closing, none)),
            (_, None) => None,
        }
    }

    /// The next thing for a worker: pieces of the journal, or the closing post once `took` says how long the run took.
    pub fn next_post(
        &mut self,
        journal: &Journal,
        took: Option<Duration>,
        sending: Sending,
        agenda: &Agenda,
    ) -> Option<Action> {
        let (kind, range) = self.next(journal, took.is_some())?;
        self.flying = Some(Flight { kind, sending });
        if kind == Kind::SetAside {
            return Some(Action::SetAside(self.set_aside(range, agenda)));
        }
        let pieces_max = match self.search {
            Search::Narrowing { suspects } => (suspects / 2).max(1),
            Search::Beyond { .. } => 1,
            _ => self.pieces_max,
        };
        Some(Action::Post(Post {
            id: self.id,
            workspace: self.workspace.clone(),
            envelope: self.envelope.clone(),
            range,
            pieces_max,
            bytes_max: self.bytes_max,
            duration: took.filter(|_| kind == Kind::Closing),
        }))
    }

    fn set_aside(&self, range: Range, agenda: &Agenda) -> SetAside {
        let words = match (&self.aside, &self.refusals.barred) {
            (Some(aside), _) => aside.words.clone(),
            (None, barred) => barred.clone().unwrap_or_default(),
        };
        SetAside {
            id: self.id,
            workspace: self.workspace.clone(),
            envelope: self.envelope.clone(),
            range,
            words,
            utc: agenda.now.utc,
        }
    }

    /// A worker is done. `sent` is the number of the newest post that was sent, of any delivery.
    pub fn on_posted(&mut self, posted: Posted, journal: &Journal, sent: u64, agenda: &mut Agenda) -> Answered {
        let Some(Flight { kind, sending }) = self.flying.take() else {
            debug_assert!(false, "an answer to no post");
            return Answered { reachable: None, took: None, after: None, news: false };
        };
        let (had_trouble, settled) = (self.wants_person(), (self.cursor, self.closed, self.refusals.barred.is_some()));
        // What others are answered says nothing of the piece that waits.
        let is_aside = kind == Kind::Beyond || (kind == Kind::Probe && matches!(self.search, Search::Beyond { .. }));
        if posted.pieces > 0 {
            self.unread = 0;
        }
        let mut took = None;
        let reachable = posted.outcome.reached_server();
        let trouble = match posted.outcome {
            Outcome::Answer { status: 201, .. } => {
                took = (posted.pieces > 0).then_some(sending.number);
                self.repairs.add(&posted.repairs);
                self.on_taken(kind, posted.upto, posted.pieces);
                None
            }
            Outcome::Answer { status: 413, .. } if posted.pieces > 1 => {
                self.bytes_max = ((posted.upto - self.cursor) / 2).min(self.bytes_max / 2).max(HEADER_BYTES as u64);
                None
            }
            Outcome::Answer { status: status @ (400 | 413), words, .. } => {
                self.on_refused(kind, posted.upto, posted.pieces, format!("{status}: {words}"));
                None
            }
            Outcome::Answer { status, words, retry_after } => {
                let trouble = Trouble::answered(status, &words);
                let is_settled = status >= 500
                    && self.on_server_error(kind, posted.upto, posted.pieces, &trouble, (sending.passed, sent));
                (!is_settled).then_some((trouble, retry_after.unwrap_or_default()))
            }
            Outcome::NoAnswer { words } => Some((Trouble::unreached(words), Duration::ZERO)),
            Outcome::Unreadable { words } => self.on_unreadable(words).map(|trouble| (trouble, Duration::ZERO)),
            Outcome::SetAside => {
                self.on_set_aside(posted.upto, posted.pieces);
                None
            }
            Outcome::Hindered { words } => Some((Trouble::own(words), Duration::ZERO)),
        };
        let is_other = match trouble {
            Some((trouble, retry_after)) => self.wait(kind, trouble, retry_after, journal, agenda),
            None if is_aside => false,
            None => self.go_on(),
        };
        self.note_is_due |= settled != (self.cursor, self.closed, self.refusals.barred.is_some());
        let after = (reachable == Some(true)).then(|| agenda.now.up.saturating_sub(sending.at));
        Answered { reachable, took, after, news: is_other && (had_trouble || self.wants_person()) }
    }

    fn go_on(&mut self) -> bool {
        let over = self.patience.reset();
        if over.is_some() {
            log::info!("{self}: the server answers again");
        }
        over.is_some()
    }

    fn on_taken(&mut self, kind: Kind, upto: u64, pieces: u32) {
        match kind {
            Kind::Closing => self.closed = true,
            Kind::Probe => match std::mem::replace(&mut self.search, Search::Idle) {
                Search::Probing { suspects: 1, upto, words } => self.refuse(upto, words),
                Search::Probing { suspects, .. } => {
                    // What has passed before this search says nothing of what it may find.
                    self.blame = Blame::default();
                    self.search = Search::Narrowing { suspects };
                }
                Search::Beyond { .. } => {
                    self.blame.on_probe_taken();
                    self.search = Search::Narrowing { suspects: 1 };
                }
                _ => debug_assert!(false, "a probe without a question"),
            },
            Kind::Beyond => self.on_taken_ahead(upto, pieces),
            Kind::Pieces => {
                debug_assert!(upto > self.cursor);
                self.blame.clear();
                self.settle(upto, pieces);
                self.pieces_max = (self.pieces_max * 2).min(PIECES_MAX);
                match &mut self.search {
                    Search::Narrowing { suspects } if *suspects > pieces => *suspects -= pieces,
                    _ => self.search = Search::Idle,
                }
            }
            Kind::SetAside => debug_assert!(false, "no server was asked"),
        }
    }

    /// What it says of the piece before it, that one's next try shows.
    fn on_taken_ahead(&mut self, upto: u64, pieces: u32) {
        let Search::Beyond { from } = std::mem::replace(&mut self.search, Search::Narrowing { suspects: 1 }) else {
            debug_assert!(false, "nothing was under suspicion");
            return;
        };
        self.ahead = match self.ahead {
            Some(ahead) if ahead.upto == from => Some(Ahead { upto, pieces: ahead.pieces + pieces, ..ahead }),
            // What is forgotten is sent twice, which does no harm.
            _ => Some(Ahead { from, upto, pieces }),
        };
    }

    fn settle(&mut self, upto: u64, pieces: u32) {
        self.cursor = upto;
        self.settled += u64::from(pieces);
        if let Some(ahead) = self.ahead.take_if(|ahead| ahead.from <= upto) {
            self.cursor = ahead.upto.max(upto);
            self.settled += u64::from(ahead.pieces);
        }
    }

    /// Whether the trouble is another one than before.
    fn wait(
        &mut self,
        kind: Kind,
        trouble: Trouble,
        retry_after: Duration,
        journal: &Journal,
        agenda: &mut Agenda,
    ) -> bool {
        let words = trouble.words.clone();
        let news = self.patience.wait(trouble, retry_after, Timer::Post(self.id), agenda);
        match news {
            Some(_) => log::warn!("{self}: {words}; kept, and tried again until the server takes it"),
            None => log::debug!("{self}: {words}; still waiting"),
        }
        self.note_is_due |= self.patience.is_note_due(agenda.now.up);
        if self.patience.waited(agenda.now.up) >= agenda.retry_max && kind != Kind::SetAside {
            self.lose_patience(kind, words, journal);
            self.hurry(agenda);
        }
        news.is_some()
    }

    /// `retry_days` are over.
    fn lose_patience(&mut self, kind: Kind, words: String, journal: &Journal) {
        let words = format!("given up after agent.retry_days: {words}");
        log::error!("{self}: {words}");
        self.patience.reset();
        self.search = Search::Idle;
        match kind {
            Kind::Closing => self.closed = true,
            _ => self.aside = Some(Aside { upto: journal.pieces_end(), words }),
        }
        self.note_is_due = true;
    }
}

impl std::fmt::Display for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "run {}: workspace {}", self.id.run, self.shown_workspace())
    }
}
