//! What stands in JSON texts: read, written, and freed of the characters that a server cannot store, U+0000 and lone
//! surrogates. Looks at nothing but escapes.

use std::borrow::Cow;

use memchr::memchr;

use super::rule::{Repairs, Rule};

const REPLACEMENT_CHARACTER: &[u8] = br"\ufffd";

/// The piece without U+0000 and with U+FFFD in place of lone surrogates; `None` if it has neither. `piece` is valid JSON,
/// so a backslash stands only in its texts.
pub(super) fn clean(piece: &[u8], repairs: &mut Repairs) -> Option<Vec<u8>> {
    let mut repaired = Vec::new();
    let (mut copied, mut pos) = (0, 0);
    while let Some(start) = next_escape(piece, pos) {
        let (length, substitute) = escape(&piece[start..]);
        pos = (start + length).min(piece.len());
        if let Some(substitute) = substitute {
            repaired.extend_from_slice(&piece[copied..start]);
            repaired.extend_from_slice(substitute);
            repairs.note(if substitute.is_empty() { Rule::Nul } else { Rule::LoneSurrogate });
            copied = pos;
        }
    }
    if copied == 0 {
        return None;
    }
    repaired.extend_from_slice(&piece[copied..]);
    Some(repaired)
}

/// Where the next backslash from `pos` on is. Escapes often stand directly behind each other.
fn next_escape(piece: &[u8], pos: usize) -> Option<usize> {
    match piece.get(pos)? {
        b'\\' => Some(pos),
        _ => memchr(b'\\', &piece[pos..]).map(|found| pos + found),
    }
}

/// The length of the escape that `text` begins with, and what has to stand in its place.
fn escape(text: &[u8]) -> (usize, Option<&'static [u8]>) {
    match text {
        [_, b'u', b'0', b'0', b'0', b'0', ..] => (br"\u0000".len(), Some(b"")),
        [_, b'u', b'd' | b'D', ..] => surrogate(text),
        [_, b'u', ..] => (br"\u0001".len(), None),
        _ => (br"\n".len(), None),
    }
}

/// The same for an escape that may be a surrogate.
fn surrogate(text: &[u8]) -> (usize, Option<&'static [u8]>) {
    let second = text.get(br"\ud800".len()..).and_then(unit);
    match (unit(text), second) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (br"\ud800\udc00".len(), None),
        (Some(0xd800..=0xdfff), _) => (br"\ud800".len(), Some(REPLACEMENT_CHARACTER)),
        _ => (br"\ud7ff".len(), None),
    }
}

/// The number in a `\uXXXX` that `text` begins with.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// What a text says, of which `printed` is the JSON with its quotes.
pub(super) fn decode(printed: &[u8]) -> Cow<'_, [u8]> {
    let mut rest = printed.get(1..printed.len().max(2) - 1).unwrap_or_default();
    let mut said = Vec::new();
    while let Some(found) = memchr(b'\\', rest) {
        let (length, character) = said_by_escape(&rest[found..]);
        said.reserve(rest.len());
        said.extend_from_slice(&rest[..found]);
        said.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = rest.get(found + length..).unwrap_or_default();
    }
    if said.is_empty() {
        return Cow::Borrowed(rest);
    }
    said.extend_from_slice(rest);
    Cow::Owned(said)
}

/// The length of the escape that `text` begins with, and what it says.
fn said_by_escape(text: &[u8]) -> (usize, char) {
    let character = match text.get(1) {
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'u') => {
            let second = text.get(br"\ud800".len()..).and_then(unit);
            let decoded = char::decode_utf16(unit(text).into_iter().chain(second)).next();
            let character = decoded.and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER);
            return (br"\ud800".len() * character.len_utf16(), character);
        }
        Some(other) => char::from(*other),
        None => char::REPLACEMENT_CHARACTER,
    };
    (br"\n".len(), character)
}

/// The same as characters.
pub(super) fn decode_str(printed: &[u8]) -> String {
    String::from_utf8_lossy(&decode(printed)).into_owned()
}

/// A text as JSON, with its quotes.
pub(super) fn encode(text: &str) -> Vec<u8> {
    serde_json::Value::from(text).to_string().into_bytes()
}

/// Whether a value is a text, and not an empty one.
pub(super) fn is_said(printed: &[u8]) -> bool {
    printed.first() == Some(&b'"') && printed != br#""""#
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_goes_and_lone_surrogates_are_replaced() {
        for (piece, expected, counts) in [
            (r#"{"a":"x\u0000y"}"#, r#"{"a":"xy"}"#, (1, 0)),
            (r#"{"\u0000a\u0000":"\u0000\u0000"}"#, r#"{"a":""}"#, (4, 0)),
            (r#""\ud800""#, r#""\ufffd""#, (0, 1)),
            (r#""\uDFFF x""#, r#""\ufffd x""#, (0, 1)),
            (r#""\ud83dé""#, r#""\ufffdé""#, (0, 1)),
            (r#""\ud83d\n\ude00""#, r#""\ufffd\n\ufffd""#, (0, 2)),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#, (0, 1)),
            (r#""\ud83d\u0000\ude00""#, r#""\ufffd\ufffd""#, (1, 2)),
            (r#""\\\u0000\\""#, r#""\\\\""#, (1, 0)),
        ] {
            let mut repairs = Repairs::default();
            let cleaned = clean(piece.as_bytes(), &mut repairs).map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
            assert_eq!(cleaned.as_deref(), Some(expected), "{piece}");
            assert_eq!((repairs.count(Rule::Nul), repairs.count(Rule::LoneSurrogate)), counts, "{piece}");
        }
    }

    #[test]
    fn what_the_server_can_store_is_left_alone() {
        for piece in [
            r#"{"ip":"10.0.0.1"}"#,
            r#""\\u0000 \\\\ud800""#,
            r#""\ud7ff\uD83D\uDE00 \ud83d\ude00 \u0001 \uffff \u00e9 \n\"\/\t""#,
            "1",
            "",
        ] {
            assert_eq!(clean(piece.as_bytes(), &mut Repairs::default()), None, "{piece}");
        }
    }

    #[test]
    fn texts_are_read_and_written() {
        for (printed, text) in
            [(r#""""#, ""), (r#""a b""#, "a b"), (r#""\u00e9\n\"\\/""#, "é\n\"\\/"), (r#""\ud83d\ude00é""#, "😀é")]
        {
            assert_eq!(decode_str(printed.as_bytes()), text);
            assert_eq!(decode_str(&encode(text)), text);
        }
        assert_eq!(decode_str(b""), "");
        assert_eq!(decode_str(b"\""), "");
    }
}
