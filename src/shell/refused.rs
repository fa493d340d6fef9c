//! The file of what the server did not take: `refused/RUN.jsonl` in the state directory, mode 0600. Each line is a document, as
//! an executor prints it, with one host or credential and beside it where it belongs and why it was refused, so that a person
//! can correct it and send it again (`agent resend`, or any executor that prints it).

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::event::{Outcome, Posted, Range, RunId, SetAside};
use crate::frame::record::Kind;
use crate::proto::bulk::{self, Envelope};
use crate::proto::repair::Repairs;

use super::batch::Batch;
use super::poster::unreadable;

/// What is held in memory on the way from one file to the other.
const BYTES_MAX: u64 = 1 << 20;

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

/// Where a run's refused pieces are.
fn path(state_dir: &Path, run: RunId) -> PathBuf {
    state_dir.join("refused").join(format!("{run}.jsonl"))
}

/// Copies what is to be set aside from the journal's file into the file of refused pieces; on disk before it returns.
pub fn set_aside(state_dir: &Path, journal: &Path, asked: &SetAside) -> Posted {
    let (mut upto, mut pieces) = (asked.range.from, 0);
    let target = path(state_dir, asked.id.run);
    let outcome = match open(&target) {
        Ok(file) => copy(file, &target, journal, asked, &mut upto, &mut pieces),
        Err(error) => Err(unwritable(&target, &error)),
    };
    let outcome = outcome.err().unwrap_or(Outcome::SetAside);
    Posted { id: asked.id, upto, pieces, repairs: Repairs::default(), outcome }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn copy(
    file: File,
    target: &Path,
    journal: &Path,
    asked: &SetAside,
    upto: &mut u64,
    pieces: &mut u32,
) -> Result<(), Outcome> {
    let before = file.metadata().map(|metadata| metadata.len()).unwrap_or(0);
    let mut writer = BufWriter::new(&file);
    let refused = Refused {
        workspace: asked.workspace.to_string(),
        envelope: (*asked.envelope).clone(),
        why: asked.words.clone(),
        when: bulk::start_date(asked.utc),
    };
    let (mut at, mut count) = (asked.range.from, 0);
    let mut write = || -> Result<(), Outcome> {
        while at < asked.range.upto {
            let batch = Batch::read(journal, Range { from: at, ..asked.range }, u32::MAX, BYTES_MAX)
                .map_err(|error| unreadable(&error))?;
            for (kind, piece) in batch.pieces() {
                write_line(&mut writer, kind, piece, &refused).map_err(|error| unwritable(target, &error))?;
            }
            at = batch.upto;
            count += batch.len();
        }
        writer.flush().and_then(|()| file.sync_data()).map_err(|error| unwritable(target, &error))
    };
    let written = write();
    if written.is_err() {
        // Half a line must not stay behind.
        let _ = file.set_len(before);
        return written;
    }
    (*upto, *pieces) = (at, count);
    Ok(())
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
