//! nmap's XML: documents that the framer takes, one a line, and no more memory than a host and its converted form need.

use std::io;

use faraday_agent::frame::{Framer, Piece};
use faraday_agent::report::{self, Options};

use super::memory;

/// Beside what grows with the report: the readers' buffers.
const BYTES_BESIDE: usize = 1 << 20;

pub fn run(bytes: &[u8]) {
    let mut documents = Vec::new();
    let bytes_max = BYTES_BESIDE + 24 * bytes.len();
    let converted = memory::bounded(bytes_max, || {
        report::run("nmap", bytes, io::BufWriter::new(&mut documents), &Options::default())
    });
    if let Err(error) = converted {
        assert!(!error.to_string().is_empty());
    }
    let (mut framer, mut left) = (Framer::new(64 << 20), &documents[..]);
    while let Some(piece) = framer.next(&mut left) {
        assert!(!matches!(piece, Piece::Fault(_) | Piece::End), "{piece:?}");
    }
    let end = framer.finish();
    assert!(end.is_none(), "{end:?}");
}
