//! An executor's stdout: the same pieces however it is split, and nothing that is handed out is anything but valid JSON.

use faraday_agent::frame::{Framer, Piece};
use serde::de::IgnoredAny;

use super::input::Input;

/// Small, so that pieces above it are met.
const PIECE_BYTES_MAX: usize = 1000;

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (first, second) = (input.stretch().len(), 1 + input.below(64));
    let stream = input.rest();
    let whole = pieces([stream]);
    let cut = first.min(stream.len());
    assert_eq!(whole, pieces([&stream[..cut], &stream[cut..]]), "cut at {cut}");
    // Quadratic work is not what is looked for here.
    if stream.len() <= 64 << 10 {
        assert_eq!(whole, pieces(stream.chunks(second)), "in chunks of {second}");
    }
}

fn pieces<'i>(chunks: impl IntoIterator<Item = &'i [u8]>) -> Vec<String> {
    let (mut framer, mut found) = (Framer::new(PIECE_BYTES_MAX), Vec::new());
    for mut chunk in chunks {
        while let Some(piece) = framer.next(&mut chunk) {
            found.push(text(&piece));
        }
        assert!(chunk.is_empty(), "bytes were left");
    }
    while let Some(piece) = framer.finish() {
        found.push(text(&piece));
    }
    found.push(format!("{} ignored", framer.ignored_bytes()));
    found
}

fn text(piece: &Piece<'_>) -> String {
    if let Piece::Host(bytes) | Piece::Credential(bytes) = piece {
        assert!(bytes.len() <= PIECE_BYTES_MAX);
        let text = std::str::from_utf8(bytes).expect("UTF-8");
        // serde_json counts depth where we do not, and minds lone surrogates only when it makes strings.
        if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
            assert!(error.to_string().contains("recursion"), "{error}: {text}");
        }
    }
    format!("{piece:?}")
}
