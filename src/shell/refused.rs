//! The file of what the server did not take: `refused/RUN.jsonl` in the state directory, mode 0600. Each line is a document, as
//! an executor prints it, with one host or credential and beside it where it belongs and why it was refused, so that a person
//! can correct it and send it again (`agent resend`, or any executor that prints it).
//!
//! Several write to such a file: the workers of an agent, for the workspaces of a run, and `agent resend`. They agree by a lock
//! on the file itself (`Held`): who has it, and has seen that the path still leads to what he locked, alone appends to the file,
//! cuts it, renames or removes it. Workers wait for each other; where anybody else has the lock, they are hindered and asked
//! again.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nix::fcntl::OFlag;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::engine::event::{Outcome, Posted, Range, SetAside};
use crate::frame::record::Kind;
use crate::proto::bulk::{self, Envelope};
use crate::proto::repair::Repairs;

use super::batch::Batch;
use super::directory::Directory;
use super::journals::Source;
use super::poster::unreadable;

/// In the state directory.
const DIRECTORY: &str = "refused";
/// What is held in memory on the way from one file to the other.
const BYTES_MAX: u64 = 1 << 20;
/// How often a file may be taken away between its opening and its locking.
const TRIES_MAX: u32 = 5;

/// The workers of this process: they copy one after the other.
static COPYING: Mutex<()> = Mutex::new(());

/// What stands beside a refused piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub workspace: String,
    /// What goes around the piece.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// The server's words.
    pub why: String,
    /// UTC.
    pub when: String,
}

/// Copies what is to be set aside from the journal's file into the file of refused pieces; on disk before it returns.
pub fn set_aside(state_dir: &Directory, journal: Source, asked: &SetAside) -> Posted {
    let name = format!("{}.jsonl", asked.id.run);
    let path = state_dir.path_of(DIRECTORY).join(&name);
    let failed = |error: io::Error| unwritable(&path, &error);
    let _alone = COPYING.lock().unwrap_or_else(PoisonError::into_inner);
    let copied = open(state_dir, &name)
        .map_err(failed)
        .and_then(|held| held.append(|out| copy(out, journal, asked, &failed), failed));
    let (upto, pieces, outcome) = match copied {
        Ok((upto, pieces)) => (upto, pieces, Outcome::SetAside),
        Err(outcome) => (asked.range.from, 0, outcome),
    };
    Posted { id: asked.id, upto, pieces, repairs: Repairs::default(), outcome }
}

fn open(state_dir: &Directory, name: &str) -> io::Result<Held> {
    let directory = state_dir.subdirectory(DIRECTORY)?;
    state_dir.sync()?;
    Held::open(&directory, name.as_ref(), true, File::try_lock)
}

/// Returns how far it came in the journal, and how many pieces these were.
fn copy(
    out: &mut impl Write,
    journal: Source,
    asked: &SetAside,
    failed: &impl Fn(io::Error) -> Outcome,
) -> Result<(u64, u32), Outcome> {
    let refused = Refused {
        workspace: asked.workspace.to_string(),
        envelope: (*asked.envelope).clone(),
        why: asked.words.clone(),
        when: bulk::start_date(asked.utc),
    };
    let journal = journal.file().map_err(|error| unreadable(&error))?;
    let (mut at, mut count) = (asked.range.from, 0);
    while at < asked.range.upto {
        let batch = Batch::read(&journal, Range { from: at, ..asked.range }, u32::MAX, BYTES_MAX)
            .map_err(|error| unreadable(&error))?;
        for (kind, piece) in batch.pieces() {
            write_line(out, kind, piece, &refused).map_err(failed)?;
        }
        at = batch.upto;
        count += batch.len();
    }
    Ok((at, count))
}

/// A file of refused pieces, open and locked: until it is dropped nobody else changes it.
#[derive(Debug)]
pub struct Held {
    file: File,
}

impl Held {
    /// The file as it is; an error if there is none, or somebody else has it.
    pub fn at_once(directory: &Directory, name: &OsStr) -> io::Result<Held> {
        Held::open(directory, name, false, File::try_lock)
    }

    /// The file, made if need be, as soon as nobody else has it.
    pub fn when_free(directory: &Directory, name: &OsStr) -> io::Result<Held> {
        Held::open(directory, name, true, |file| file.lock().map_err(TryLockError::Error))
    }

    fn open(
        directory: &Directory,
        name: &OsStr,
        make: bool,
        lock: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> io::Result<Held> {
        let make_flag = if make { OFlag::O_CREAT } else { OFlag::empty() };
        for _ in 0..TRIES_MAX {
            let file = directory.open(name, OFlag::O_RDWR | OFlag::O_APPEND | make_flag)?;
            let locked = lock(&file);
            let held = Held { file };
            match (locked, held.is_at(directory, name)?) {
                (Ok(()), true) if make => {
                    directory.sync()?;
                    return Ok(held);
                }
                (Ok(()), true) => return Ok(held),
                (Err(TryLockError::Error(error)), _) => return Err(error),
                (Err(TryLockError::WouldBlock), true) => break,
                // It was taken away meanwhile; what stands there now is another file.
                (_, false) => {}
            }
        }
        Err(io::Error::new(
            ErrorKind::WouldBlock,
            "the agent or another `agent resend` is writing to it now; try again later",
        ))
    }

    fn is_at(&self, directory: &Directory, name: &OsStr) -> io::Result<bool> {
        let own = self.file.metadata()?;
        Ok(directory.identity(name)? == Some((own.dev(), own.ino())))
    }

    /// Appends all that `write` writes, on disk before it returns, or nothing.
    pub fn append<T, E>(
        &self,
        write: impl FnOnce(&mut BufWriter<&File>) -> Result<T, E>,
        failed: impl Fn(io::Error) -> E,
    ) -> Result<T, E> {
        let before = self.end_last_line().map_err(&failed)?;
        let mut writer = BufWriter::new(&self.file);
        let written = write(&mut writer)
            .and_then(|done| writer.flush().and_then(|()| self.file.sync_data()).map(|()| done).map_err(failed));
        if written.is_err() {
            // What is in the buffer must not follow when it is dropped, and half a line must not stay behind.
            let _ = writer.into_parts();
            let _ = self.file.set_len(before);
        }
        written
    }

    /// Its bytes from an offset on.
    pub fn read_from(&self, offset: u64) -> io::Result<impl Read> {
        (&self.file).seek(SeekFrom::Start(offset))?;
        Ok(&self.file)
    }

    /// Sees to it that a line can follow, and returns where it begins. Half a line is what a crash has left: its piece is still
    /// in the journal and comes again. A whole one without its end is from somebody's editor.
    fn end_last_line(&self) -> io::Result<u64> {
        let length = self.file.metadata()?.len();
        let start = self.last_line(length)?;
        if start == length {
            return Ok(length);
        }
        if serde_json::from_reader::<_, IgnoredAny>(BufReader::new(self.read_from(start)?)).is_ok() {
            (&self.file).write_all(b"\n")?;
            return Ok(length + 1);
        }
        self.file.set_len(start)?;
        Ok(start)
    }

    /// Behind the last newline.
    fn last_line(&self, length: u64) -> io::Result<u64> {
        let (mut chunk, mut upto) = ([0; 4096], length);
        while upto > 0 {
            let from = upto.saturating_sub(chunk.len() as u64);
            let part = &mut chunk[..(upto - from) as usize];
            self.file.read_exact_at(part, from)?;
            if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
                return Ok(from + at as u64 + 1);
            }
            upto = from;
        }
        Ok(0)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing is not enough: a child that is just being started has a copy of the descriptor, and the lock with it.
        let _ = self.file.unlock();
    }
}

/// One piece as a document on a line of its own.
pub fn write_line(out: &mut impl Write, kind: Kind, piece: &[u8], refused: &Refused) -> io::Result<()> {
    // Documents need `hosts`, be it empty.
    let list = if kind == Kind::Credential { "\"hosts\":[],\"credentials\"" } else { "\"hosts\"" };
    write!(out, "{{{list}:[")?;
    write_on_one_line(out, piece)?;
    writeln!(out, "],\"refused\":{}}}", serde_json::to_string(refused)?)
}

/// A piece that was printed over many lines: between its tokens a newline is a blank like any other, and inside of texts there
/// is none.
fn write_on_one_line(out: &mut impl Write, piece: &[u8]) -> io::Result<()> {
    for stretch in piece.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
        match stretch.split_last() {
            Some((b'\n' | b'\r', rest)) => {
                out.write_all(rest)?;
                out.write_all(b" ")?;
            }
            _ => out.write_all(stretch)?,
        }
    }
    Ok(())
}

fn unwritable(path: &Path, error: &io::Error) -> Outcome {
    Outcome::Hindered { words: format!("what the server refused cannot be written to {}: {error}", path.display()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::DirBuilderExt;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::{fs, process, thread};

    use super::*;
    use crate::engine::event::{PostId, RunId};
    use crate::frame::record;

    const RUN: RunId = RunId(1);
    /// More than is held in memory at a time.
    const HOSTS: u64 = 10_000;

    /// A state directory with a journal, that goes away with the test.
    struct Scratch {
        directory: PathBuf,
        journal_bytes: u64,
    }

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let directory = std::env::temp_dir().join(format!("faraday-agent-refused-{}-{name}", process::id()));
            let _ = fs::remove_dir_all(&directory);
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory.join("refused")).expect("writable");
            let mut journal = Vec::new();
            for n in 0..HOSTS {
                let host = format!("{{\"ip\":\"{n}\",\"description\":\"{}\"}}", "x".repeat(100));
                record::encode(Kind::Host, host.as_bytes(), &mut journal);
            }
            fs::write(directory.join("journal"), &journal).expect("writable");
            Scratch { directory, journal_bytes: journal.len() as u64 }
        }

        fn state_dir(&self) -> Directory {
            Directory::own(File::open(&self.directory).expect("there"), &self.directory).expect("ours alone")
        }

        fn file(&self) -> PathBuf {
            self.directory.join(format!("refused/{RUN}.jsonl"))
        }

        /// All of the journal, and `beyond` bytes more.
        fn set_aside(&self, workspace: usize, beyond: u64) -> Posted {
            let envelope = Envelope {
                execution_id: 7,
                tool: "a1".into(),
                command: "ok".into(),
                params: "".into(),
                start_date: "2026-11-24T00:00:00.000000".into(),
            };
            let asked = SetAside {
                id: PostId { run: RUN, workspace },
                workspace: format!("ws{workspace}").into(),
                envelope: Arc::new(envelope),
                range: Range { segment: 0, from: 0, upto: self.journal_bytes + beyond },
                words: "400: no".into(),
                utc: std::time::SystemTime::UNIX_EPOCH,
            };
            set_aside(&self.state_dir(), Source::At(self.state_dir(), "journal".to_owned()), &asked)
        }

        /// How many lines there are; each must be a document.
        fn lines(&self) -> u64 {
            let text = fs::read_to_string(self.file()).expect("readable");
            assert!(text.is_empty() || text.ends_with('\n'));
            let documents = text.lines().map(|line| serde_json::from_str::<IgnoredAny>(line).expect("a document"));
            documents.collect::<Vec<_>>().len() as u64
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }

    #[test]
    fn workers_for_two_workspaces_do_not_mix_their_lines() {
        let scratch = Scratch::new("two");
        thread::scope(|scope| {
            let scratch = &scratch;
            let workers = [0, 1].map(|workspace| scope.spawn(move || scratch.set_aside(workspace, 0)));
            for worker in workers {
                assert!(matches!(worker.join().expect("no panic").outcome, Outcome::SetAside));
            }
        });
        assert_eq!(scratch.lines(), 2 * HOSTS);
    }

    #[test]
    fn a_failure_costs_nothing_that_stood_there() {
        let scratch = Scratch::new("failure");
        scratch.set_aside(0, 0);
        let posted = scratch.set_aside(1, 100);
        assert!(!matches!(posted.outcome, Outcome::SetAside), "the journal is not that long");
        assert_eq!((posted.upto, posted.pieces), (0, 0));
        assert_eq!(scratch.lines(), HOSTS);
    }

    #[test]
    fn half_a_line_of_a_crash_is_cut_off_and_a_whole_one_ended() {
        let scratch = Scratch::new("half");
        let long = format!("{{\"hosts\":[1]}}\n{{\"hosts\":[\"{}", "x".repeat(10_000));
        for (text, stays) in [("{\"hosts\":[{\"ip\":", 0), (long.as_str(), 1), ("{\"hosts\":[1]}\n{\"hosts\":[2]}", 2)]
        {
            fs::write(scratch.file(), text).expect("writable");
            scratch.set_aside(0, 0);
            assert_eq!(scratch.lines(), HOSTS + stays, "{text}");
        }
    }

    #[test]
    fn a_file_that_somebody_else_has_hinders_until_it_is_taken_away() {
        let scratch = Scratch::new("held");
        scratch.set_aside(0, 0);
        let (directory, name) = Directory::around(&scratch.file()).expect("there");
        let held = Held::at_once(&directory, &name).expect("nobody has it");
        assert!(matches!(scratch.set_aside(0, 0).outcome, Outcome::Hindered { .. }));
        assert_eq!(scratch.lines(), HOSTS);
        fs::rename(scratch.file(), scratch.directory.join("taken away")).expect("writable");
        assert!(matches!(scratch.set_aside(0, 0).outcome, Outcome::SetAside));
        assert_eq!(scratch.lines(), HOSTS);
        drop(held);
    }
}
