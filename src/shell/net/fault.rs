//! The one error of this layer: what kind of failure it is, for the caller, and what to say about it, for the person who
//! has only the log. It never holds a token.

use std::fmt;

/// What the caller can do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// May pass without anybody's help in this agent's configuration: try again later.
    Transient,
    /// This agent's configuration does not fit the server. Fatal before the first success; afterwards it was the server
    /// that changed, perhaps for a while.
    Setup,
    /// The server refuses this agent, or there is nothing to present to it: only a person can help.
    Refused,
}

/// A failure between this agent and its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    /// Status of the HTTP answer, if it was an answer that failed.
    pub status: Option<u16>,
    /// One line: what failed, why, what to do.
    pub words: String,
}

impl Fault {
    /// See [`Kind::Transient`].
    pub fn transient(words: impl Into<String>) -> Fault {
        Fault::new(Kind::Transient, words)
    }

    /// See [`Kind::Setup`].
    pub fn setup(words: impl Into<String>) -> Fault {
        Fault::new(Kind::Setup, words)
    }

    /// See [`Kind::Refused`].
    pub fn refused(words: impl Into<String>) -> Fault {
        Fault::new(Kind::Refused, words)
    }

    fn new(kind: Kind, words: impl Into<String>) -> Fault {
        Fault { kind, status: None, words: words.into() }
    }

    /// The same fault, known to come from an answer with this status.
    pub fn with_status(self, status: u16) -> Fault {
        Fault { status: Some(status), ..self }
    }

    /// True where trying again is of no use: the agent ends with exit code 1.
    pub fn is_fatal(&self) -> bool {
        self.kind != Kind::Transient
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Fault {}
