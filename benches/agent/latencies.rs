//! How long documents were under way, by the stamps in them.

use memchr::memmem::Finder;

/// Where in the distribution latencies are told.
const PERCENTILES: [f64; 15] = [0.0, 1.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 99.0, 100.0];

pub struct Latencies {
    stamps: Finder<'static>,
    us: Vec<u32>,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies { stamps: Finder::new(br#""description":""#), us: Vec::new() }
    }
}

impl Latencies {
    /// Documents that were there at this time, in nanoseconds since 1970.
    pub fn take(&mut self, documents: &[u8], arrived_ns: u64) {
        for at in self.stamps.find_iter(documents) {
            let digits = documents[at + self.stamps.needle().len()..].iter().take_while(|b| b.is_ascii_digit());
            let stamp = digits.fold(0, |number: u64, b| number * 10 + u64::from(b - b'0'));
            self.us.push((arrived_ns.saturating_sub(stamp) / 1000) as u32);
        }
    }

    /// Percentiles, and how many microseconds so many documents took at most.
    pub fn percentiles(&self) -> Vec<(f64, f64)> {
        let mut all = self.us.clone();
        all.sort_unstable();
        let place = |percent: f64| ((all.len() as f64 * percent / 100.0) as usize).min(all.len().saturating_sub(1));
        let at = |percent: f64| all.get(place(percent)).map(|us| (percent, f64::from(*us)));
        PERCENTILES.into_iter().filter_map(at).collect()
    }
}
