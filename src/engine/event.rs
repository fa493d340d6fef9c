//! The two closed vocabularies of the engine: what may happen to it and what it may ask for.
//! Nothing here acts; the shell translates one into system calls and system calls into the other.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::settings::Secret;
use crate::proto::bulk::Envelope;
use crate::proto::channel::Protocol;
use crate::proto::repair::Repairs;

use super::note::Group;

/// The time at which something happened, told by the shell because the engine has no clock.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Monotonic, since the agent started; all deadlines are on this scale.
    pub up: Duration,
    /// Wall clock, for what people read; it may jump.
    pub utc: SystemTime,
}

/// Names a run, and its journal's file, for as long as the state directory lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One workspace of one run: the place in the run's list of workspaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostId {
    pub run: RunId,
    pub workspace: usize,
}

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// `Action::Connect` came to an end well: the websocket stands, nothing has been said on it.
    Connected {
        protocol: Protocol,
        /// For the join; good for 60 s.
        token: Secret,
    },
    ConnectFailed(Failure),
    /// `Action::FetchToken` came to an end well.
    TokenFetched(Secret),
    TokenFailed(Failure),
    /// A text frame of the server.
    Frame(&'a str),
    /// The answer to `Action::Ping` of the same number.
    Pong(u32),
    /// The websocket is gone; `close_reason` is what the server's Close frame said, if one came.
    LinkLost {
        words: String,
        close_reason: Option<String>,
    },

    Started {
        run: RunId,
        group: Group,
    },
    StartFailed {
        run: RunId,
        words: String,
        /// The machine has too little of something at present: files, processes, memory.
        passing: bool,
    },
    Output {
        run: RunId,
        bytes: &'a [u8],
    },
    OutputEnded {
        run: RunId,
    },
    Complaint {
        run: RunId,
        bytes: &'a [u8],
    },
    ComplaintsEnded {
        run: RunId,
    },
    /// The child itself has ended; its pipes may live on in other hands.
    Exited {
        run: RunId,
        exit: Exit,
    },

    /// `Action::Append` was carried out, or not; then its bytes are needed again.
    Journaled {
        run: RunId,
        bytes: Vec<u8>,
        /// Why nothing was written.
        result: Result<(), String>,
    },
    /// `Action::Sync` was carried out, or why it was not.
    Synced {
        result: Result<(), String>,
    },
    /// What came of `Action::Post` or `Action::SetAside`.
    Posted(Posted),

    /// SIGTERM or SIGINT.
    Stop {
        signal: &'static str,
    },
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub words: String,
    /// The server has said no: trying again would only be told the same.
    pub fatal: bool,
}

/// Stands for all signals that have no name.
pub const REAL_TIME_SIGNAL: i32 = 34;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

/// What came of an `Action::Post` or an `Action::SetAside`.
#[derive(Debug)]
pub struct Posted {
    pub id: PostId,
    /// Journal offset behind the last piece that was in it.
    pub upto: u64,
    /// How many pieces were in it.
    pub pieces: u32,
    /// What had to be repaired of them before they were sent.
    pub repairs: Repairs,
    pub outcome: Outcome,
}

#[derive(Debug)]
pub enum Outcome {
    /// The server answered; `words` is its answer's text for a reader.
    Answer { status: u16, words: String, retry_after: Option<Duration> },
    /// No answer: refused, cut, timed out. The body may or may not have arrived.
    NoAnswer { words: String },
    /// The journal could not be read back.
    Unreadable { words: String },
    /// `Action::SetAside` was carried out: the pieces are safe on disk.
    SetAside,
    /// The machine does not let it be done at present.
    Hindered { words: String },
}

impl Outcome {
    /// Whether the server answered; `None` if it was not asked.
    pub fn reached_server(&self) -> Option<bool> {
        match self {
            Outcome::Answer { .. } => Some(true),
            Outcome::NoAnswer { .. } => Some(false),
            Outcome::Unreadable { .. } | Outcome::SetAside | Outcome::Hindered { .. } => None,
        }
    }

    /// With other words, if there are any.
    pub fn map_words(mut self, change: impl FnOnce(&str) -> String) -> Outcome {
        match &mut self {
            Outcome::Answer { words, .. }
            | Outcome::NoAnswer { words }
            | Outcome::Unreadable { words }
            | Outcome::Hindered { words } => *words = change(words),
            Outcome::SetAside => {}
        }
        self
    }
}

/// What the shell is asked to do.
#[derive(Debug)]
pub enum Action {
    /// Reach the server, fetch a token, open the websocket.
    Connect,
    /// A fresh websocket token for another join on the same websocket.
    FetchToken,
    Send(String),
    Ping(u32),
    /// A Close frame; the link lives until the server answers it.
    Close,
    /// The end of the connection, at once; no event of it comes any more.
    Disconnect,

    Spawn(Spawn),
    /// To the run's whole process group, and to whoever left it with the run's mark.
    Kill {
        run: RunId,
        signal: Kill,
    },
    /// Stop or go on reading the run's stdout.
    Read {
        run: RunId,
        wanted: bool,
    },
    /// The child is done with: close what is left of its pipes, end what it left behind with the run's mark, reap it.
    Release {
        run: RunId,
    },

    /// A group that an agent before this one left behind.
    KillLeftover {
        run: RunId,
        group: Group,
    },

    /// To the end of the run's journal, all or nothing: into its file that begins at journal offset `segment`.
    Append {
        run: RunId,
        segment: u64,
        bytes: Vec<u8>,
    },
    /// Bring what was appended to these journals to the disk.
    Sync {
        runs: Vec<RunId>,
    },
    /// The journal's files that begin before this offset are not needed any more.
    Trim {
        run: RunId,
        before: u64,
    },
    /// The journal is not needed any more.
    Forget {
        run: RunId,
        /// It could not be read back: to be put out of the way, not removed.
        damaged: bool,
    },
    /// So many workers are to take posts.
    Workers(usize),
    Post(Post),
    SetAside(SetAside),

    /// The end of the program.
    Quit {
        code: u8,
    },
}

/// A child to start: `/bin/sh -c command`, in a process group of its own.
#[derive(Debug)]
pub struct Spawn {
    pub run: RunId,
    pub command: String,
    /// Over the agent's own environment. That of the run, which may be large.
    pub env: Arc<[(String, Secret)]>,
}

/// How to end a process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// SIGTERM, then SIGCONT for those that are stopped.
    Gently,
    /// SIGKILL.
    AtOnce,
}

/// One body for one workspace, made of a range of a run's journal.
#[derive(Clone, Debug)]
pub struct Post {
    pub id: PostId,
    pub workspace: Arc<str>,
    pub envelope: Arc<Envelope>,
    pub range: Range,
    pub pieces_max: u32,
    pub bytes_max: u64,
    /// Set in the closing post: how long the run took.
    pub duration: Option<Duration>,
}

/// A part of one file of a journal, by journal offsets; it ends with a piece or is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where the file begins.
    pub segment: u64,
    pub from: u64,
    pub upto: u64,
}

/// Pieces that cannot be delivered, for the file of refused ones.
#[derive(Clone, Debug)]
pub struct SetAside {
    pub id: PostId,
    pub workspace: Arc<str>,
    pub envelope: Arc<Envelope>,
    pub range: Range,
    /// Why, for the person who corrects them.
    pub words: String,
    pub utc: SystemTime,
}
