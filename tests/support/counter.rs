//! Counts hosts in bodies without making trees of them: for benches, at memory speed.
//! A host is `"ip":"N"` (or with one blank after the colon); N, when it is a number, is its id, so that losses and
//! repeats show.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use memchr::memmem::Finder;

pub struct Counter {
    finder: Finder<'static>,
    counts: Mutex<Counts>,
}

#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub bodies: u64,
    pub bytes: u64,
    /// Hosts seen, repeats included.
    pub hosts: u64,
    /// Hosts whose id had been seen before.
    pub repeats: u64,
    /// When the first and the last body with a host were there.
    pub first: Option<Instant>,
    pub last: Option<Instant>,
    seen: Seen,
}

/// One bit for each id.
#[derive(Clone, Default)]
struct Seen(Vec<u64>);

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ids", self.count())
    }
}

impl Seen {
    /// Ids above this are counted as hosts only; the map takes 32 MiB at most.
    const ID_MAX: u64 = 1 << 28;

    /// True when the id is new.
    fn insert(&mut self, id: u64) -> bool {
        let (word, bit) = ((id / 64) as usize, 1 << (id % 64));
        if word >= self.0.len() {
            self.0.resize((word + 1).next_power_of_two(), 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    fn contains(&self, id: u64) -> bool {
        self.0.get((id / 64) as usize).is_some_and(|word| word & (1 << (id % 64)) != 0)
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

impl Counts {
    /// How many different ids were seen.
    pub fn ids(&self) -> u64 {
        self.seen.count()
    }

    /// The ids of `range` that were never seen.
    pub fn missing(&self, range: std::ops::Range<u64>) -> Vec<u64> {
        range.filter(|id| !self.seen.contains(*id)).collect()
    }
}

impl Default for Counter {
    fn default() -> Counter {
        Counter { finder: Finder::new(b"\"ip\":"), counts: Mutex::default() }
    }
}

impl Counter {
    pub fn count(&self, body: &[u8], at: Instant) {
        // Looked through without the lock, so that connections do not wait for each other.
        let mut hosts = 0;
        let mut ids = Vec::with_capacity(body.len() / 256);
        for found in self.finder.find_iter(body) {
            hosts += 1;
            ids.extend(id_at(&body[found + self.finder.needle().len()..]));
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.bodies += 1;
        counts.bytes += body.len() as u64;
        counts.hosts += hosts;
        let repeats = ids.into_iter().filter(|id| !counts.seen.insert(*id)).count();
        counts.repeats += repeats as u64;
        if hosts > 0 {
            counts.first.get_or_insert(at);
            counts.last = Some(at);
        }
    }

    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn hosts(&self) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).hosts
    }
}

/// The number in quotes at the start of `bytes`.
fn id_at(bytes: &[u8]) -> Option<u64> {
    let bytes = bytes.strip_prefix(b" ").unwrap_or(bytes).strip_prefix(b"\"")?;
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = (1..=9).contains(&digits) && bytes.get(digits) == Some(&b'"');
    let id = bytes[..digits].iter().fold(0, |id, b| id * 10 + u64::from(b - b'0'));
    (whole && id <= Seen::ID_MAX).then_some(id)
}
