//! A journal that an earlier agent left, torn and damaged at will: what is read back is whole records, and an engine that goes on
//! with it comes to rest.

use std::time::{Duration, UNIX_EPOCH};

use faraday_agent::engine::event::{Now, RunId};
use faraday_agent::engine::resume::Resumed;
use faraday_agent::frame::record::{self, Replay};

use super::engine::{Shell, profile};
use super::input::Input;

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let chunk_bytes = 1 + input.below(255);
    let journal = input.rest();
    let mut resumed = Resumed::new(RunId(1));
    let (mut replay, mut at, mut failed) = (Replay::default(), 0, false);
    resumed.on_segment(0);
    for chunk in journal.chunks(chunk_bytes) {
        let tell = |kind: record::Kind, payload: &[u8], end: u64| {
            // Pieces are counted here and read by those who post them.
            if !kind.is_piece() {
                let mut again = Vec::new();
                record::encode(kind, payload, &mut again);
                assert_eq!(journal[at..end as usize], again, "a note reads as it was written");
            }
            at = end as usize;
            resumed.on_record(kind, payload, end);
        };
        failed = replay.read(chunk, tell).is_err();
        if failed {
            break;
        }
    }
    assert_eq!(replay.end(), at as u64);
    assert!(failed || record::decode(&journal[at..]).is_err(), "a whole record was left");
    if resumed.is_known() {
        let now = Now { up: Duration::ZERO, utc: UNIX_EPOCH };
        let mut shell = Shell::new(profile(), vec![resumed], now);
        shell.keep(RunId(1), 0, &journal[..at]);
        shell.serve_all();
    }
}
