//! JSON strings: where they end, and whether they are valid – escapes, control bytes, UTF-8.
//! Driven by the scanner with whatever part of a string a chunk holds; it keeps no bytes but an unfinished character.

use super::FaultKind;
use super::scanner::{Reached, Read};

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

/// Reads the string whose first byte is at `pos`, to behind its closing quote.
#[inline]
pub(super) fn scan(input: &[u8], pos: usize) -> Read<Text> {
    let end = ascii_end(input, pos);
    match input.get(end) {
        Some(b'"') => Ok(Reached::End(end + 1)),
        _ => scan_on(input, end),
    }
}

/// Goes on with a string that the end of the last chunk cut.
pub(super) fn resume(text: Text, input: &[u8]) -> Read<Text> {
    match special(text, input, 0)? {
        Reached::End(pos) => scan(input, pos),
        open => Ok(open),
    }
}

/// Goes on where plain ASCII has ended.
fn scan_on(input: &[u8], mut pos: usize) -> Read<Text> {
    while let Some(&byte) = input.get(pos) {
        let read = match byte {
            b'"' => return Ok(Reached::End(pos + 1)),
            b'\\' => special(Text::Escape, input, pos + 1)?,
            0x80.. => characters(input, pos)?,
            _ => return Err(FaultKind::NotJson),
        };
        match read {
            Reached::End(end) => pos = ascii_end(input, end),
            open => return Ok(open),
        }
    }
    Ok(Reached::Open(Text::Plain))
}

/// Reads plain characters of any kind, to the next quote, backslash or control byte.
fn characters(input: &[u8], pos: usize) -> Read<Text> {
    let end = characters_end(input, pos);
    match std::str::from_utf8(&input[pos..end]) {
        Ok(_) => Ok(Reached::End(end)),
        // A character that the chunk's end cuts may yet become whole; any other may not.
        Err(error) if error.error_len().is_none() && end == input.len() => {
            Ok(Reached::Open(begun(&input[pos + error.valid_up_to()..])))
        }
        Err(_) => Err(FaultKind::NotUtf8),
    }
}

/// Reads the rest of an escape, or of a character that a chunk's end cut, at `pos`.
fn special(mut text: Text, input: &[u8], mut pos: usize) -> Read<Text> {
    while text != Text::Plain {
        let Some(&byte) = input.get(pos) else {
            return Ok(Reached::Open(text));
        };
        text = match (text, byte) {
            (Text::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Text::Plain,
            (Text::Escape, b'u') => Text::Hex(4),
            (Text::Hex(1), _) if byte.is_ascii_hexdigit() => Text::Plain,
            (Text::Hex(left), _) if byte.is_ascii_hexdigit() => Text::Hex(left - 1),
            (Text::Utf8 { bytes, len }, _) => complete(bytes, len, byte)?,
            _ => return Err(FaultKind::NotJson),
        };
        pos += 1;
    }
    Ok(Reached::End(pos))
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

/// Where the plain ASCII that begins at `pos` ends.
#[inline]
fn ascii_end(input: &[u8], pos: usize) -> usize {
    find(input, pos, |word| (stops(word) | word) & each(0x80))
}

/// Where the plain characters of any kind that begin at `pos` end.
fn characters_end(input: &[u8], pos: usize) -> usize {
    find(input, pos, |word| stops(word) & !word & each(0x80))
}

/// Where the spaces that begin at `pos`, if any, end.
#[inline]
pub(super) fn spaces_end(input: &[u8], pos: usize) -> usize {
    find(input, pos, |word| word ^ each(b' '))
}

/// Sets the high bit of quotes, backslashes and control bytes. The high bits of other bytes say nothing if they are not
/// ASCII, or above one of these (a subtraction borrows from them).
#[inline]
fn stops(word: u64) -> u64 {
    // This maps a quote to 0x20 and nothing else to a byte that was no control byte and now is below 0x21.
    let quotes_and_controls = (word ^ each(2)).wrapping_sub(each(0x21));
    let backslashes = (word ^ each(b'\\')).wrapping_sub(each(1));
    quotes_and_controls | backslashes
}

/// Finds a byte from `pos` on, eight at a time: `marks` sets bits in the bytes that are looked for, and in none below
/// the lowest of them. Without such a byte it is the input's end.
#[inline]
fn find(input: &[u8], mut pos: usize, marks: impl Fn(u64) -> u64) -> usize {
    while let Some(bytes) = input.get(pos..).and_then(|rest| rest.first_chunk()) {
        let marks = marks(u64::from_le_bytes(*bytes));
        if marks != 0 {
            return pos + marks.trailing_zeros() as usize / 8;
        }
        pos += 8;
    }
    while let Some(&byte) = input.get(pos)
        && marks(byte.into()) & 0xff == 0
    {
        pos += 1;
    }
    pos
}

/// A word of eight times this byte.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}
