//! Reads a journal's bytes as they come, in chunks of any size: tells every whole record and where the last one ends. Holds
//! at most one note; of pieces nothing but their checksum. What the records mean is the engine's business.

use super::{Check, DecodeError, HEADER_BYTES, Header, Kind};

/// A note holds no more than a message of the server does, escaped; what claims to be a larger one is damage.
const NOTE_BYTES_MAX: usize = 64 << 20;

/// A record that is being read.
#[derive(Debug)]
struct Open {
    check: Check,
    bytes_left: usize,
    keeps: bool,
}

/// The reading of one journal file from its beginning.
#[derive(Debug, Default)]
pub struct Replay {
    header: Vec<u8>,
    open: Option<Open>,
    payload: Vec<u8>,
    /// Behind the last whole record.
    end: u64,
    /// Of the record that is being read.
    bytes_used: u64,
}

impl Replay {
    /// Takes the next bytes of the file. `tell` gets each record that they complete: its kind, its payload (of a note; empty
    /// for a piece) and where it ends. After an error nothing behind `end` can be trusted.
    pub fn read(&mut self, mut chunk: &[u8], mut tell: impl FnMut(Kind, &[u8], u64)) -> Result<(), DecodeError> {
        while !chunk.is_empty() {
            chunk = match self.open.take() {
                None => self.read_header(chunk)?,
                Some(open) => self.read_payload(open, chunk),
            };
            if let Some(open) = self.open.take_if(|open| open.bytes_left == 0) {
                let kind = open.check.finish()?;
                self.end += self.bytes_used;
                tell(kind, &self.payload, self.end);
                self.payload.clear();
            }
        }
        Ok(())
    }

    /// Where the last whole record ends: the length of the file, once it is cut.
    pub fn end(&self) -> u64 {
        self.end
    }

    fn read_header<'c>(&mut self, chunk: &'c [u8]) -> Result<&'c [u8], DecodeError> {
        let taken = chunk.len().min(HEADER_BYTES - self.header.len());
        self.header.extend_from_slice(&chunk[..taken]);
        if self.header.len() == HEADER_BYTES {
            let header = Header::decode(&self.header)?;
            let keeps = !header.claims_piece();
            if keeps && header.payload_bytes > NOTE_BYTES_MAX {
                return Err(DecodeError::Corrupt(super::Damage::Length(header.payload_bytes as u32)));
            }
            self.header.clear();
            self.bytes_used = (HEADER_BYTES + header.payload_bytes) as u64;
            self.open = Some(Open { check: header.check(), bytes_left: header.payload_bytes, keeps });
        }
        Ok(&chunk[taken..])
    }

    fn read_payload<'c>(&mut self, mut open: Open, chunk: &'c [u8]) -> &'c [u8] {
        let (stretch, rest) = chunk.split_at(chunk.len().min(open.bytes_left));
        open.check.update(stretch);
        open.bytes_left -= stretch.len();
        if open.keeps {
            self.payload.extend_from_slice(stretch);
        }
        self.open = Some(open);
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode;
    use super::*;

    fn journal() -> Vec<u8> {
        let mut journal = Vec::new();
        encode(Kind::Run, br#"{"run":7}"#, &mut journal);
        encode(Kind::Host, br#"{"ip":"10.0.0.1"}"#, &mut journal);
        encode(Kind::Credential, b"", &mut journal);
        encode(Kind::Settled, b"{}", &mut journal);
        journal
    }

    type Told = Vec<(Kind, Vec<u8>, u64)>;

    fn told(chunks: &[&[u8]]) -> (Told, u64, bool) {
        let (mut replay, mut told) = (Replay::default(), Vec::new());
        let mut tell = |kind: Kind, payload: &[u8], end| told.push((kind, payload.to_vec(), end));
        let is_sound = chunks.iter().all(|chunk| replay.read(chunk, &mut tell).is_ok());
        (told, replay.end(), is_sound)
    }

    #[test]
    fn records_are_the_same_however_the_bytes_come() {
        let journal = journal();
        let expected = told(&[&journal]);
        let kinds: Vec<Kind> = expected.0.iter().map(|(kind, ..)| *kind).collect();
        assert_eq!(kinds, [Kind::Run, Kind::Host, Kind::Credential, Kind::Settled]);
        assert_eq!(expected.0[0].1, br#"{"run":7}"#);
        assert_eq!(expected.0[1].1, b"", "of a piece nothing is kept");
        assert_eq!(expected.1, journal.len() as u64);
        for at in 0..=journal.len() {
            assert_eq!(told(&[&journal[..at], &journal[at..]]), expected, "split at {at}");
        }
        let bytes: Vec<&[u8]> = journal.chunks(1).collect();
        assert_eq!(told(&bytes), expected);
    }

    #[test]
    fn a_torn_tail_ends_the_journal_before_it() {
        let journal = journal();
        let ends: Vec<u64> = told(&[&journal]).0.iter().map(|(.., end)| *end).collect();
        for len in 0..journal.len() {
            let (_, end, is_sound) = told(&[&journal[..len]]);
            assert!(is_sound);
            assert_eq!(end, ends.iter().copied().filter(|end| *end <= len as u64).max().unwrap_or(0), "{len}");
        }
        let zeros = [&journal[..], &[0; 100]].concat();
        assert_eq!(told(&[&zeros]).1, journal.len() as u64);
    }

    #[test]
    fn damage_stops_the_reading_and_takes_no_memory() {
        let mut huge = Vec::new();
        huge.extend_from_slice(&(100u32 << 20).to_le_bytes());
        huge.extend_from_slice(&[1, 2, 3, 4, Kind::Settled as u8]);
        assert_eq!(told(&[&huge]), (vec![], 0, false));
        for bit in 0..journal().len() * 8 {
            let mut journal = journal();
            journal[bit / 8] ^= 1 << (bit % 8);
            let (records, end, _) = told(&[&journal]);
            assert!(records.len() < 4, "bit {bit}");
            assert!(end <= bit as u64 / 8, "bit {bit}");
        }
    }
}
