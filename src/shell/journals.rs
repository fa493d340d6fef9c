//! The journals' files: for each run one or more, append-only, mode 0600, in the state directory; `RUN-START.journal`, where
//! START is the journal offset at which the file begins. Writes records whole or not at all, and lets workers read behind the
//! writer's back; what stands in them is the business of `frame::record`, when they go is the engine's.

mod reserve;
mod scan;
mod unsynced;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix::fcntl::OFlag;

use crate::engine::event::RunId;
use crate::engine::resume::Resumed;

use super::directory::Directory;

use reserve::Reserve;
use unsynced::Unsynced;

/// In the state directory.
const DIRECTORY: &str = "runs";
const SUFFIX: &str = ".journal";
/// What cannot be read is not looked at again, and not removed.
const DAMAGED_SUFFIX: &str = ".damaged";

/// The file of a run that is written at present.
#[derive(Debug)]
struct Open {
    segment: u64,
    file: Arc<File>,
    bytes: u64,
}

impl Open {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(bytes, self.bytes) {
            // Half a record must not stay behind; where this fails too, the next write goes over it.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Where a worker reads one of a run's files.
#[derive(Debug)]
pub enum Source {
    /// It is being written: to open it once more for each post would be a good part of what a small one costs.
    Written(Arc<File>),
    At(Directory, String),
}

impl Source {
    pub fn file(self) -> io::Result<Arc<File>> {
        match self {
            Source::Written(file) => Ok(file),
            Source::At(directory, name) => directory.open(name, OFlag::O_RDONLY).map(Arc::new),
        }
    }
}

#[derive(Debug)]
pub struct Journals {
    state_dir: Directory,
    directory: Directory,
    open: HashMap<RunId, Open>,
    /// Where the files of each run begin, oldest first.
    segments: HashMap<RunId, Vec<u64>>,
    unsynced: Unsynced,
    /// What is being brought to the disk at present.
    syncing: Unsynced,
    reserve: Reserve,
}

impl Journals {
    /// Journals below `state_dir`, in a directory of their own.
    pub fn new(state_dir: &Directory) -> io::Result<Journals> {
        Ok(Journals {
            state_dir: state_dir.clone(),
            directory: state_dir.subdirectory(DIRECTORY)?,
            open: HashMap::new(),
            segments: HashMap::new(),
            unsynced: Unsynced::default(),
            syncing: Unsynced::default(),
            reserve: Reserve::new(state_dir.clone()),
        })
    }

    /// The highest number of a run whose journal is here, be it of an earlier agent and damaged.
    pub fn newest(&self) -> io::Result<Option<RunId>> {
        let mut newest = None;
        for name in self.directory.names()? {
            let number = name.to_str().and_then(|name| name.split(['-', '.']).next()?.parse().ok());
            newest = newest.max(number.map(RunId));
        }
        Ok(newest)
    }

    /// Reads what an earlier agent left, and cuts off what a crash tore.
    pub fn resume(&mut self) -> io::Result<Vec<Resumed>> {
        let mut found: BTreeMap<RunId, Vec<u64>> = BTreeMap::new();
        for name in self.directory.names()? {
            if let Some((run, segment)) = name.to_str().and_then(parse) {
                found.entry(run).or_default().push(segment);
            }
        }
        let mut runs = Vec::new();
        for (run, mut segments) in found {
            segments.sort_unstable();
            match self.resume_run(run, segments) {
                Ok(resumed) => runs.extend(resumed),
                // A full disk, say, on which a damaged file cannot be copied: no reason not to deliver the others.
                Err(error) => {
                    log::error!("run {run}: its journal is left for the next start: it cannot be resumed: {error}")
                }
            }
        }
        Ok(runs)
    }

    /// Appends to the run's file that begins at `segment`, which is made if there is none. After an error all is as it was
    /// before.
    pub fn append(&mut self, run: RunId, segment: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(open) = self.open.get_mut(&run).filter(|open| open.segment == segment) {
            return open.append(bytes);
        }
        let is_new = self.segments.get(&run).is_none_or(|segments| !segments.contains(&segment));
        let mut written = self.open(run, segment, is_new, bytes);
        // A file after another one lets that go.
        if is_new
            && self.segments.contains_key(&run)
            && let Err(error) = &written
            && self.reserve.yields_to(error)
        {
            written = self.open(run, segment, is_new, bytes);
        }
        let left = self.open.insert(run, written?);
        if let Some(left) = left {
            self.unsynced.add_file(run, left.segment, left.file);
        }
        if is_new {
            self.segments.entry(run).or_default().push(segment);
            self.unsynced.add_name();
        }
        Ok(())
    }

    /// Opens a file and appends to it. One that is new does not stay behind without that.
    fn open(&mut self, run: RunId, segment: u64, is_new: bool, bytes: &[u8]) -> io::Result<Open> {
        let name = name(run, segment);
        let file = if is_new { self.create(&name) } else { self.directory.open(&name, OFlag::O_RDWR) }?;
        let mut open = Open { segment, bytes: file.metadata()?.len(), file: Arc::new(file) };
        match open.append(bytes) {
            Ok(()) => Ok(open),
            Err(error) => {
                if is_new {
                    let _ = self.directory.remove(name);
                }
                Err(error)
            }
        }
    }

    fn create(&mut self, name: &str) -> io::Result<File> {
        match self.directory.create(name) {
            // Somebody has removed the directory under the agent.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.directory = self.state_dir.subdirectory(DIRECTORY)?;
                self.directory.create(name)
            }
            created => created,
        }
    }

    /// What has to be done, on some other thread, to bring to the disk what was appended to these runs' journals. Then
    /// `on_synced` has to be called.
    pub fn sync(&mut self, runs: &[RunId]) -> impl FnOnce() -> io::Result<()> + Send + 'static {
        for (run, open) in runs.iter().filter_map(|run| Some((*run, self.open.get(run)?))) {
            self.unsynced.add_file(run, open.segment, open.file.clone());
        }
        self.syncing = std::mem::take(&mut self.unsynced);
        let (syncing, directory) = (self.syncing.clone(), self.directory.clone());
        move || syncing.bring(&directory)
    }

    pub fn on_synced(&mut self, is_done: bool) {
        let syncing = std::mem::take(&mut self.syncing);
        if !is_done {
            self.unsynced.put_back(syncing);
        }
        self.reserve.restore();
    }

    /// Brings everything to the disk that is not there yet; for the end of the program.
    pub fn sync_all(&mut self) -> io::Result<()> {
        // One that is under way may not come to its end.
        self.on_synced(false);
        let runs: Vec<RunId> = self.open.keys().copied().collect();
        self.sync(&runs)()
    }

    /// The run's file that begins at `segment`, for a worker.
    pub fn source(&self, run: RunId, segment: u64) -> Source {
        match self.open.get(&run).filter(|open| open.segment == segment) {
            Some(open) => Source::Written(open.file.clone()),
            None => Source::At(self.directory.clone(), name(run, segment)),
        }
    }

    /// Removes the run's files that begin before this offset, as soon as those behind them are on disk.
    pub fn trim(&mut self, run: RunId, before: u64) {
        let segments = self.segments.entry(run).or_default();
        let kept = segments.split_off(segments.partition_point(|segment| *segment < before));
        for segment in std::mem::replace(segments, kept) {
            self.unsynced.add_spent(run, name(run, segment));
        }
        self.unsynced.drop_before(run, before);
    }

    /// Removes the run's journal; a damaged one is put out of the way.
    pub fn forget(&mut self, run: RunId, damaged: bool) {
        self.open.remove(&run);
        for name in [self.unsynced.forget(run), self.syncing.forget(run)].concat() {
            // A sync that is under way may have been faster.
            let _ = self.directory.remove(name);
        }
        for segment in self.segments.remove(&run).unwrap_or_default() {
            if damaged {
                self.put_out_of_the_way(run, segment);
            } else {
                self.remove(run, segment);
            }
        }
        self.reserve.restore();
    }

    fn remove(&self, run: RunId, segment: u64) {
        if let Err(error) = self.directory.remove(name(run, segment)) {
            log::warn!("run {run}: its journal could not be removed: {error}");
        }
    }

    fn put_out_of_the_way(&self, run: RunId, segment: u64) {
        let name = name(run, segment);
        let moved = self.damaged_name(&name).and_then(|aside| self.directory.rename(&name, &aside).map(|()| aside));
        match moved.map(|aside| self.directory.path_of(aside)) {
            Ok(aside) => log::error!("run {run}: a damaged part of its journal is kept as {}", aside.display()),
            Err(error) => {
                let path = self.directory.path_of(name);
                log::error!("run {run}: the damaged journal {} cannot be renamed: {error}", path.display());
            }
        }
    }

    /// A name for what is damaged that nothing has yet.
    fn damaged_name(&self, name: &str) -> io::Result<String> {
        let stem = name.trim_end_matches(SUFFIX);
        let (mut aside, mut number) = (format!("{stem}{DAMAGED_SUFFIX}"), 0);
        while self.directory.identity(&aside)?.is_some() {
            number += 1;
            aside = format!("{stem}.{number}{DAMAGED_SUFFIX}");
        }
        Ok(aside)
    }
}

fn name(run: RunId, segment: u64) -> String {
    format!("{run}-{segment}{SUFFIX}")
}

/// `RUN-START.journal`.
fn parse(name: &str) -> Option<(RunId, u64)> {
    let (run, segment) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    Some((RunId(run.parse().ok()?), segment.parse().ok()?))
}

#[cfg(test)]
mod tests;
