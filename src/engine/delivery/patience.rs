//! How long a delivery has been kept waiting, why, and when it tries again. Knows statuses of HTTP and no bodies.

use std::time::Duration;

use crate::engine::agenda::Agenda;
use crate::engine::backoff::Backoff;
use crate::engine::timers::Timer;

const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// For what a person has to change on the server.
const SLOW_FIRST: Duration = Duration::from_secs(5);
const SLOW_MAX: Duration = Duration::from_secs(300);
/// A server that asks for more by `Retry-After` is asked again after this all the same.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);
/// The journal is told how long it has been after each of these.
const NOTE_EVERY: Duration = Duration::from_secs(600);

/// Why there is no yes and no no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub words: String,
    /// Somebody has to change something on the server, and the run's status says what.
    pub wants_person: bool,
    /// Nobody answered at all.
    pub unreached: bool,
}

impl Trouble {
    /// A status that neither takes nor refuses a body.
    pub fn answered(status: u16, words: &str) -> Trouble {
        let words = format!("{status}: {words}{}", advice(status));
        Trouble { words, wants_person: matches!(status, 401 | 403 | 404), unreached: false }
    }

    pub fn unreached(words: String) -> Trouble {
        Trouble { words, wants_person: false, unreached: true }
    }

    /// Of the agent's own disk.
    pub fn own(words: String) -> Trouble {
        Trouble { words, wants_person: false, unreached: false }
    }
}

#[derive(Debug)]
pub struct Patience {
    backoff: Backoff,
    slow: Backoff,
    trouble: Option<Trouble>,
    /// When the trouble began.
    since: Duration,
    /// How long it had lasted when an agent before this one ended.
    earlier: Duration,
    /// What the journal knows of it.
    noted: Duration,
}

impl Patience {
    pub fn new(earlier: Duration) -> Patience {
        Patience {
            backoff: Backoff::new(RETRY_FIRST, RETRY_MAX),
            slow: Backoff::new(SLOW_FIRST, SLOW_MAX),
            trouble: None,
            since: Duration::ZERO,
            earlier,
            noted: earlier,
        }
    }

    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// How long the server has taken nothing; agents that were not there do not count.
    pub fn waited(&self, now: Duration) -> Duration {
        match self.trouble {
            Some(_) => self.earlier + now.saturating_sub(self.since),
            None => self.earlier,
        }
    }

    /// Whether the journal has to be told how long it has been.
    pub fn is_note_due(&mut self, now: Duration) -> bool {
        let waited = self.waited(now);
        let is_due = waited >= self.noted + NOTE_EVERY;
        if is_due {
            self.noted = waited;
        }
        is_due
    }

    /// Sets `timer` to the next try. Gives the pause if the trouble is another one than before.
    pub fn wait(
        &mut self,
        trouble: Trouble,
        retry_after: Duration,
        timer: Timer,
        agenda: &mut Agenda,
    ) -> Option<Duration> {
        let backoff = if trouble.wants_person { &mut self.slow } else { &mut self.backoff };
        let pause = agenda.back_off(backoff, retry_after.min(RETRY_AFTER_MAX), timer);
        if self.trouble.is_none() {
            self.since = agenda.now.up;
        }
        let is_news = self.trouble.as_ref() != Some(&trouble);
        self.trouble = Some(trouble);
        is_news.then_some(pause)
    }

    /// The next try need not wait, and the one after it not long.
    pub fn hurry(&mut self) {
        self.backoff.reset();
        self.slow.reset();
    }

    /// The server has said yes or no. Gives the trouble that is over.
    pub fn reset(&mut self) -> Option<Trouble> {
        self.hurry();
        (self.earlier, self.noted) = (Duration::ZERO, Duration::ZERO);
        self.trouble.take()
    }
}

/// What a person can do about a status that neither takes nor refuses a body. Source: bulk-create.md 1.
fn advice(status: u16) -> &'static str {
    match status {
        401 | 404 => " (the workspace does not exist or is switched off: create it or switch it on)",
        403 => " (the workspace is read-only or switched off, or this agent was deleted: change that on the server)",
        300..=399 => " (a redirect: check server.host, server.ssl and server.base_route)",
        200..=299 => " (not the answer of a Faraday server: check server.host and server.base_route)",
        _ => "",
    }
}
