//! The pieces of one body, read from a range of a journal's file: as many as fit, or one that is larger. Checks each record's
//! checksum; what is done with the pieces is the business of `poster` and `refused`.

use std::fs::File;
use std::io;
use std::ops::Range as Span;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::event::Range;
use crate::frame::record::{self, DecodeError, HEADER_BYTES, Header, Kind};

/// More than this is held by one worker at a time, so that a few huge hosts cannot fill the memory.
pub const LARGE_BYTES_MIN: u64 = 4 << 20;

/// The right to hold it.
static LARGE: Mutex<()> = Mutex::new(());

/// Pieces, and where they end.
#[derive(Debug)]
pub struct Batch {
    turn: Option<MutexGuard<'static, ()>>,
    bytes: Vec<u8>,
    pieces: Vec<(Kind, Span<usize>)>,
    /// Journal offset behind the last piece.
    pub upto: u64,
}

impl Batch {
    /// Of a body without pieces.
    pub fn empty(at: u64) -> Batch {
        Batch { turn: None, bytes: Vec::new(), pieces: Vec::new(), upto: at }
    }

    /// At most `pieces_max` pieces from the beginning of the range, in records of about `bytes_max` together, but at least one.
    /// `path` is the file that begins at `range.segment`.
    pub fn read(path: &Path, range: Range, pieces_max: u32, bytes_max: u64) -> io::Result<Batch> {
        let file = File::open(path)?;
        let mut batch = Batch::empty(range.from);
        let mut window = bytes_max.min(range.upto - range.from);
        // Notes may stand before the first piece, more of them than fit into one window.
        while batch.pieces.is_empty() && batch.upto < range.upto {
            if window > LARGE_BYTES_MIN {
                batch.turn.get_or_insert_with(|| LARGE.lock().unwrap_or_else(PoisonError::into_inner));
            }
            batch.bytes.resize(usize::try_from(window).unwrap_or(usize::MAX), 0);
            file.read_exact_at(&mut batch.bytes, batch.upto - range.segment)?;
            let passed = batch.take_records(pieces_max)?;
            if passed == 0 {
                // The first record is larger than the window.
                let header = Header::decode(&batch.bytes).map_err(io::Error::other)?;
                window = (HEADER_BYTES + header.payload_bytes) as u64;
            }
            batch.upto += passed as u64;
            let left = range.upto - batch.upto;
            if window > left {
                window = if passed == 0 { return Err(torn()) } else { left };
            }
        }
        Ok(batch)
    }

    /// Finds the whole records in `bytes`, up to the last piece that may be taken; gives how many bytes they take.
    fn take_records(&mut self, pieces_max: u32) -> io::Result<usize> {
        let mut at = 0;
        while self.pieces.len() < pieces_max as usize {
            let found = match record::decode(&self.bytes[at..]) {
                Ok(found) => found,
                Err(DecodeError::Incomplete { .. }) => break,
                Err(damage) => return Err(io::Error::other(damage)),
            };
            let payload = at + HEADER_BYTES..at + found.bytes_used;
            at = payload.end;
            if found.kind.is_piece() {
                self.pieces.push((found.kind, payload));
            }
        }
        Ok(at)
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
            let path = std::env::temp_dir().join(format!("faraday-agent-batch-{}-{name}", std::process::id()));
            std::fs::write(&path, bytes).expect("written");
            Rig { path, ends }
        }

        fn read(&self, from: u64, pieces_max: u32, bytes_max: u64) -> (Vec<usize>, u64) {
            let range = Range { segment: 1000, from, upto: self.ends[3] };
            let batch = Batch::read(&self.path, range, pieces_max, bytes_max).expect("readable");
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

    #[test]
    fn damage_is_an_error() {
        let rig = Rig::new("damage");
        let mut bytes = std::fs::read(&rig.path).expect("there");
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        std::fs::write(&rig.path, bytes).expect("written");
        let range = Range { segment: 1000, from: rig.ends[2], upto: rig.ends[3] };
        assert!(Batch::read(&rig.path, range, 1, 60).is_err());
        assert!(Batch::read(&rig.path, Range { upto: rig.ends[3] + 100, ..range }, 1, 60_000).is_err());
    }
}
