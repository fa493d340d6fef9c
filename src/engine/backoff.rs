//! How long to wait before trying again: doubling pauses with jitter, and the small generator the jitter comes from.
//! The generator is seeded from outside, so that a simulation can be played again.

use std::time::Duration;

/// A splitmix64 generator: good enough to keep a thousand agents from knocking at once.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The pauses between tries: `first`, doubled each time, never above `max`.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    tries: u32,
}

impl Backoff {
    pub fn new(first: Duration, max: Duration) -> Backoff {
        Backoff { first, max, tries: 0 }
    }

    /// The pause before the next try: between half of the step and all of it.
    pub fn pause(&mut self, random: &mut Random) -> Duration {
        let step = self.first.saturating_mul(1 << self.tries.min(20)).min(self.max);
        self.tries = self.tries.saturating_add(1);
        let half = step / 2;
        half + half.mul_f64((random.next() >> 11) as f64 / (1u64 << 53) as f64)
    }

    /// It worked: the next failure starts small again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_maximum_and_start_small_after_a_success() {
        let mut random = Random::new(7);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for step in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let pause = backoff.pause(&mut random);
            assert!(pause >= Duration::from_millis(step * 500), "{pause:?} of {step}");
            assert!(pause <= Duration::from_secs(step), "{pause:?} of {step}");
        }
        backoff.reset();
        assert!(backoff.pause(&mut random) <= Duration::from_secs(1));
    }

    #[test]
    fn jitter_differs_from_try_to_try() {
        let mut random = Random::new(1);
        let pauses: Vec<_> =
            (0..8).map(|_| Backoff::new(Duration::from_secs(60), Duration::from_secs(60)).pause(&mut random)).collect();
        assert!(pauses.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
