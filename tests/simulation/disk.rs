//! The state directory: journals as bytes, how much of each is safe from a power cut, and the lists of refused pieces. Fails when
//! it is told to.

use std::collections::BTreeMap;
use std::time::Duration;

use faraday_agent::engine::event::{Range, RunId};
use faraday_agent::engine::resume::Resumed;
use faraday_agent::frame::record::{self, DecodeError, Kind, Replay};

use super::random::Random;
use super::script::Tag;

#[derive(Debug, Default)]
pub struct Journal {
    pub bytes: Vec<u8>,
    /// How many of them survive a power cut.
    pub synced: usize,
    /// Since when some would not.
    pub unsafe_since: Option<Duration>,
}

/// A piece of a journal as a worker reads it.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub tag: Tag,
    pub bytes: usize,
}

#[derive(Debug, Default)]
pub struct Disk {
    /// Each file of each run, by where it begins.
    pub files: BTreeMap<(RunId, u64), Journal>,
    pub is_full: bool,
    pub newest: u64,
}

impl Disk {
    pub fn append(&mut self, run: RunId, segment: u64, bytes: &[u8], now: Duration) -> Result<(), String> {
        if self.is_full {
            return Err("No space left on device (os error 28)".into());
        }
        self.newest = self.newest.max(run.0);
        let file = self.files.entry((run, segment)).or_default();
        file.unsafe_since.get_or_insert(now);
        file.bytes.extend_from_slice(bytes);
        Ok(())
    }

    pub fn trim(&mut self, run: RunId, before: u64) {
        self.files.retain(|&(of, segment), _| of != run || segment >= before);
    }

    pub fn forget(&mut self, run: RunId) {
        self.files.retain(|&(of, _), _| of != run);
    }

    /// How much would be safe if a sync that begins now came to its end.
    pub fn lengths(&self, runs: &[RunId]) -> Vec<((RunId, u64), usize)> {
        let files = self.files.iter().filter(|((run, _), _)| runs.contains(run));
        files.map(|(name, file)| (*name, file.bytes.len())).collect()
    }

    /// A sync that began at that time has come to its end.
    pub fn synced(&mut self, lengths: &[((RunId, u64), usize)], began: Duration) {
        for (name, length) in lengths {
            if let Some(file) = self.files.get_mut(name) {
                file.synced = file.synced.max(*length);
                file.unsafe_since = (file.synced < file.bytes.len()).then_some(began);
            }
        }
    }

    /// Bytes of all journals.
    pub fn bytes(&self) -> usize {
        self.files.values().map(|file| file.bytes.len()).sum()
    }

    /// What is not synced goes, from some place on; zeros or nonsense may stand there. Of later files of the run nothing is left
    /// where an earlier one has lost something.
    pub fn cut_power(&mut self, random: &mut Random) {
        let mut torn = None;
        self.files.retain(|&(run, _), file| {
            if torn == Some(run) {
                return file.synced > 0;
            }
            let kept = random.between(file.synced as u64, file.bytes.len() as u64) as usize;
            let lost = file.bytes.len() - kept;
            if lost == 0 {
                return true;
            }
            torn = Some(run);
            file.bytes.truncate(kept);
            if random.chance(300) {
                file.bytes.resize(kept + lost, 0);
            } else if random.chance(300) {
                file.bytes.extend((0..lost.min(40)).map(|_| random.next() as u8));
            }
            !file.bytes.is_empty()
        });
    }

    /// What the shell makes of the files at the start.
    pub fn scan(&mut self) -> Vec<Resumed> {
        let mut found: BTreeMap<RunId, Resumed> = BTreeMap::new();
        for (&(run, segment), file) in &mut self.files {
            let resumed = found.entry(run).or_insert_with(|| Resumed::new(run));
            resumed.on_segment(segment);
            let mut replay = Replay::default();
            let _ = replay.read(&file.bytes, |kind, payload, end| resumed.on_record(kind, payload, end));
            file.bytes.truncate(replay.end() as usize);
            (file.synced, file.unsafe_since) = (file.bytes.len(), None);
        }
        let (known, unknown): (Vec<_>, Vec<_>) = found.into_values().partition(Resumed::is_known);
        unknown.iter().for_each(|resumed| self.forget(resumed.id));
        known
    }

    /// The pieces of a post, as `shell/batch.rs` finds them, and where they end.
    pub fn batch(&self, run: RunId, range: Range, pieces_max: u32, bytes_max: u64) -> (Vec<Found>, u64) {
        let file = self.files.get(&(run, range.segment)).unwrap_or_else(|| panic!("run {run}: no file for {range:?}"));
        let bytes = &file.bytes[..(range.upto - range.segment) as usize];
        let (mut found, mut at) = (Vec::new(), (range.from - range.segment) as usize);
        let mut window_end = at + bytes_max.min(range.upto - range.from) as usize;
        while at < bytes.len() && found.len() < pieces_max as usize {
            let record = match record::decode(&bytes[at..window_end.min(bytes.len())]) {
                Ok(record) => record,
                Err(DecodeError::Incomplete { .. }) if !found.is_empty() => break,
                Err(DecodeError::Incomplete { bytes_needed }) if at + bytes_needed <= bytes.len() => {
                    window_end = at + bytes_needed;
                    continue;
                }
                Err(error) => panic!("run {run}: {range:?} at {at}: {error}"),
            };
            at += record.bytes_used;
            if record.kind.is_piece() {
                found.push(Found { tag: Tag::of(record.payload), bytes: record.payload.len() });
            }
        }
        (found, range.segment + at as u64)
    }

    /// Every whole record of a stretch of bytes, and where it ends.
    pub fn records(mut bytes: &[u8], mut tell: impl FnMut(Kind, &[u8], usize)) {
        let mut at = 0;
        while let Ok(record) = record::decode(bytes) {
            at += record.bytes_used;
            tell(record.kind, record.payload, at);
            bytes = &bytes[record.bytes_used..];
        }
    }
}
