//! Takes out of a piece what JSON allows and a Faraday server cannot store: it answers 201 to a text with U+0000 or half a
//! surrogate pair, and then loses the host (bulk-create.md 5). Looks at nothing but escapes. Driven by the engine before a
//! piece is kept.

use memchr::memchr;

const REPLACEMENT_CHARACTER: &[u8] = br"\ufffd";

/// The piece without U+0000 and with U+FFFD in place of lone surrogates; `None` if it has neither. `piece` is valid JSON,
/// so a backslash stands only in its texts.
pub fn repair(piece: &[u8]) -> Option<Vec<u8>> {
    let mut repaired = Vec::new();
    let (mut copied, mut pos) = (0, 0);
    while let Some(found) = memchr(b'\\', &piece[pos..]) {
        let start = pos + found;
        let (length, substitute) = escape(&piece[start..]);
        pos = (start + length).min(piece.len());
        if let Some(substitute) = substitute {
            repaired.extend_from_slice(&piece[copied..start]);
            repaired.extend_from_slice(substitute);
            copied = pos;
        }
    }
    if copied == 0 {
        return None;
    }
    repaired.extend_from_slice(&piece[copied..]);
    Some(repaired)
}

/// The length of the escape that `text` begins with, and what has to stand in its place.
fn escape(text: &[u8]) -> (usize, Option<&'static [u8]>) {
    match unit(text) {
        None => (br"\n".len(), None),
        Some(0) => (br"\u0000".len(), Some(b"")),
        Some(0xd800..=0xdbff) if matches!(unit(&text[br"\ud800".len()..]), Some(0xdc00..=0xdfff)) => {
            (br"\ud800\udc00".len(), None)
        }
        Some(0xd800..=0xdfff) => (br"\ud800".len(), Some(REPLACEMENT_CHARACTER)),
        Some(_) => (br"\u0001".len(), None),
    }
}

/// The number in a `\uXXXX` that `text` begins with.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::repair;

    #[test]
    fn nul_goes_and_lone_surrogates_are_replaced() {
        for (piece, expected) in [
            (r#"{"a":"x\u0000y"}"#, r#"{"a":"xy"}"#),
            (r#"{"\u0000a\u0000":"\u0000\u0000"}"#, r#"{"a":""}"#),
            (r#""\ud800""#, r#""\ufffd""#),
            (r#""\uDFFF x""#, r#""\ufffd x""#),
            (r#""\ud83dé""#, r#""\ufffdé""#),
            (r#""\ud83d\n\ude00""#, r#""\ufffd\n\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\u0000\ude00""#, r#""\ufffd\ufffd""#),
            (r#""\\\u0000\\""#, r#""\\\\""#),
        ] {
            let repaired = repair(piece.as_bytes()).map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
            assert_eq!(repaired.as_deref(), Some(expected), "{piece}");
        }
    }

    #[test]
    fn what_the_server_can_store_is_left_alone() {
        for piece in [
            r#"{"ip":"10.0.0.1"}"#,
            r#""\\u0000 \\\\ud800""#,
            r#""\ud83d\ude00 \u0001 \uffff \u00e9 \n\"\/\t""#,
            "1",
            "",
        ] {
            assert_eq!(repair(piece.as_bytes()), None, "{piece}");
        }
    }
}
