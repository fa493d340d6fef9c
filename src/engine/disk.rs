//! The disk that all journals share: which of them have something to write or to sync, how much they hold together, and why
//! nothing can be written at present. It asks for nothing itself but timers; the engine (`writing.rs`) drives it.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

use super::event::RunId;
use super::timers::{Timer, Timers};

/// A disk that took nothing is tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The largest file of a journal, unless all journals together may not hold much more.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// What the pieces of a run may take of all the room at most before its journal begins a next file.
const SEGMENT_SHARE: u64 = 16;

/// What the configuration says of journals.
#[derive(Clone, Copy, Debug)]
pub struct DiskLimits {
    /// All journals together.
    pub bytes_max: u64,
    /// From a write to its sync; zero is at once.
    pub sync_after: Duration,
}

/// Why executors' output cannot be taken.
#[derive(Clone, Debug)]
enum Obstacle {
    /// `bytes_max` is reached. Notes are written all the same: without them nothing would be freed.
    NoRoom(String),
    /// The system says no.
    Failing(String),
}

#[derive(Debug)]
pub struct Disk {
    limits: DiskLimits,
    /// Of all journals.
    bytes: u64,
    obstacle: Option<Obstacle>,
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
            obstacle: None,
            unwritten: BTreeSet::new(),
            tried: RunId(0),
            unsynced: BTreeSet::new(),
            syncing: None,
            spent: 0,
            spent_syncing: 0,
            sync_trouble: None,
        }
    }

    pub fn segment_bytes_max(&self) -> u64 {
        (self.limits.bytes_max / SEGMENT_SHARE).min(SEGMENT_BYTES_MAX)
    }

    /// Why nothing is read from executors, in words.
    pub fn obstacle(&self) -> Option<&str> {
        self.obstacle.as_ref().map(|obstacle| match obstacle {
            Obstacle::NoRoom(words) | Obstacle::Failing(words) => words.as_str(),
        })
    }

    /// Whether pieces have to wait until journals have been delivered.
    pub fn lacks_room(&self) -> bool {
        matches!(self.obstacle, Some(Obstacle::NoRoom(_)))
    }

    pub fn is_failing(&self) -> bool {
        matches!(self.obstacle, Some(Obstacle::Failing(_)))
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
            None => self.obstacle = None,
        }
        self.unwritten.retain(|run| !due.contains(run));
        due
    }

    pub fn on_written(&mut self, run: RunId, bytes: u64) {
        self.bytes += bytes;
        self.unsynced.insert(run);
        if self.is_failing() {
            log::info!("the journals take data again");
            self.obstacle = None;
        }
        self.look_for_room();
    }

    /// Bytes that an earlier agent left.
    pub fn on_found(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.look_for_room();
    }

    /// Files of so many bytes are not needed any more; they go when what is behind them is on disk.
    pub fn on_spent(&mut self, bytes: u64) {
        self.spent += bytes;
    }

    fn on_freed(&mut self, bytes: u64) {
        self.bytes -= bytes;
        self.look_for_room();
    }

    /// The system took nothing.
    pub fn on_failure(&mut self, run: RunId, words: String) {
        self.unwritten.insert(run);
        if !self.is_failing() {
            log::error!("the journals cannot be written: {words}; nothing is read from executors until they can");
        }
        self.obstacle = Some(Obstacle::Failing(words));
    }

    /// Room counts as found only when an eighth of it is free: a run that is paused and resumed in turns tells the server of it
    /// each time.
    fn look_for_room(&mut self) {
        let bytes_max = self.limits.bytes_max;
        match self.obstacle {
            None if self.bytes >= bytes_max => {
                let words = format!(
                    "the journals hold {} MiB that the server has not taken yet, as much as agent.journal_bytes_max allows",
                    bytes_max >> 20
                );
                log::error!("{words}; nothing is read from executors until the server takes more");
                self.obstacle = Some(Obstacle::NoRoom(words));
            }
            Some(Obstacle::NoRoom(_)) if self.bytes < bytes_max - bytes_max / 8 => {
                log::info!("the journals have room again");
                self.obstacle = None;
            }
            _ => {}
        }
    }

    /// Sets the timers that what has happened asks for.
    pub fn set_timers(&mut self, now: Duration, timers: &mut Timers) {
        if self.obstacle.is_some() {
            timers.hasten(Timer::Disk, now + RETRY_AFTER);
        } else if !self.unwritten.is_empty() {
            timers.hasten(Timer::Write, now);
        }
        if self.syncing.is_none() && (self.spent > 0 || !self.unsynced.is_empty()) {
            let pause = match (&self.sync_trouble, &self.obstacle) {
                (Some(_), _) => RETRY_AFTER,
                // Somebody waits for the room, or will before long.
                (None, Some(_)) if self.spent > 0 => Duration::ZERO,
                (None, None) if self.spent >= self.segment_bytes_max() => Duration::ZERO,
                (None, _) => self.limits.sync_after,
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
