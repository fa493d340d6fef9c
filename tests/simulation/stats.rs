//! What happened in a world, in numbers, to show that it was not an idle one.

use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub seeds: u64,
    pub steps: u64,
    pub starts: u64,
    pub runs: u64,
    pub bytes: u64,
    pub pieces: u64,
    pub refused: u64,
    pub statuses: u64,
    pub actions_max: usize,
    pub time: Duration,
    pub faults: BTreeMap<&'static str, u64>,
}

impl Stats {
    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    pub fn add(&mut self, other: &Stats) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.starts += other.starts;
        self.runs += other.runs;
        self.bytes += other.bytes;
        self.pieces += other.pieces;
        self.refused += other.refused;
        self.statuses += other.statuses;
        self.actions_max = self.actions_max.max(other.actions_max);
        self.time += other.time;
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
    }

    pub fn print(&self, took: Duration) {
        println!(
            "{} seeds in {:.1} s ({:.0} a second): {} steps, {:.0} h of simulated time, {} agents, {} runs, {} MB read",
            self.seeds,
            took.as_secs_f64(),
            self.seeds as f64 / took.as_secs_f64(),
            self.steps,
            self.time.as_secs_f64() / 3600.0,
            self.starts,
            self.runs,
            self.bytes >> 20,
        );
        println!(
            "{} arrivals of hosts and credentials, {} refused, {} statuses",
            self.pieces, self.refused, self.statuses
        );
        for (kind, count) in &self.faults {
            println!("  {count:>8} {kind}");
        }
    }
}
