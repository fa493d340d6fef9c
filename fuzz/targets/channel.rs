//! Text frames of the server, of both generations: there is always an answer, it costs memory in proportion, and what it says for
//! the log is one bounded line.

use faraday_agent::proto::channel::{Heard, Protocol};

use super::memory;

/// Beside what grows with the frame.
const BYTES_BESIDE: usize = 64 << 10;
/// What is repeated of a frame.
const NOTE_BYTES_MAX: usize = 2000;

pub fn run(bytes: &[u8]) {
    let Ok(frame) = std::str::from_utf8(bytes) else { return };
    for protocol in [Protocol::SocketIo, Protocol::WebSocket] {
        let heard = memory::bounded(BYTES_BESIDE + 40 * frame.len(), || protocol.hear(frame));
        if let Heard::Odd { note, .. } | Heard::Notice(note) | Heard::Disconnect(note) | Heard::ConnectRefused(note) =
            heard
        {
            assert!(note.len() <= NOTE_BYTES_MAX, "{} bytes of words", note.len());
            assert!(!note.contains(char::is_control), "{note:?}");
        }
    }
}
