//! What comes out of a stream, and that it does not depend on how the stream is split.

mod anew;
mod faults;
mod random;
mod streams;

use super::*;

/// All that comes out of a stream which arrives in these chunks, one line of text each.
fn read<'c>(chunks: impl IntoIterator<Item = &'c [u8]>, piece_bytes_max: usize) -> Vec<String> {
    let mut framer = Framer::new(piece_bytes_max);
    let mut told = Vec::new();
    for mut input in chunks {
        while let Some(piece) = framer.next(&mut input) {
            told.push(tell(piece));
        }
        assert!(input.is_empty(), "`None` means that all was taken");
    }
    while let Some(piece) = framer.finish() {
        told.push(tell(piece));
    }
    match framer.ignored_bytes() {
        0 => {}
        bytes => told.push(format!("ignored {bytes}")),
    }
    told
}

fn tell(piece: Piece<'_>) -> String {
    match piece {
        Piece::Host(bytes) => format!("host {}", std::str::from_utf8(bytes).unwrap()),
        Piece::Credential(bytes) => format!("credential {}", std::str::from_utf8(bytes).unwrap()),
        Piece::Document { hosts: true, credentials: false } => "document".into(),
        Piece::Document { hosts: false, credentials: true } => "document of credentials".into(),
        Piece::Document { .. } => "document of both".into(),
        Piece::Fault(fault) => format!("{:?} {}", fault.kind, fault.quote.escape_ascii()),
        Piece::End => "end".into(),
    }
}

/// All that comes out of a stream, after making sure that every way to split it gives the same.
fn read_split(stream: &[u8], piece_bytes_max: usize) -> Vec<String> {
    let whole = read([stream], piece_bytes_max);
    let text = stream.escape_ascii();
    for at in 0..=stream.len() {
        let (left, right) = stream.split_at(at);
        assert_eq!(read([left, right], piece_bytes_max), whole, "split at {at}: {text}");
    }
    for len in [1, 2, 3, 7, 8, 9] {
        assert_eq!(read(stream.chunks(len), piece_bytes_max), whole, "chunks of {len}: {text}");
    }
    let mut random = Random::new(stream.len() as u64);
    for _ in 0..8 {
        let chunks = random.split(stream);
        assert_eq!(read(chunks.iter().copied(), piece_bytes_max), whole, "chunks {chunks:?}");
    }
    whole
}

/// `expected`: what comes out of the stream, in any split.
#[track_caller]
fn check(stream: impl AsRef<[u8]>, expected: &[&str]) {
    let stream = stream.as_ref();
    assert_eq!(read_split(stream, 1 << 20), expected, "{}", stream.escape_ascii());
}

/// A document as other programs print it, over many lines.
fn print(document: &serde_json::Value, indent: &str) -> String {
    let mut printed = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut printed, format);
    serde::Serialize::serialize(document, &mut serializer).unwrap();
    String::from_utf8(printed).unwrap()
}

/// A small generator of the same numbers for the same seed (xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Chunks of any length, some of them empty.
    fn split<'s>(&mut self, mut stream: &'s [u8]) -> Vec<&'s [u8]> {
        let mut chunks = Vec::new();
        while !stream.is_empty() {
            let most = self.pick(&[3, 30, 300]);
            let (chunk, rest) = stream.split_at(self.below(most).min(stream.len()));
            chunks.push(chunk);
            stream = rest;
        }
        chunks
    }
}
