//! JSON strings: where they end, and whether they are valid – escapes, control bytes, UTF-8.
//! Driven by the scanner with whatever part of a string a chunk holds; it keeps no bytes but an unfinished character.

use super::FaultKind;
use super::scanner::Reached;

/// Where in a string a chunk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    Plain,
    /// Behind a backslash.
    Escape,
    /// In a `\u` escape; so many hex digits are still to come.
    Hex(u8),
    /// In a character of several bytes, of which the chunk held the first `len`.
    Utf8 {
        bytes: [u8; 4],
        len: u8,
    },
}

/// Goes on with a string at `pos`, behind the opening quote if `text` is `Plain`; ends behind the closing one.
pub(super) fn scan(mut text: Text, input: &[u8], mut pos: usize) -> Result<Reached<Text>, FaultKind> {
    loop {
        let Some(&byte) = input.get(pos) else {
            return Ok(Reached::Open(text));
        };
        text = match (text, byte) {
            (Text::Plain, _) => match plain(input, pos)? {
                Plain::Stop(b'"', end) => return Ok(Reached::End(end + 1)),
                Plain::Stop(b'\\', end) => {
                    pos = end;
                    Text::Escape
                }
                Plain::Stop(..) => return Err(FaultKind::NotJson),
                Plain::Open(text) => return Ok(Reached::Open(text)),
            },
            (Text::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Text::Plain,
            (Text::Escape, b'u') => Text::Hex(4),
            (Text::Hex(1), _) if byte.is_ascii_hexdigit() => Text::Plain,
            (Text::Hex(left), _) if byte.is_ascii_hexdigit() => Text::Hex(left - 1),
            (Text::Utf8 { bytes, len }, _) => complete(bytes, len, byte)?,
            _ => return Err(FaultKind::NotJson),
        };
        pos += 1;
    }
}

/// What a run of plain characters came to.
enum Plain {
    /// A quote, a backslash or a control byte, and where it stands.
    Stop(u8, usize),
    Open(Text),
}

#[inline]
fn plain(input: &[u8], pos: usize) -> Result<Plain, FaultKind> {
    let run = run(input, pos);
    let stop = input.get(run.end);
    let mut open = Text::Plain;
    if !run.ascii
        && let Err(error) = std::str::from_utf8(&input[pos..run.end])
    {
        // A character that the chunk's end cuts may yet become whole; any other may not.
        if error.error_len().is_some() || stop.is_some() {
            return Err(FaultKind::NotUtf8);
        }
        open = begun(&input[pos + error.valid_up_to()..run.end]);
    }
    Ok(match stop {
        Some(&byte) => Plain::Stop(byte, run.end),
        None => Plain::Open(open),
    })
}

fn begun(character: &[u8]) -> Text {
    let mut bytes = [0; 4];
    bytes[..character.len()].copy_from_slice(character);
    Text::Utf8 { bytes, len: character.len() as u8 }
}

/// Adds the next byte to an unfinished character.
fn complete(mut bytes: [u8; 4], len: u8, next: u8) -> Result<Text, FaultKind> {
    bytes[len as usize] = next;
    let len = len + 1;
    match std::str::from_utf8(&bytes[..len as usize]) {
        Ok(_) => Ok(Text::Plain),
        Err(error) if error.error_len().is_none() => Ok(Text::Utf8 { bytes, len }),
        Err(_) => Err(FaultKind::NotUtf8),
    }
}

/// A run of plain characters.
struct Run {
    end: usize,
    ascii: bool,
}

/// Finds the end of the plain characters that begin at `pos`, eight bytes at a time.
#[inline]
fn run(input: &[u8], mut pos: usize) -> Run {
    let mut seen = 0;
    while let Some(bytes) = input[pos..].first_chunk() {
        let word = u64::from_le_bytes(*bytes);
        let stops = stops(word);
        if stops != 0 {
            let first = stops & stops.wrapping_neg();
            seen |= word & (first - 1);
            let end = pos + first.trailing_zeros() as usize / 8;
            return Run { end, ascii: seen & HIGH_BITS == 0 };
        }
        seen |= word;
        pos += 8;
    }
    let rest = &input[pos..];
    let len = rest.iter().position(|&b| b < b' ' || b == b'"' || b == b'\\').unwrap_or(rest.len());
    Run { end: pos + len, ascii: seen & HIGH_BITS == 0 && rest[..len].is_ascii() }
}

const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Sets the high bit of each byte that is a quote, a backslash or below a blank. Bytes above the lowest such byte
/// may be marked wrongly (a subtraction borrows from them), so only the lowest mark counts.
#[inline]
fn stops(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
    const BLANKS: u64 = u64::from_ne_bytes([b' '; 8]);
    let quotes = (word ^ QUOTES).wrapping_sub(ONES);
    let backslashes = (word ^ BACKSLASHES).wrapping_sub(ONES);
    let controls = word.wrapping_sub(BLANKS);
    (quotes | backslashes | controls) & !word & HIGH_BITS
}
