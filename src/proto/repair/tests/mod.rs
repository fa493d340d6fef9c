//! What becomes of hosts: each rule by itself, all together, and whatever a generator thinks of.

mod random;
mod table;

use super::*;

/// The host as it comes out of the repair, and what was done in words. Repaired once more, it must stay as it is.
fn repair(piece: &str) -> Option<(String, String)> {
    let mut repairs = Repairs::default();
    let repaired = host(piece.as_bytes(), &mut repairs);
    assert_eq!(repaired.is_none(), repairs.is_empty(), "{piece}");
    let repaired = String::from_utf8(repaired?).expect("UTF-8");
    let mut more = Repairs::default();
    assert_eq!(host(repaired.as_bytes(), &mut more), None, "{piece}\n{repaired}\n{more}");
    Some((repaired, repairs.to_string()))
}

#[track_caller]
fn check(piece: &str, expected: &str, words: &str) {
    assert_eq!(repair(piece), Some((expected.to_owned(), words.to_owned())), "{piece}");
}

/// `piece` passes as it is, and without being taken apart.
#[track_caller]
fn check_clean(piece: &str) {
    assert_eq!(repair(piece), None, "{piece}");
    assert!(!inspect::is_suspicious(piece.as_bytes()), "{piece}");
}
