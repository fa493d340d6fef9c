//! The way from a refused body to the piece that it was refused for.
//!
//! A 400 speaks of a whole body. To find the piece that it means, the next body is half as large, and so on down to one piece,
//! which is set aside; then bodies grow again from one. Before a piece is blamed, an empty body shows whether the server takes
//! anything at all for this execution (it does not when the execution was deleted or belongs to another workspace).
//!
//! A 5xx may speak of the body or of the server. One that repeats for the same body is narrowed likewise; but the last piece is
//! blamed only if it goes on failing while other bodies pass in between: those of other deliveries, or those behind it, which
//! are tried for that purpose, or empty ones where there is nothing behind it.

/// A body that was answered 5xx so often in a row is made smaller …
const TRIES_FIRST: u32 = 6;
/// … and smaller again after so many.
const TRIES_NEXT: u32 = 2;
/// One piece alone is not doubted before so many.
const TRIES_ALONE: u32 = 3;
/// So often others have to pass, and the piece to fail after them, before it is blamed.
const VOTES_MIN: u32 = 3;

/// Where the search is.
#[derive(Debug, PartialEq, Eq)]
pub enum Search {
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
    /// The next piece was answered 5xx again and again. Does the one at this offset, behind it, pass?
    Beyond {
        from: u64,
    },
}

/// Answers 5xx to one and the same body.
#[derive(Debug, Default)]
pub struct Blame {
    fails: u32,
    votes: u32,
    /// One of the votes was of a body with pieces: a server whose disk is full takes empty ones.
    is_founded: bool,
    /// An empty body has passed since the last fail.
    probed: bool,
    /// The newest post that was sent, of any delivery, at the last vote, or when the search began.
    since: Option<u64>,
}

/// What a 5xx comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The same body again, later.
    Again,
    /// A smaller one.
    Smaller,
    /// The piece is bad: others pass.
    Guilty,
    /// Nobody knows yet: see whether others pass.
    Unclear,
}

impl Blame {
    /// The body of `pieces` was answered 5xx. `passed` is the newest post with pieces that the server was known to have taken
    /// when this one was sent, `sent` the newest that was sent until now. What passed while this one was under way says nothing,
    /// and neither does what was sent before the fail that it is held against: answers may be older than they arrive.
    pub fn on_fail(&mut self, pieces: u32, is_narrowing: bool, passed: u64, sent: u64) -> Judgement {
        if self.fails == 0 && !is_narrowing {
            *self = Blame::default();
        }
        self.since.get_or_insert(sent);
        self.fails += 1;
        let tries = match (pieces, is_narrowing) {
            (1, _) => TRIES_ALONE,
            (_, true) => TRIES_NEXT,
            (_, false) => TRIES_FIRST,
        };
        if self.fails < tries {
            return Judgement::Again;
        }
        if pieces > 1 {
            self.fails = 0;
            return Judgement::Smaller;
        }
        self.vote(passed, sent);
        if self.votes >= VOTES_MIN && self.is_founded { Judgement::Guilty } else { Judgement::Unclear }
    }

    fn vote(&mut self, passed: u64, sent: u64) {
        let others_passed = self.since.is_some_and(|since| passed > since);
        self.votes += u32::from(others_passed || self.probed);
        self.is_founded |= others_passed;
        self.since = Some(sent);
        self.probed = false;
    }

    /// The server took an empty body.
    pub fn on_probe_taken(&mut self) {
        self.probed = true;
    }

    /// The body was taken, or is another one now. What has passed counts as long as the search goes on.
    pub fn clear(&mut self) {
        self.fails = 0;
        self.votes = 0;
    }
}
