//! Random moments that can be had again: `FAULTS_SEED=n` replays those of a failed test. The program's own timing is not replayed
//! with them.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::Cut;

/// A splitmix64 generator.
pub struct Random(u64);

impl Random {
    /// Prints its seed, which the test's output shows if the test fails.
    pub fn new() -> Random {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let given = std::env::var("FAULTS_SEED").ok();
        let seed = given.map_or(now.as_nanos() as u64, |seed| seed.parse().expect("FAULTS_SEED is a number"));
        println!("FAULTS_SEED={seed}");
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn cut(&mut self) -> Cut {
        if self.below(2) == 0 { Cut::Fin } else { Cut::Reset }
    }

    /// Lets a random part of `limit` pass. This is no waiting for something: whatever happens meanwhile is right.
    pub fn moment(&mut self, limit: Duration) {
        thread::sleep(Duration::from_micros(self.below(limit.as_micros() as u64)));
    }
}
