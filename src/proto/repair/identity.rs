//! What makes a vulnerability the same as another one below the same parent (bulk-create.md 3).

use std::borrow::Cow;

use super::text::decode;

/// The fields that count …
pub(super) const FIELDS: [&[u8]; 7] = [b"type", b"name", b"desc", b"method", b"pname", b"path", b"website"];
/// … of which those from here on are not stored for a plain vulnerability.
const FIRST_WEB_FIELD: usize = 3;
const DESC: usize = 2;

/// The fields of one vulnerability in their order, as printed; empty if missing.
#[derive(Clone, Copy, Default)]
pub(super) struct Identity<'p>(pub [&'p [u8]; FIELDS.len()]);

impl<'p> Identity<'p> {
    /// What the server compares. `None` if a field is no text, which it refuses.
    pub fn texts(&self) -> Option<[Cow<'p, [u8]>; FIELDS.len()]> {
        let is_text = |printed: &&[u8]| matches!(printed.first(), None | Some(b'"')) || *printed == b"null";
        self.stored().0.iter().all(is_text).then(|| self.stored().0.map(said))
    }

    /// The same number for the same texts, and hardly ever for others.
    pub fn fingerprint(&self) -> u64 {
        self.stored().0.iter().fold(0, |sum, printed| fold(&said(printed), sum))
    }

    pub fn has_desc(&self) -> bool {
        !said(self.0[DESC]).is_empty()
    }

    fn stored(mut self) -> Identity<'p> {
        if &*said(self.0[0]) == b"Vulnerability" {
            self.0[FIRST_WEB_FIELD..].fill(b"");
        }
        self
    }
}

/// What is missing, and null, is stored as an empty text.
fn said(printed: &[u8]) -> Cow<'_, [u8]> {
    match printed {
        b"null" => Cow::Borrowed(b""),
        _ => decode(printed),
    }
}

/// Mixes a text into a sum, 16 bytes at a time, by folded multiplication as wyhash and its kin do.
fn fold(text: &[u8], sum: u64) -> u64 {
    let (blocks, rest) = text.as_chunks();
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    let sum = blocks.iter().fold(sum ^ text.len() as u64, fold_block);
    fold_block(sum, &last)
}

fn fold_block(sum: u64, block: &[u8; 16]) -> u64 {
    let block = u128::from_le_bytes(*block);
    let (low, high) = (block as u64 ^ sum ^ 0x9e37_79b9_7f4a_7c15, (block >> 64) as u64 ^ 0xd1b5_4a32_d192_ed03);
    let product = u128::from(low) * u128::from(high);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_count_and_everything_else_does() {
        let identity = |kind, name, desc, path| Identity([kind, name, desc, b"", b"", path, b""]);
        let first = identity(br#""VulnerabilityWeb""#, br#""a/b""#, b"null", br#""/""#);
        for (other, same) in [
            (identity(br#""Vulnerability\u0057eb""#, br#""a\/b""#, br#""""#, br#""\u002f""#), true),
            (identity(br#""Vulnerability""#, br#""a/b""#, b"null", br#""/""#), false),
            (identity(br#""VulnerabilityWeb""#, br#""a/B""#, b"null", br#""/""#), false),
            (identity(br#""VulnerabilityWeb""#, br#""a/b ""#, b"null", br#""/""#), false),
            (identity(br#""VulnerabilityWeb""#, b"", br#""a/b""#, br#""/""#), false),
        ] {
            assert_eq!(first.texts() == other.texts(), same);
            assert_eq!(first.fingerprint() == other.fingerprint(), same);
        }
        assert_eq!(identity(b"1", b"", b"", b"").texts(), None);
    }

    #[test]
    fn a_plain_vulnerability_has_no_path() {
        let at = |path| Identity([br#""Vulnerability""#, b"", b"", b"", b"", path, b""]);
        assert_eq!(at(br#""/""#).texts(), at(b"1").texts());
        assert_eq!(at(br#""/""#).fingerprint(), at(b"1").fingerprint());
    }

    #[test]
    fn fingerprints_of_similar_texts_differ() {
        let mut seen = std::collections::HashSet::new();
        for number in 0..10_000 {
            let name = format!("\"found at 10.0.{}.{} with some more words\"", number / 100, number % 100);
            assert!(seen.insert(Identity([b"", name.as_bytes(), b"", b"", b"", b"", b""]).fingerprint()));
        }
    }
}
