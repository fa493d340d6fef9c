//! What a run prints, on its way to the journal: stdout is cut into pieces and booked, stderr into lines for the log. Holds
//! nothing that grows.

use crate::frame::record::Kind;
use crate::frame::{Framer, Piece};

use super::event::RunId;
use super::journal::Journal;
use super::redact::Redactor;
use super::tally::{Complaints, Tally};

/// One host or credential; larger ones are refused with a message.
const PIECE_BYTES_MAX: usize = 64 << 20;

pub struct Intake {
    run: RunId,
    /// Whether pieces are wanted, and not only counted.
    keeps: bool,
    framer: Framer,
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
            redactor,
            tally: Tally::default(),
            complaints: Complaints::default(),
        }
    }

    /// Of a run whose executor ended under an earlier agent.
    pub fn resumed(run: RunId, hosts: u64, credentials: u64, redactor: Redactor) -> Intake {
        let tally = Tally { hosts, credentials, ..Tally::default() };
        Intake { tally, ..Intake::new(run, true, redactor) }
    }

    /// Bytes that came after the executor's own end of its output.
    pub fn ignored_bytes(&self) -> u64 {
        self.framer.ignored_bytes()
    }

    pub fn on_stdout(&mut self, mut bytes: &[u8], journal: &mut Journal) {
        while let Some(piece) = self.framer.next(&mut bytes) {
            let into = self.keeps.then_some(&mut *journal);
            book(piece, self.run, &self.redactor, &mut self.tally, into);
        }
    }

    pub fn on_stdout_ended(&mut self, journal: &mut Journal) {
        while let Some(piece) = self.framer.finish() {
            let into = self.keeps.then_some(&mut *journal);
            book(piece, self.run, &self.redactor, &mut self.tally, into);
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
}

/// What can be delivered goes into the journal as it was printed; the rest is counted.
fn book(piece: Piece<'_>, run: RunId, redactor: &Redactor, tally: &mut Tally, journal: Option<&mut Journal>) {
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
    if let Some(journal) = journal {
        journal.add_piece(kind, bytes);
    }
}
