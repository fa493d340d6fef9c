//! The disk that all journals share: which of them have something to write or to sync, how much they hold together and one of
//! them may hold, and why nothing can be written at present. It asks for nothing itself but timers; the engine (`writing.rs`)
//! drives it.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

use super::event::RunId;
use super::timers::{Timer, Timers};

/// A disk that took nothing is tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The largest file of a journal, unless all journals together may not hold much more.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// A journal begins a next file after this part of all the room at most.
const SEGMENT_SHARE: u64 = 16;
/// So many files fit into what one run may hold, so that what is delivered leaves the disk long before the run has to wait.
const SEGMENTS_HELD: u64 = 4;
/// A file that is worth its head; smaller ones there are only where all the room is small.
const SEGMENT_BYTES_MIN: u64 = 256 << 10;

/// What the configuration says of journals.
#[derive(Clone, Copy, Debug)]
pub struct DiskLimits {
    /// All journals together.
    pub bytes_max: u64,
    /// From a write to its sync; zero is at once.
    pub sync_after: Duration,
}

#[derive(Debug)]
pub struct Disk {
    limits: DiskLimits,
    /// Of all journals.
    bytes: u64,
    /// How many executors print, or are about to.
    writers: u64,
    /// How many of them wait because they hold their share.
    crowded: usize,
    /// There is more room than when this was asked last.
    has_grown: bool,
    /// Why the system takes nothing.
    failure: Option<String>,
    unwritten: BTreeSet<RunId>,
    /// Who was the last to try a disk that fails.
    tried: RunId,
    unsynced: BTreeSet<RunId>,
    /// Those whose writes are being brought to the disk.
    syncing: Option<Vec<RunId>>,
    /// Bytes of files that go with the next sync, and with the one that is under way.
    spent: u64,
    spent_syncing: u64,
    /// Why the last sync came to nothing.
    sync_trouble: Option<String>,
}

impl Disk {
    pub fn new(limits: DiskLimits) -> Disk {
        Disk {
            limits,
            bytes: 0,
            writers: 0,
            crowded: 0,
            has_grown: false,
            failure: None,
            unwritten: BTreeSet::new(),
            tried: RunId(0),
            unsynced: BTreeSet::new(),
            syncing: None,
            spent: 0,
            spent_syncing: 0,
            sync_trouble: None,
        }
    }

    /// How large a file may get before a next one begins.
    pub fn segment_bytes_max(&self) -> u64 {
        let most = (self.limits.bytes_max / SEGMENT_SHARE).min(SEGMENT_BYTES_MAX);
        (self.share_bytes() / SEGMENTS_HELD).clamp(most.min(SEGMENT_BYTES_MIN), most)
    }

    /// What the journal of one run may hold before its executor has to wait: an equal part of what is still free. What is free
    /// is never used up by those who write, so there is room for whoever comes later.
    fn share_bytes(&self) -> u64 {
        self.limits.bytes_max.saturating_sub(self.bytes) / self.writers.max(1)
    }

    /// Whether a journal that holds so many bytes holds its share. One that did has to come down by an eighth, because the
    /// server is told each time.
    pub fn is_share(&self, bytes: u64, was_share: bool) -> bool {
        let share = self.share_bytes();
        bytes >= if was_share { share - share / 8 } else { share }
    }

    /// Whether there is any room for one more run.
    pub fn has_room(&self) -> bool {
        self.bytes < self.limits.bytes_max
    }

    /// So many executors print, or are about to.
    pub fn on_writers(&mut self, writers: usize) {
        self.has_grown |= (writers as u64) < self.writers;
        self.writers = writers as u64;
    }

    /// One more executor waits for room, or one less.
    pub fn on_crowded(&mut self, is_crowded: bool) {
        match is_crowded {
            true => self.crowded += 1,
            false => self.crowded -= 1,
        }
    }

    /// Whether there is more room than when this was asked last.
    pub fn take_growth(&mut self) -> bool {
        std::mem::take(&mut self.has_grown)
    }

    /// Whether anybody waits because his journal holds its share.
    pub fn is_crowded(&self) -> bool {
        self.crowded > 0
    }

    /// Why the system takes nothing.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    pub fn is_failing(&self) -> bool {
        self.failure.is_some()
    }

    /// The run has something to write: at the end of the turn.
    pub fn want(&mut self, run: RunId, now: Duration, timers: &mut Timers) {
        self.unwritten.insert(run);
        if !self.is_failing() {
            timers.hasten(Timer::Write, now);
        }
    }

    /// Whose turn it is to write: everybody's; or, if it is to learn whether the disk works again, that of those who make room
    /// by it, or else one's, each time another's.
    pub fn take_unwritten(&mut self, makes_room: impl Fn(RunId) -> bool) -> Vec<RunId> {
        if !self.is_failing() {
            return std::mem::take(&mut self.unwritten).into_iter().collect();
        }
        let mut due: Vec<RunId> = self.unwritten.extract_if(.., |run| makes_room(*run)).collect();
        if due.is_empty() {
            let next = self.unwritten.range((Bound::Excluded(self.tried), Bound::Unbounded)).next();
            due.extend(next.or(self.unwritten.first()).copied());
        }
        match due.last() {
            Some(&last) => self.tried = last,
            // Nobody is left who could find out.
            None => self.failure = None,
        }
        self.unwritten.retain(|run| !due.contains(run));
        due
    }

    pub fn on_written(&mut self, run: RunId, bytes: u64) {
        self.bytes += bytes;
        self.unsynced.insert(run);
        if self.failure.take().is_some() {
            log::info!("the journals take data again");
        }
    }

    /// Bytes that an earlier agent left.
    pub fn on_found(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Files of so many bytes are not needed any more; they go when what is behind them is on disk.
    pub fn on_spent(&mut self, bytes: u64) {
        self.spent += bytes;
    }

    fn on_freed(&mut self, bytes: u64) {
        self.bytes -= bytes;
        self.has_grown |= bytes > 0;
    }

    /// The system took nothing.
    pub fn on_failure(&mut self, run: RunId, words: String) {
        self.unwritten.insert(run);
        if !self.is_failing() {
            log::error!("the journals cannot be written: {words}; nothing is read from executors until they can");
        }
        self.failure = Some(words);
    }

    /// Sets the timers that what has happened asks for.
    pub fn set_timers(&mut self, now: Duration, timers: &mut Timers) {
        if self.is_failing() {
            timers.hasten(Timer::Disk, now + RETRY_AFTER);
        } else if !self.unwritten.is_empty() {
            timers.hasten(Timer::Write, now);
        }
        if self.syncing.is_none() && (self.spent > 0 || !self.unsynced.is_empty()) {
            // Somebody waits for the room, or will before long.
            let is_wanted = self.spent > 0
                && (self.is_failing()
                    || self.is_crowded()
                    || !self.has_room()
                    || self.spent >= self.segment_bytes_max());
            let pause = match &self.sync_trouble {
                Some(_) => RETRY_AFTER,
                None if is_wanted => Duration::ZERO,
                None => self.limits.sync_after,
            };
            timers.hasten(Timer::Sync, now + pause);
        }
    }

    /// The journals whose last writes may not be on disk yet; none while others are being synced.
    pub fn take_unsynced(&mut self) -> Option<Vec<RunId>> {
        if self.syncing.is_some() || (self.unsynced.is_empty() && self.spent == 0) {
            return None;
        }
        let runs: Vec<RunId> = std::mem::take(&mut self.unsynced).into_iter().collect();
        self.spent_syncing = std::mem::take(&mut self.spent);
        self.syncing = Some(runs.clone());
        Some(runs)
    }

    pub fn on_synced(&mut self, result: Result<(), String>) {
        let runs = self.syncing.take().unwrap_or_default();
        let trouble = result.err();
        match &trouble {
            Some(words) if self.sync_trouble.is_none() => log::error!(
                "the journals cannot be brought to the disk: {words}; a power cut now may cost what was read since; tried \
                 again every second"
            ),
            None if self.sync_trouble.is_some() => log::info!("the journals are on the disk again"),
            _ => {}
        }
        let spent = std::mem::take(&mut self.spent_syncing);
        if trouble.is_some() {
            self.unsynced.extend(runs);
            self.spent += spent;
        } else {
            self.on_freed(spent);
        }
        self.sync_trouble = trouble;
    }

    pub fn forget(&mut self, run: RunId, bytes: u64) {
        self.unwritten.remove(&run);
        self.unsynced.remove(&run);
        if let Some(syncing) = &mut self.syncing {
            syncing.retain(|other| *other != run);
        }
        self.on_freed(bytes);
    }
}
