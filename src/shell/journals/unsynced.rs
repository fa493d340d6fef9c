//! What of the journals is not on disk yet: files that were written, names that were made, and files that may go as soon as
//! what replaces them is there. Kept by `Journals`, carried out on a thread of its own.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::engine::event::RunId;

use super::Directory;

#[derive(Clone, Debug, Default)]
pub struct Unsynced {
    files: Vec<Written>,
    /// A file was made.
    has_names: bool,
    spent: Vec<(RunId, String)>,
}

#[derive(Clone, Debug)]
struct Written {
    run: RunId,
    segment: u64,
    file: Arc<File>,
}

impl Unsynced {
    pub fn add_file(&mut self, run: RunId, segment: u64, file: Arc<File>) {
        self.files.push(Written { run, segment, file });
    }

    pub fn add_name(&mut self) {
        self.has_names = true;
    }

    /// A file that is not needed any more, once the one behind it is on disk.
    pub fn add_spent(&mut self, run: RunId, name: String) {
        self.spent.push((run, name));
    }

    /// The run's files that begin before this offset need not be brought to the disk.
    pub fn drop_before(&mut self, run: RunId, segment: u64) {
        self.files.retain(|written| written.run != run || written.segment >= segment);
    }

    /// Nothing of the run is needed any more; gives its files that were to go.
    pub fn forget(&mut self, run: RunId) -> Vec<String> {
        self.drop_before(run, u64::MAX);
        self.spent.extract_if(.., |(whose, _)| *whose == run).map(|(_, name)| name).collect()
    }

    /// What could not be done is still to be done.
    pub fn put_back(&mut self, failed: Unsynced) {
        self.files.extend(failed.files);
        self.has_names |= failed.has_names;
        self.spent.extend(failed.spent);
    }

    /// Brings all of it to the disk; `directory` is where the files are. One file that fails keeps the others from nothing, but
    /// nothing goes then.
    pub fn bring(&self, directory: &Directory) -> io::Result<()> {
        let mut result = Ok(());
        for written in &self.files {
            result = result.and(written.file.sync_data());
        }
        // A new name is safe only when the directory is on disk too.
        if self.has_names {
            result = result.and(directory.sync());
        }
        result?;
        for (run, name) in &self.spent {
            if let Err(error) = directory.remove(name)
                && error.kind() != io::ErrorKind::NotFound
            {
                log::warn!("run {run}: its journal could not be removed: {error}");
            }
        }
        Ok(())
    }
}
