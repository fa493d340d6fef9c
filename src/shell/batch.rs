//! The pieces of one body, read from a range of a journal's file: as many as fit, or one that is larger. Checks each record's
//! checksum; what is done with the pieces is the business of `poster` and `refused`.

use std::fs::File;
use std::io;
use std::ops::Range as Span;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, TryLockError};

use crate::engine::event::Range;
use crate::frame::record::{self, DecodeError, HEADER_BYTES, Kind};

/// More than this is held by one worker at a time, so that a few huge hosts cannot fill the memory.
pub const LARGE_BYTES_MIN: u64 = 4 << 20;

/// Read at a time: what lies behind the last piece that fits is read in vain, and again for the next body.
const STEP_BYTES: u64 = 128 << 10;

/// The right to hold it.
static LARGE: Mutex<()> = Mutex::new(());

/// Pieces, and where they end.
#[derive(Debug)]
pub struct Batch {
    turn: Option<MutexGuard<'static, ()>>,
    bytes: Vec<u8>,
    /// Journal offset of the first of them.
    start: u64,
    pieces: Vec<(Kind, Span<usize>)>,
    /// Journal offset behind the last piece.
    pub upto: u64,
}

impl Batch {
    /// Of a body without pieces.
    pub fn empty(at: u64) -> Batch {
        Batch { turn: None, bytes: Vec::new(), start: at, pieces: Vec::new(), upto: at }
    }

    /// At most `pieces_max` pieces from the beginning of the range, in records of about `bytes_max` together, but at least one.
    /// `file` is the one that begins at `range.segment`.
    pub fn read(file: &File, range: Range, pieces_max: u32, bytes_max: u64) -> io::Result<Batch> {
        let mut batch = Batch::empty(range.from);
        while let Some(next_bytes) = batch.take_records(range.upto, pieces_max)? {
            if batch.pieces.is_empty() {
                batch.drop_notes();
            }
            let bytes_needed = batch.upto - batch.start + next_bytes as u64;
            if bytes_needed > bytes_max && !batch.pieces.is_empty() {
                break;
            }
            let bytes = (batch.bytes.len() as u64 + STEP_BYTES).min(bytes_max).max(bytes_needed);
            batch.read_on(file, range, bytes.min(range.upto - batch.start))?;
        }
        Ok(batch)
    }

    /// Finds the whole records in what was read, up to the last piece that may be taken; gives how many bytes the next one
    /// needs, if there has to be one.
    fn take_records(&mut self, upto: u64, pieces_max: u32) -> io::Result<Option<usize>> {
        while self.upto < upto && self.len() < pieces_max {
            let at = (self.upto - self.start) as usize;
            let found = match record::decode(&self.bytes[at..]) {
                Ok(found) => found,
                Err(DecodeError::Incomplete { bytes_needed }) => return Ok(Some(bytes_needed)),
                Err(damage) => return Err(io::Error::other(damage)),
            };
            let payload = at + HEADER_BYTES..at + found.bytes_used;
            self.upto += found.bytes_used as u64;
            if found.kind.is_piece() {
                self.pieces.push((found.kind, payload));
            }
        }
        Ok(None)
    }

    /// More notes may stand before the first piece than fit into one body.
    fn drop_notes(&mut self) {
        self.bytes.drain(..(self.upto - self.start) as usize);
        self.start = self.upto;
    }

    /// Reads until there are so many bytes.
    fn read_on(&mut self, file: &File, range: Range, bytes: u64) -> io::Result<()> {
        let read = self.bytes.len();
        if bytes <= read as u64 {
            return Err(torn());
        }
        if bytes > LARGE_BYTES_MIN {
            self.take_turn()?;
        }
        self.bytes.resize(usize::try_from(bytes).unwrap_or(usize::MAX), 0);
        file.read_exact_at(&mut self.bytes[read..], self.start + read as u64 - range.segment)
    }

    /// Whoever finds another one at it comes back later: a worker that waited could not do anything else.
    fn take_turn(&mut self) -> io::Result<()> {
        if self.turn.is_none() {
            self.turn = match LARGE.try_lock() {
                Ok(turn) => Some(turn),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => {
                    let words = "another host of more than 4 MiB is on its way";
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, words));
                }
            };
        }
        Ok(())
    }

    /// In the order in which they were read.
    pub fn pieces(&self) -> impl Iterator<Item = (Kind, &[u8])> {
        self.pieces.iter().map(|(kind, span)| (*kind, &self.bytes[span.clone()]))
    }

    pub fn len(&self) -> u32 {
        self.pieces.len() as u32
    }
}

fn torn() -> io::Error {
    io::Error::other(DecodeError::Incomplete { bytes_needed: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a head, two hosts, many notes, a host and a large credential, as if it began at journal offset 1000.
    struct Rig {
        path: std::path::PathBuf,
        ends: Vec<u64>,
    }

    impl Rig {
        fn new(name: &str) -> Rig {
            let mut bytes = Vec::new();
            let mut ends = Vec::new();
            let large = format!("\"{}\"", "x".repeat(5000));
            let notes = [(Kind::Settled, "{}"); 50];
            let hosts = [(Kind::Run, "{}"), (Kind::Host, "1"), (Kind::Host, "2")];
            for (kind, payload) in hosts.iter().chain(&notes).chain(&[(Kind::Host, "3"), (Kind::Credential, &*large)]) {
                record::encode(*kind, payload.as_bytes(), &mut bytes);
                if kind.is_piece() {
                    ends.push(1000 + bytes.len() as u64);
                }
            }
            Rig::of(name, bytes, ends)
        }

        fn of(name: &str, bytes: Vec<u8>, ends: Vec<u64>) -> Rig {
            let path = std::env::temp_dir().join(format!("faraday-agent-batch-{}-{name}", std::process::id()));
            std::fs::write(&path, bytes).expect("written");
            Rig { path, ends }
        }

        fn file(&self) -> File {
            File::open(&self.path).expect("there")
        }

        fn read(&self, from: u64, pieces_max: u32, bytes_max: u64) -> (Vec<usize>, u64) {
            let range = Range { segment: 1000, from, upto: self.ends[3] };
            let batch = Batch::read(&self.file(), range, pieces_max, bytes_max).expect("readable");
            (batch.pieces().map(|(_, bytes)| bytes.len()).collect(), batch.upto)
        }
    }

    impl Drop for Rig {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    #[test]
    fn as_many_pieces_as_fit_and_at_least_one() {
        let rig = Rig::new("fit");
        let [one, two, three, four] = rig.ends[..] else { panic!("four pieces") };
        assert_eq!(rig.read(1000, 500, 1_000_000), (vec![1, 1, 1, 5002], four));
        assert_eq!(rig.read(1000, 2, 1_000_000), (vec![1, 1], two));
        assert_eq!(rig.read(1000, 1, 1_000_000), (vec![1], one));
        // More notes than fit into one window stand before the third.
        assert_eq!(rig.read(two, 500, 60).0, vec![1]);
        assert!(rig.read(two, 500, 60).1 >= three);
        assert_eq!(rig.read(three, 500, 60), (vec![5002], four));
        assert_eq!(rig.read(one, 500, 9), (vec![1], two));
    }

    /// However much follows: the pieces of a long journal must not cost more than those of a short one.
    #[test]
    fn little_more_is_read_than_taken() {
        let mut bytes = Vec::new();
        (0..10_000).for_each(|_| record::encode(Kind::Host, &[b'x'; 200], &mut bytes));
        let upto = 1000 + bytes.len() as u64;
        let rig = Rig::of("little", bytes, vec![upto; 4]);
        let range = Range { segment: 1000, from: 1000, upto };
        let batch = Batch::read(&rig.file(), range, 500, 1_000_000).expect("readable");
        assert_eq!((batch.len(), batch.upto), (500, 1000 + 500 * 209));
        assert!(batch.bytes.len() as u64 <= 500 * 209 + STEP_BYTES, "{} bytes", batch.bytes.len());
        let batch = Batch::read(&rig.file(), range, u32::MAX, 1_000_000).expect("readable");
        assert_eq!(u64::from(batch.len()), 1_000_000 / 209);
        assert!(batch.pieces().all(|(_, piece)| piece == [b'x'; 200]));
    }

    #[test]
    fn damage_is_an_error() {
        let rig = Rig::new("damage");
        let mut bytes = std::fs::read(&rig.path).expect("there");
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        std::fs::write(&rig.path, bytes).expect("written");
        let range = Range { segment: 1000, from: rig.ends[2], upto: rig.ends[3] };
        assert!(Batch::read(&rig.file(), range, 1, 60).is_err());
        assert!(Batch::read(&rig.file(), Range { upto: rig.ends[3] + 100, ..range }, 1, 60_000).is_err());
    }
}
