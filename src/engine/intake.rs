//! What a run prints, on its way to the journal: stdout is cut into pieces and booked, stderr into lines for the log. Holds the
//! records that the journal has not taken yet, and otherwise nothing that grows.

use crate::frame::record::{self, Kind};
use crate::frame::{Framer, Piece};
use crate::proto::repair::repair;

use super::event::RunId;
use super::redact::Redactor;
use super::tally::{Complaints, Tally};

/// One host or credential; larger ones are refused with a message.
const PIECE_BYTES_MAX: usize = 64 << 20;

pub struct Intake {
    run: RunId,
    /// Whether pieces are wanted, and not only counted.
    keeps: bool,
    framer: Framer,
    records: Vec<u8>,
    pub redactor: Redactor,
    pub tally: Tally,
    pub complaints: Complaints,
}

impl Intake {
    pub fn new(run: RunId, keeps: bool, redactor: Redactor) -> Intake {
        Intake {
            run,
            keeps,
            framer: Framer::new(PIECE_BYTES_MAX),
            records: Vec::new(),
            redactor,
            tally: Tally::default(),
            complaints: Complaints::default(),
        }
    }

    /// Bytes that came after the executor's own end of its output.
    pub fn ignored_bytes(&self) -> u64 {
        self.framer.ignored_bytes()
    }

    pub fn on_stdout(&mut self, mut bytes: &[u8]) {
        while let Some(piece) = self.framer.next(&mut bytes) {
            book(piece, self.run, self.keeps, &self.redactor, &mut self.tally, &mut self.records);
        }
    }

    pub fn on_stdout_ended(&mut self) {
        while let Some(piece) = self.framer.finish() {
            book(piece, self.run, self.keeps, &self.redactor, &mut self.tally, &mut self.records);
        }
    }

    pub fn on_stderr(&mut self, bytes: &[u8], name: &str) {
        self.complaints.on_bytes(bytes, &self.redactor, |line| log::debug!("{name}: {line}"));
    }

    pub fn on_stderr_ended(&mut self, name: &str) {
        self.complaints.on_end(&self.redactor, |line| log::debug!("{name}: {line}"));
        if self.complaints.unlogged() > 0 {
            log::debug!("{name}: {} more lines, which are not logged", self.complaints.unlogged());
        }
    }

    /// A record that is no piece of the output.
    pub fn add_record(&mut self, kind: Kind, payload: &[u8]) {
        record::encode(kind, payload, &mut self.records);
    }

    pub fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    pub fn take_records(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.records)
    }

    /// Records that the journal did not take.
    pub fn give_back(&mut self, records: Vec<u8>) {
        debug_assert!(self.records.is_empty(), "a journal answers before more is read");
        self.records = records;
    }
}

/// What can be delivered becomes a record, without what the server cannot store; the rest is counted.
fn book(piece: Piece<'_>, run: RunId, keeps: bool, redactor: &Redactor, tally: &mut Tally, records: &mut Vec<u8>) {
    let (kind, bytes) = match piece {
        Piece::Host(bytes) => {
            tally.hosts += 1;
            (Kind::Host, bytes)
        }
        Piece::Credential(bytes) => {
            tally.credentials += 1;
            (Kind::Credential, bytes)
        }
        Piece::Fault(fault) => {
            if let Some(words) = tally.on_fault(&fault, redactor) {
                log::warn!("run {run}: {words}");
            }
            return;
        }
        Piece::Document { .. } | Piece::End => return,
    };
    let repaired = repair(bytes);
    tally.repaired += u64::from(repaired.is_some());
    if keeps {
        record::encode(kind, repaired.as_deref().unwrap_or(bytes), records);
    }
}
