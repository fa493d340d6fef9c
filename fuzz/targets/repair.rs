//! Repair of hosts and credentials: what comes out is JSON, twice is once, and memory stays below three times the input.

use faraday_agent::proto::repair::{self, Repairs};
use serde::de::IgnoredAny;

use super::memory;

/// Beside what grows with the host.
const BYTES_BESIDE: usize = 256 << 10;

type Repair = fn(&[u8], &mut Repairs) -> Option<Vec<u8>>;

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // The framer hands out valid JSON alone.
    let piece = text.trim();
    if serde_json::from_str::<IgnoredAny>(piece).is_err() {
        return;
    }
    for repair in [repair::host as Repair, repair::credential] {
        twice_is_once(piece.as_bytes(), repair);
    }
}

fn twice_is_once(piece: &[u8], repair: Repair) {
    let mut repairs = Repairs::default();
    let Some(once) = memory::bounded(BYTES_BESIDE + 3 * piece.len(), || repair(piece, &mut repairs)) else { return };
    let text = std::str::from_utf8(&once).expect("UTF-8");
    serde_json::from_str::<IgnoredAny>(text).expect("JSON");
    if let Some(twice) = repair(&once, &mut Repairs::default()) {
        assert_eq!(String::from_utf8(twice).expect("UTF-8"), text, "twice is not once");
    }
}
