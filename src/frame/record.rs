//! The records of a journal: how each is written, and how what stands in the file is told from what a crash tore.
//! Pure: bytes in, bytes out. The engine encodes, workers and the simulator decode; who writes, and when, is not known
//! here.
//!
//! A journal is nothing but records, appended one after the other:
//!
//! ```text
//! payload length  u32, little endian
//! checksum        u32, little endian: CRC-32 of kind and payload
//! kind            u8
//! payload
//! ```
//!
//! A crash can leave a record's beginning at the end of the file, or zeros (the file had grown, its bytes were not yet
//! written); neither passes for a record. A reader (`Replay`) stops at the first record that does not decode, and the file
//! is cut there.

use std::fmt;

mod replay;

pub use replay::Replay;

/// What stands before a payload.
pub const HEADER_BYTES: usize = 9;

/// No payload is larger. A length above it is not a length but damage.
pub const PAYLOAD_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What a record says. Further kinds get further numbers; a number is never used again for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The run that the journal belongs to, as JSON: the first record of each of its files.
    Run = 1,
    /// A host, as it was cut from the stream.
    Host = 2,
    /// A credential, likewise.
    Credential = 3,
    /// How far one workspace has got, as JSON; the last one of a workspace counts.
    Settled = 4,
    /// The process group of the executor, as JSON.
    Process = 5,
    /// How the executor ended, as JSON: no piece comes behind it.
    Ended = 6,
}

impl Kind {
    fn from_number(number: u8) -> Option<Kind> {
        let kinds = [Kind::Run, Kind::Host, Kind::Credential, Kind::Settled, Kind::Process, Kind::Ended];
        kinds.into_iter().find(|&kind| kind as u8 == number)
    }

    /// Whether it is something to deliver, and not a note about the run.
    pub fn is_piece(self) -> bool {
        matches!(self, Kind::Host | Kind::Credential)
    }
}

/// Appends a record to `out`.
pub fn encode(kind: Kind, payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(payload.len() <= PAYLOAD_BYTES_MAX, "the limit of pieces is below that of payloads");
    out.reserve(HEADER_BYTES + payload.len());
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&checksum(kind as u8, payload).to_le_bytes());
    out.push(kind as u8);
    out.extend_from_slice(payload);
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[kind]);
    crc.update(payload);
    crc.finalize()
}

/// A record as it stands in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'j> {
    pub kind: Kind,
    pub payload: &'j [u8],
    /// How many bytes of the journal it takes, header and all.
    pub bytes_used: usize,
}

/// Why there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end before the record does. At the end of a file: it was torn, or is still being written.
    Incomplete {
        /// How many bytes, from the record's beginning, are needed to get further.
        bytes_needed: usize,
    },
    /// These bytes were never a whole record, or have changed since.
    Corrupt(Damage),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The length is above [`PAYLOAD_BYTES_MAX`].
    Length(u32),
    Checksum,
    /// The checksum is right, the kind unknown: a newer agent wrote this.
    Kind(u8),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Incomplete { .. } => write!(f, "the record is incomplete"),
            DecodeError::Corrupt(Damage::Length(len)) => {
                write!(f, "the record claims a length of {len} bytes")
            }
            DecodeError::Corrupt(Damage::Checksum) => write!(f, "the record's checksum is wrong"),
            DecodeError::Corrupt(Damage::Kind(kind)) => {
                write!(f, "the record is of unknown kind {kind}: written by a newer agent?")
            }
        }
    }
}

impl std::error::Error for DecodeError {}

/// What stands before a payload, for a reader that does not want the whole record in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub payload_bytes: usize,
    /// What kind it says that the record is; believe it when the checksum bears it out.
    number: u8,
    checksum: u32,
}

impl Header {
    /// Reads the header that `journal` begins with; the payload may be cut off.
    pub fn decode(journal: &[u8]) -> Result<Header, DecodeError> {
        let Some((header, _)) = journal.split_first_chunk::<HEADER_BYTES>() else {
            return Err(DecodeError::Incomplete { bytes_needed: HEADER_BYTES });
        };
        let [l0, l1, l2, l3, c0, c1, c2, c3, number] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if length as usize > PAYLOAD_BYTES_MAX {
            return Err(DecodeError::Corrupt(Damage::Length(length)));
        }
        Ok(Header { payload_bytes: length as usize, number, checksum: u32::from_le_bytes([c0, c1, c2, c3]) })
    }

    /// Whether it claims to be a piece, whose payload need not be kept to know the run.
    fn claims_piece(self) -> bool {
        Kind::from_number(self.number).is_some_and(Kind::is_piece)
    }

    /// A check of the payload as it passes by.
    pub fn check(self) -> Check {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&[self.number]);
        Check { crc, number: self.number, expected: self.checksum }
    }
}

/// The checksum of a payload that is read in stretches.
#[derive(Clone, Debug)]
pub struct Check {
    crc: crc32fast::Hasher,
    number: u8,
    expected: u32,
}

impl Check {
    pub fn update(&mut self, stretch: &[u8]) {
        self.crc.update(stretch);
    }

    /// The record's kind, if the payload is what was written.
    pub fn finish(self) -> Result<Kind, DecodeError> {
        if self.crc.finalize() != self.expected {
            return Err(DecodeError::Corrupt(Damage::Checksum));
        }
        Kind::from_number(self.number).ok_or(DecodeError::Corrupt(Damage::Kind(self.number)))
    }
}

/// Decodes the record that `journal` begins with. Nothing is copied.
pub fn decode(journal: &[u8]) -> Result<Record<'_>, DecodeError> {
    let header = Header::decode(journal)?;
    let bytes_used = HEADER_BYTES + header.payload_bytes;
    let Some(payload) = journal.get(HEADER_BYTES..bytes_used) else {
        return Err(DecodeError::Incomplete { bytes_needed: bytes_used });
    };
    let mut check = header.check();
    check.update(payload);
    Ok(Record { kind: check.finish()?, payload, bytes_used })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> Vec<u8> {
        let mut journal = Vec::new();
        encode(Kind::Run, br#"{"run":7}"#, &mut journal);
        encode(Kind::Host, br#"{"ip":"10.0.0.1"}"#, &mut journal);
        encode(Kind::Credential, b"", &mut journal);
        journal
    }

    #[test]
    fn records_come_back_as_written() {
        let journal = journal();
        let mut rest = &journal[..];
        let mut records = Vec::new();
        while !rest.is_empty() {
            let record = decode(rest).unwrap();
            records.push((record.kind, record.payload));
            rest = &rest[record.bytes_used..];
        }
        let expected: [(Kind, &[u8]); 3] =
            [(Kind::Run, br#"{"run":7}"#), (Kind::Host, br#"{"ip":"10.0.0.1"}"#), (Kind::Credential, b"")];
        assert_eq!(records, expected);
    }

    #[test]
    fn the_format_does_not_change() {
        let mut out = Vec::new();
        encode(Kind::Host, b"{}", &mut out);
        assert_eq!(out, [2, 0, 0, 0, 0xc0, 0xa0, 0xba, 0x1e, 2, b'{', b'}']);
    }

    #[test]
    fn every_torn_tail_is_incomplete_and_says_how_much_it_needs() {
        let mut record = Vec::new();
        encode(Kind::Host, b"0123456789", &mut record);
        for len in 0..record.len() {
            let bytes_needed = if len < HEADER_BYTES { HEADER_BYTES } else { record.len() };
            assert_eq!(decode(&record[..len]), Err(DecodeError::Incomplete { bytes_needed }), "{len}");
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut record = Vec::new();
        encode(Kind::Host, b"0123456789", &mut record);
        for bit in 0..record.len() * 8 {
            let mut bad = record.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn damage_is_told_from_a_torn_tail() {
        let mut newer = journal();
        newer[8] = 200;
        let crc = checksum(200, br#"{"run":7}"#).to_le_bytes();
        newer[4..8].copy_from_slice(&crc);
        let cases: [(&[u8], Damage); 3] =
            [(&[0; 4096], Damage::Checksum), (&[0xff; 4096], Damage::Length(u32::MAX)), (&newer, Damage::Kind(200))];
        for (bytes, damage) in cases {
            assert_eq!(decode(bytes), Err(DecodeError::Corrupt(damage)));
        }
    }
}
