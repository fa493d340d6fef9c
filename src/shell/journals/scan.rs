//! Reads the journal of an earlier agent from its files, record by record, and makes it fit to be appended to: what a crash
//! tore off at its end is cut, what is damaged before its end is put out of the way. Holds one chunk and one note at a time.

use std::io::{self, Read};

use nix::fcntl::OFlag;

use crate::engine::event::RunId;
use crate::engine::resume::Resumed;
use crate::frame::record::{DecodeError, Replay};

use super::{Journals, name};

const CHUNK_BYTES: usize = 256 << 10;

/// What a file turned out to be.
#[derive(Debug)]
struct Scanned {
    /// Where its last whole record ends.
    end: u64,
    /// How long it is.
    bytes: u64,
    damage: Option<DecodeError>,
}

impl Journals {
    /// `None`, and nothing left behind, if the crash came before the run was known.
    pub(super) fn resume_run(&mut self, run: RunId, segments: Vec<u64>) -> io::Result<Option<Resumed>> {
        let mut resumed = Resumed::new(run);
        let (first, last) = (segments.first().copied(), segments.last().copied());
        let (mut kept, mut begun) = (Vec::new(), None);
        for segment in segments {
            let scanned = self.scan(run, segment, &mut resumed)?;
            if scanned.end < scanned.bytes && self.mend(run, segment, &scanned, Some(segment) == last)? {
                resumed.is_damaged = true;
            }
            // The next file says where this one ended when it was whole.
            resumed.is_damaged |= begun.is_some_and(|end| end != segment);
            begun = Some(segment + scanned.end);
            // A file that a crash kept from having its head is none.
            if scanned.end == 0 && Some(segment) != first {
                self.remove(run, segment);
            } else {
                kept.push(segment);
            }
        }
        self.segments.insert(run, kept);
        if !resumed.is_known() {
            let damaged = resumed.is_damaged || resumed.end > 0;
            match damaged {
                true => log::error!("run {run}: its journal does not tell whose run it was; it cannot be delivered"),
                false => log::info!(
                    "run {run}: an agent ended before it had written down whose run this was; nothing had been read"
                ),
            }
            self.forget(run, damaged);
            return Ok(None);
        }
        Ok(Some(resumed))
    }

    fn scan(&self, run: RunId, segment: u64, resumed: &mut Resumed) -> io::Result<Scanned> {
        let mut file = self.directory.open(name(run, segment), OFlag::O_RDONLY)?;
        let (mut replay, mut chunk, mut bytes, mut damage) = (Replay::default(), vec![0; CHUNK_BYTES], 0, None);
        let mut has_begun = false;
        loop {
            let read = file.read(&mut chunk)?;
            bytes += read as u64;
            if read == 0 {
                return Ok(Scanned { end: replay.end(), bytes, damage });
            }
            if damage.is_none() {
                let tell = |kind, payload: &[u8], end| {
                    if !std::mem::replace(&mut has_begun, true) {
                        resumed.on_segment(segment);
                    }
                    resumed.on_record(kind, payload, end);
                };
                damage = replay.read(&chunk[..read], tell).err();
            }
        }
    }

    /// Cuts the file behind its last whole record. At the end of a journal that is what a crash leaves; anywhere else, or where
    /// whole records may follow, a copy of the file is kept. Whether one was.
    fn mend(&self, run: RunId, segment: u64, scanned: &Scanned, is_last: bool) -> io::Result<bool> {
        let mut file = self.directory.open(name(run, segment), OFlag::O_RDWR)?;
        let torn = scanned.bytes - scanned.end;
        let is_damaged =
            !is_last || (scanned.damage.is_some() && self.holds_more_than_zeros(run, segment, scanned.end)?);
        if is_damaged {
            let copy = self.damaged_name(&name(run, segment))?;
            io::copy(&mut file, &mut self.directory.create(&copy)?)?;
            let why = scanned.damage.map(|damage| format!(" ({damage})")).unwrap_or_default();
            let copy = self.directory.path_of(copy);
            let copy = copy.display();
            log::error!("run {run}: its journal is damaged, {torn} bytes cannot be read{why}; kept as {copy}");
        } else {
            log::info!("run {run}: {torn} bytes at the end of its journal were torn by a crash; cutting them off");
        }
        file.set_len(scanned.end)?;
        file.sync_all()?;
        Ok(is_damaged)
    }

    /// Zeros are what a power cut leaves of bytes that were never brought to the disk.
    fn holds_more_than_zeros(&self, run: RunId, segment: u64, from: u64) -> io::Result<bool> {
        let mut file = self.directory.open(name(run, segment), OFlag::O_RDONLY)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(from))?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(false),
                read if chunk[..read].iter().any(|byte| *byte != 0) => return Ok(true),
                _ => {}
            }
        }
    }
}
