//! The journals' files: one for each run, append-only, mode 0600, in the state directory. Writes records whole or not at all,
//! and lets workers read behind the writer's back; what stands in them is the business of `frame::record`.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::event::RunId;

const SUFFIX: &str = ".journal";

#[derive(Debug)]
struct Journal {
    file: Arc<File>,
    bytes: u64,
}

#[derive(Debug)]
pub struct Journals {
    directory: PathBuf,
    open: HashMap<RunId, Journal>,
}

impl Journals {
    /// Journals below `state_dir`, in a directory of their own.
    pub fn new(state_dir: &Path) -> io::Result<Journals> {
        let directory = state_dir.join("runs");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Journals { directory, open: HashMap::new() })
    }

    /// The highest number of a run whose journal is here, be it of an earlier agent.
    pub fn newest(&self) -> io::Result<Option<RunId>> {
        let mut newest = None;
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
            newest = newest.max(number.map(RunId));
        }
        Ok(newest)
    }

    /// Appends to the run's journal, which is made if there is none, and gives its new length. After an error the journal is as
    /// it was before.
    pub fn append(&mut self, run: RunId, bytes: &[u8]) -> io::Result<u64> {
        if !self.open.contains_key(&run) {
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(self.path(run))?;
            self.open.insert(run, Journal { file: Arc::new(file), bytes: 0 });
        }
        let journal = self.open.get_mut(&run).expect("it was just put there");
        if let Err(error) = journal.file.write_all_at(bytes, journal.bytes) {
            // Half a record must not stay behind; where this fails too, the next write goes over it.
            let _ = journal.file.set_len(journal.bytes);
            return Err(error);
        }
        journal.bytes += bytes.len() as u64;
        Ok(journal.bytes)
    }

    /// The file of a run, for a worker to read from.
    pub fn file(&self, run: RunId) -> Option<Arc<File>> {
        self.open.get(&run).map(|journal| journal.file.clone())
    }

    /// Removes the run's journal.
    pub fn forget(&mut self, run: RunId) {
        if self.open.remove(&run).is_some()
            && let Err(error) = fs::remove_file(self.path(run))
        {
            log::warn!("run {run}: its journal could not be removed: {error}");
        }
    }

    fn path(&self, run: RunId) -> PathBuf {
        self.directory.join(format!("{run}{SUFFIX}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_reads_back_and_forgets() {
        let directory = std::env::temp_dir().join(format!("faraday-agent-journals-{}", std::process::id()));
        let mut journals = Journals::new(&directory).expect("a directory");
        let run = RunId(7);
        assert_eq!(journals.append(run, b"one").expect("written"), 3);
        assert_eq!(journals.append(run, b"two").expect("written"), 6);
        let mut bytes = [0; 6];
        journals.file(run).expect("open").read_exact_at(&mut bytes, 0).expect("read");
        assert_eq!(&bytes, b"onetwo");
        assert_eq!(journals.newest().expect("read"), Some(run));
        journals.forget(run);
        assert!(journals.file(run).is_none());
        assert_eq!(fs::read_dir(directory.join("runs")).expect("there").count(), 0);
        fs::remove_dir_all(directory).expect("removed");
    }
}
